// The flags of commands that take flakes.
import { type Command, Option } from "commander";
import { repeated } from "./flags.ts";

/** Flags of commands that take flakes. */
export interface FlakeFlags {
  readonly flake?: boolean;
  readonly impure?: boolean;
  /** Path and reference, joined by a NUL. */
  readonly overrideInput?: readonly string[];
  readonly updateInput?: readonly string[];
  readonly recreateLockFile?: boolean;
  readonly referenceLockFile?: string;
  readonly outputLockFile?: string;
  /** False with `--no-update-lock-file`. */
  readonly updateLockFile: boolean;
}

/** Adds the flags of {@link FlakeFlags} to a command. */
export function addFlakeFlags(command: Command): Command {
  return command
    .option("--flake", "the arguments are flakes, as REF#ATTR; evaluation is pure")
    .option("--impure", "with --flake: allow the environment, the clock and any file")
    .option("--override-input <input flake>", "with --flake: take this flake for an input (a, or a/b)", repeated)
    .option("--update-input <input>", "with --flake: look this input up anew, whatever the lock file says", repeated)
    .option("--recreate-lock-file", "with --flake: look all inputs up anew")
    .option("--reference-lock-file <file>", "with --flake: go by this lock file instead of the flake's")
    .option("--output-lock-file <file>", "with --flake: write the lock file that comes of it here")
    .option("--no-update-lock-file", "with --flake: a lock file that is out of date is an error")
    .addOption(new Option("--no-write-lock-file", "what happens anyway: no flake.lock is written").hideHelp());
}
