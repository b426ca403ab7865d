// The work of `tvix instantiate`.
import { latin1ToBytes } from "../../../base/text.ts";
import { StorePath } from "../../../formats/store-path.ts";
import { demandedOutput, findDerivations } from "../../../nix/derivation-set.ts";
import { type DerivationRoot, instantiate } from "../../../nix/instantiate.ts";
import type { Store } from "../../../store/store.ts";
import { print } from "../../output.ts";
import { findReplay, printReplay } from "../../replay.ts";
import { interruptible } from "../../signals.ts";
import { evaluateFlakeArgument, withPurity } from "../eval/flake.ts";
import type { FlakeFlags } from "../eval/flake-flags.ts";
import type { WorldFlags } from "../eval/flags.ts";
import { commandKey } from "../eval/recorder.ts";
import { evaluateSubject, readSubjects, withWorld } from "../eval/world.ts";
import { withStore } from "../store/session.ts";

/** Flags of `tvix instantiate`. */
export interface InstantiateFlags extends WorldFlags, FlakeFlags {
  readonly addRoot?: string;
  readonly json?: boolean;
}

interface Instantiated {
  readonly attrPath: string;
  readonly drvPath: string;
  readonly output: string;
}

/** Evaluates everything, then writes everything, then prints one line per derivation. */
export async function run(args: readonly string[], asked: InstantiateFlags): Promise<void> {
  const flags = withPurity(asked);
  const subjects = flags.flake ? args : readSubjects(args, flags);
  await interruptible((signal) =>
    withStore(flags, "write", async (store) => {
      if (await replayed(flags, store)) return;
      await withWorld(
        flags,
        async ({ session, attempt, warn, keep }) => {
          const { world } = session;
          for (const subject of subjects) if (typeof subject !== "string") warn(subject);
          const found = attempt((evaluator, given) => {
            const all: Instantiated[] = [];
            for (const subject of subjects) {
              for (const path of flags.attr ?? [""]) {
                const value =
                  typeof subject === "string"
                    ? evaluateFlakeArgument(subject, path, given, session, evaluator, flags)
                    : evaluateSubject(subject, path, given, evaluator);
                for (const one of findDerivations(value, given)) {
                  all.push({ attrPath: join(path, one.attrPath), ...demandedOutput(one) });
                }
              }
            }
            return all;
          });
          const roots = flags.addRoot === undefined ? [] : rootsOf(flags.addRoot, found);
          const drvPaths = [...new Set(found.map(({ drvPath }) => drvPath))];
          await instantiate(world, store, drvPaths, { roots, signal });
          const stdout = found.map((one) => line(one, flags)).join("");
          await print(latin1ToBytes(stdout));
          if (roots.length === 0) keep({ stdout, drvPaths });
        },
        store,
      );
    }),
  );
}

/** Prints what the same command wrote before, where evaluating it again would write nothing. */
async function replayed(flags: InstantiateFlags, store: Store): Promise<boolean> {
  const key = commandKey(flags);
  const record = key === undefined ? undefined : findReplay(key);
  for (const path of record?.drvPaths ?? []) {
    const { digest, name } = StorePath.parseAbsolute(path, store.storeDir);
    // What is in a store has its references there too.
    if ((await store.pathInfos.get(digest))?.path.name !== name) return false;
  }
  if (record !== undefined) await printReplay(record);
  return record !== undefined;
}

function join(path: string, below: string): string {
  return path === "" || below === "" ? path + below : `${path}.${below}`;
}

/** The first derivation is kept under the name itself, the following under NAME-2, NAME-3, … */
function rootsOf(name: string, found: readonly Instantiated[]): DerivationRoot[] {
  return found.map(({ drvPath }, i) => ({ name: i === 0 ? name : `${name}-${i + 1}`, path: drvPath }));
}

function line({ attrPath, drvPath, output }: Instantiated, flags: InstantiateFlags): string {
  if (flags.json) return `${JSON.stringify({ attr: attrPath, drvPath, output })}\n`;
  return `${drvPath}${output === "out" ? "" : `!${output}`}\n`;
}
