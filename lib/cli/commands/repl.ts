// `tvix repl`: evaluates expressions as they are typed, as `nix repl` does.
import { Command } from "commander";
import { addWorldFlags, joinArguments, type WorldFlags } from "./eval/flags.ts";

/** The command line in a form that commander can read. */
export const prepare: typeof joinArguments = joinArguments;

/** The command with its flags. */
export function build(): Command {
  const command = new Command("repl")
    .description("evaluate expressions as they are typed; :? tells what else there is")
    .argument("[file...]", "files whose attributes become variables; expressions with -E");
  return addWorldFlags(command)
    .addHelpText(
      "after",
      `
Examples:
  $ tvix repl
  $ tvix repl ./default.nix -A packages
  $ tvix repl -I nixpkgs=/path/to/nixpkgs -E 'import <nixpkgs> {}'
  $ echo '1 + 2' | tvix repl`,
    )
    .action(async (files: string[], flags: WorldFlags) => (await import("../repl/terminal.ts")).run(files, flags));
}
