// `tvix eval`: evaluates expressions and files and prints the values as `nix-instantiate --eval` does.
import { Command } from "commander";
import type { EvalFlags } from "./eval/run.ts";

/** For flags that may be given several times. */
function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** Takes the two words of `--arg NAME VALUE`, which commander has no form for: the second is joined with a NUL. */
export function prepare(argv: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] as string;
    if (arg === "--") return [...out, ...argv.slice(i)];
    if ((arg === "--arg" || arg === "--argstr") && i + 2 < argv.length) {
      out.push(`${arg}=${argv[i + 1]}\0${argv[i + 2]}`);
      i += 2;
    } else out.push(arg);
  }
  return out;
}

/** The command with its flags. */
export function build(): Command {
  return new Command("eval")
    .description("evaluate Nix expressions and print their values")
    .argument("[file...]", "files (- for standard input; default ./default.nix); expressions with -E")
    .option("-E, --expr", "the arguments are expressions")
    .option("-A, --attr <path>", "print the attribute at this path; may be repeated", repeated)
    .option("--strict", "compute everything in the value")
    .option("--json", "print JSON")
    .option("--xml", "print XML")
    .option("--no-location", "with --xml: leave out positions")
    .option("--raw", "print a string as it is")
    .option("--parse", "print the syntax tree instead of evaluating")
    .option("--arg <name value>", "pass the value of an expression to functions", repeated)
    .option("--argstr <name string>", "pass a string to functions", repeated)
    .option("-I, --include <path>", "search path entry, before those of NIX_PATH", repeated)
    .option("--pure", "no environment, no clock, no files outside the arguments")
    .option("--restrict", "only files under the search path")
    .option("--pipe-operators", "allow |> and <|")
    .option("--trace-verbose", "show what builtins.traceVerbose says")
    .option("--show-trace", "show how an error was reached")
    .option("--no-cache", "neither read nor write compiled code")
    .addHelpText(
      "after",
      `
Examples:
  $ tvix eval -E '1 + 2'
  $ tvix eval --strict --json -A config.networking ./default.nix
  $ tvix eval -E '{ n }: n * 2' --arg n 21
  $ tvix eval -I nixpkgs=/path/to/nixpkgs -E '(import <nixpkgs> {}).hello.drvPath'`,
    )
    .action(async (files: string[], flags: EvalFlags) => (await import("./eval/run.ts")).run(files, flags));
}
