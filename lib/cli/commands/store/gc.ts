// `tvix store gc`: collection of garbage.
import { TvixError } from "../../../base/error.ts";
import { collectGarbage } from "../../../store/gc.ts";
import { print } from "../../output.ts";
import { openProgress } from "../../render/progress.ts";
import { interruptible } from "../../signals.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Flags of `tvix store gc`. */
export interface GarbageFlags extends StoreOptions {
  readonly dryRun?: boolean;
  readonly maxFreed?: string;
  readonly keepDerivations?: boolean;
}

/** Collects and says what was removed. */
export async function run(flags: GarbageFlags): Promise<void> {
  const limit = flags.maxFreed === undefined ? {} : { maxFreed: parseSize(flags.maxFreed) };
  const progress = await openProgress("collecting", "items");
  try {
    await interruptible((signal) =>
      withStore(flags, "write", async (store) => {
        const summary = await collectGarbage(store, {
          ...limit,
          dryRun: flags.dryRun === true,
          keepDerivations: flags.keepDerivations === true,
          signal,
          onProgress: ({ phase, done, total = done }) => progress.update(done, total, phase),
        });
        progress.stop();
        const removedPaths = summary.removedPaths.map((path) => path.absolute(store.storeDir));
        if (flags.json) return await print(`${JSON.stringify({ ...summary, removedPaths })}\n`);
        for (const path of removedPaths) await print(`${path}\n`);
        const verb = flags.dryRun ? "would be removed" : "removed";
        const given = flags.dryRun ? "" : `, ${summary.freedBytes} bytes given back`;
        await print(
          `${removedPaths.length} paths ${verb}, ${summary.removedBytes} bytes of contents${given}; ${summary.livePaths} paths stay\n`,
        );
      }),
    );
  } finally {
    progress.stop();
  }
}

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Reads a number of bytes, with K, M, G or T for powers of 1024. */
function parseSize(text: string): number {
  const match = /^([0-9]+)([KMGT]?)$/.exec(text);
  const size = match ? Number(match[1]) * (UNITS[match[2] ?? ""] ?? 1) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new TvixError("ERR_CLI_USAGE", `${text} is not a number of bytes`, { notes: ["write 500M, 2G or 1048576"] });
}
