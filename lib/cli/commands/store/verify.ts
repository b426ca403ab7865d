// `tvix store verify`: index, packs and digests against each other.
import { openStore } from "../../../store/open.ts";
import { verifyAddress } from "../../../store/verify.ts";
import { print } from "../../output.ts";
import { EXIT } from "../../render/error.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";
import type { StoreOptions } from "./session.ts";

/** Flags of `tvix store verify`. */
export interface VerifyFlags extends StoreOptions {
  readonly repair?: boolean;
  readonly from?: string;
  /** False with `--no-nars`. */
  readonly nars: boolean;
}

/** Verifies and prints each damage; the exit code says whether any remains. */
export async function run(flags: VerifyFlags): Promise<void> {
  const source = flags.from === undefined ? undefined : await openStore(flags.from, { readOnly: true });
  const progress = await openProgress("verifying", "items");
  try {
    const summary = await interruptible((signal) =>
      verifyAddress(flags.store, {
        repair: flags.repair === true,
        nars: flags.nars,
        ...(source ? { source } : {}),
        signal,
        onProgress: ({ phase, done, total = done }) => progress.update(done, total, phase),
      }),
    );
    progress.stop();
    if (summary.damage.some(({ repaired }) => !repaired)) process.exitCode = EXIT.failed;
    if (flags.json) return await print(`${JSON.stringify(summary)}\n`);
    for (const { kind, object, problem, repaired } of summary.damage) {
      await print(`${repaired ? "repaired" : "damaged"} ${kind} ${object}: ${problem}\n`);
    }
    const { paths, chunks, bytes, directories, damage } = summary;
    await print(
      `${paths} paths, ${directories} directories, ${chunks} chunks of ${bytes} bytes: ${damage.length} damaged\n`,
    );
  } finally {
    progress.stop();
    await source?.close();
  }
}
