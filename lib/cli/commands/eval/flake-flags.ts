// The flags of commands that take flakes.
import type { Command } from "commander";

/** Flags of commands that take flakes. */
export interface FlakeFlags {
  readonly flake?: boolean;
  readonly impure?: boolean;
}

/** Adds the flags of {@link FlakeFlags} to a command. */
export function addFlakeFlags(command: Command): Command {
  return command
    .option("--flake", "the arguments are flakes, as REF#ATTR; evaluation is pure")
    .option("--impure", "with --flake: allow the environment, the clock and any file");
}
