// `tvix eval`: evaluates expressions and files and prints the values as `nix-instantiate --eval` does.
import { Command } from "commander";
import type { EvalFlags } from "./eval/run.ts";
import { addFlakeFlags } from "./eval/flake-flags.ts";
import { addWorldFlags, joinArguments } from "./eval/flags.ts";

/** The command line in a form that commander can read. */
export const prepare: typeof joinArguments = joinArguments;

/** The command with its flags. */
export function build(): Command {
  const command = new Command("eval")
    .description("evaluate Nix expressions and print their values")
    .argument("[file...]", "files (- for standard input; default ./default.nix); expressions with -E")
    .option("--strict", "compute everything in the value")
    .option("--json", "print JSON")
    .option("--xml", "print XML")
    .option("--no-location", "with --xml: leave out positions")
    .option("--raw", "print a string as it is")
    .option("--parse", "print the syntax tree instead of evaluating")
    .option("--dump-ir", "print the intermediate form instead of evaluating");
  return addFlakeFlags(addWorldFlags(command))
    .addHelpText(
      "after",
      `
Examples:
  $ tvix eval -E '1 + 2'
  $ tvix eval --strict --json -A config.networking ./default.nix
  $ tvix eval -E '{ n }: n * 2' --arg n 21
  $ tvix eval -I nixpkgs=/path/to/nixpkgs -E '(import <nixpkgs> {}).hello.drvPath'
  $ tvix eval --flake .#lib.version`,
    )
    .action(async (files: string[], flags: EvalFlags) => (await import("./eval/run.ts")).run(files, flags));
}
