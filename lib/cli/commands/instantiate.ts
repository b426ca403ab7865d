// `tvix instantiate`: evaluates to derivations, writes them into a store and prints their paths.
import { Command } from "commander";
import { addFlakeFlags } from "./eval/flake-flags.ts";
import { addWorldFlags, joinArguments } from "./eval/flags.ts";
import type { InstantiateFlags } from "./instantiate/run.ts";

/** The command line in a form that commander can read. */
export const prepare: typeof joinArguments = joinArguments;

/** The command with its flags. */
export function build(): Command {
  const command = new Command("instantiate")
    .description("write derivations and the sources they use into a store, and print the derivations' paths")
    .argument("[file...]", "files (- for standard input; default ./default.nix); expressions with -E")
    .option("--add-root <name>", "keep the derivations from collection under this name (NAME, NAME-2, …)")
    .option("--json", "print JSON");
  return addFlakeFlags(addWorldFlags(command))
    .addHelpText(
      "after",
      `
Examples:
  $ tvix instantiate ./default.nix -A hello
  $ tvix instantiate -I nixpkgs=/path/to/nixpkgs -E '(import <nixpkgs> {}).firefox' --add-root firefox
  $ tvix instantiate --flake .#hello
  $ tvix store cat $(tvix instantiate -A hello)`,
    )
    .action(async (files: string[], flags: InstantiateFlags) =>
      (await import("./instantiate/run.ts")).run(files, flags),
    );
}
