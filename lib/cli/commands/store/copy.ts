// `tvix store copy`: closures from one store to another.
import { parsePublicKey } from "../../../formats/signature.ts";
import { copyClosure } from "../../../store/copy.ts";
import { openStore } from "../../../store/open.ts";
import type { Store } from "../../../store/store.ts";
import { print } from "../../output.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";

/** Flags of `tvix store copy`. */
export interface CopyFlags {
  /** False with `--no-closure`. */
  readonly closure: boolean;
  readonly trustedKey?: readonly string[];
  readonly json?: boolean;
}

/** Copies; an interrupted copy is resumed by running it again. */
export async function run(from: string, to: string, paths: readonly string[], flags: CopyFlags): Promise<void> {
  const source = await openStore(from, { readOnly: true });
  try {
    const target = await openStore(to);
    try {
      await interruptible((signal) => copy(source, target, paths, flags, signal));
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copy(
  source: Store,
  target: Store,
  paths: readonly string[],
  flags: CopyFlags,
  signal: AbortSignal,
): Promise<void> {
  const wanted = paths.length > 0 ? paths : await allPaths(source);
  const progress = await openProgress("copying", "items");
  try {
    const { copied, present, bytes } = await copyClosure(source, target, wanted, {
      noClosure: !flags.closure,
      ...(flags.trustedKey ? { trustedKeys: flags.trustedKey.map(parsePublicKey) } : {}),
      signal,
      onProgress: ({ done, total = done }) => progress.update(done, total, "paths"),
    });
    progress.stop();
    if (flags.json) await print(`${JSON.stringify({ copied: copied.length, present, bytes })}\n`);
    else await print(`${copied.length} paths copied, ${present} were there, ${bytes} bytes of contents sent\n`);
  } finally {
    progress.stop();
  }
}

async function allPaths(store: Store): Promise<string[]> {
  const paths: string[] = [];
  for await (const info of store.list()) paths.push(info.path.absolute(store.storeDir));
  return paths;
}
