// `tvix eval-jobs`: evaluates all derivations of a value in several processes, a line of JSON for each.
import { Command, Option } from "commander";
import type { JobsFlags } from "./eval-jobs/flags.ts";
import { addFlakeFlags } from "./eval/flake-flags.ts";
import { addWorldFlags, joinArguments, repeated } from "./eval/flags.ts";

/** The command line in a form that commander can read. */
export const prepare: typeof joinArguments = joinArguments;

/** The command with its flags. */
export function build(): Command {
  const command = new Command("eval-jobs")
    .description("evaluate all derivations of a value in several processes, and print a line of JSON for each")
    .argument("[file...]", "a file (default ./default.nix); an expression with -E")
    .option("--workers <count>", "how many processes evaluate", "1")
    .option("--max-memory-size <MiB>", "a worker that uses more is replaced after its job", "4096")
    .option("--select <function>", "apply this function to the value first")
    .option("--force-recurse", "look into every set, not only those with recurseForDerivations")
    .option("--meta", "tell meta too")
    .option("--show-input-drvs", "tell the derivations that each one needs built first")
    .option("--apply <function>", "tell what this function makes of each derivation, as extraValue")
    .option("--constituents", "make aggregates (_hydraAggregate = true) depend on the jobs they name, and tell these")
    .option("--check-cache-status", "tell whether the outputs are in the store (local), at a substituter, or not built")
    .option("--substituter <address>", "where outputs may be found; may be repeated", repeated)
    .option("--instantiate", "write the derivations into the store")
    .option("--gc-roots-dir <directory>", "write the derivations, keep them from collection, and link to them here")
    .option("--resume <file>", "continue this file: add the jobs that it does not have")
    .addOption(new Option("--as-worker").hideHelp());
  return addFlakeFlags(addWorldFlags(command))
    .addHelpText(
      "after",
      `
Jobs come in the order of their attribute paths, whatever the number of workers. A job that cannot be evaluated has an
"error" instead of its paths.

Examples:
  $ tvix eval-jobs ./release.nix --workers 2 | jq -r .drvPath
  $ tvix eval-jobs -E 'import <nixpkgs> {}' --select 'pkgs: pkgs.xorg' --meta
  $ tvix eval-jobs --flake .#hydraJobs --workers 4
  $ tvix eval-jobs ./release.nix --resume jobs.jsonl`,
    )
    .action(async (files: string[], flags: JobsFlags) => (await import("./eval-jobs/run.ts")).run(files, flags));
}
