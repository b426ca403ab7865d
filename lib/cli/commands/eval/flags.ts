// The flags that all commands share which evaluate.
import { type Command, Option } from "commander";
import { TvixError } from "../../../base/error.ts";

/** Flags of all commands that evaluate. */
export interface WorldFlags {
  readonly expr?: boolean;
  readonly attr?: readonly string[];
  readonly arg?: readonly string[];
  readonly argstr?: readonly string[];
  readonly include?: readonly string[];
  readonly pure?: boolean;
  readonly restrict?: boolean;
  readonly extraExperimentalFeatures?: readonly string[];
  readonly trustedPublicKeys?: readonly string[];
  readonly traceVerbose?: boolean;
  readonly nixVersion?: string;
  readonly showTrace?: boolean;
  readonly warn: "own" | "all" | "none";
  readonly refresh?: boolean;
  /** False with `--no-cache`. */
  readonly cache: boolean;
  /** False with `--no-replay`. */
  readonly replay: boolean;
  readonly store?: string;
  readonly stats?: boolean;
  readonly traceIo?: boolean;
  readonly profile?: string;
}

/** Adds the flags of {@link WorldFlags} to a command. */
export function addWorldFlags(command: Command): Command {
  return command
    .option("-E, --expr", "the arguments are expressions")
    .option("-A, --attr <path>", "take the attribute at this path; may be repeated", repeated)
    .option("--arg <name value>", "pass the value of an expression to functions", repeated)
    .option("--argstr <name string>", "pass a string to functions", repeated)
    .option("-I, --include <path>", "search path entry, before those of NIX_PATH", repeated)
    .option("--pure", "no environment, no clock, no files outside the arguments")
    .option("--restrict", "only files under the search path")
    .option(
      "--extra-experimental-features <names>",
      "experimental features of Nix to allow, separated by spaces",
      repeated,
    )
    .option("--trusted-public-keys <keys>", "whose signatures count for fetchClosure, as NAME:BASE64", repeated)
    .option("--trace-verbose", "show what builtins.traceVerbose says")
    .option("--nix-version <version>", "what builtins.nixVersion says, for paths that depend on it")
    .option("--show-trace", "show how an error was reached")
    .addOption(
      new Option("--warn <which>", "show warnings about files and expressions named here, or about all, or none")
        .choices(["own", "all", "none"])
        .default("own"),
    )
    .option("--refresh", "ask again for what was fetched within the last hour")
    .option("--no-cache", "neither read nor write compiled code; nor replay")
    .option("--no-replay", "evaluate even if nothing has changed since the last time")
    .option("--store <address>", "which store")
    .option("--stats", "print what was done and what it cost to standard error, as JSON; code that counts runs slower")
    .option("--trace-io", "print each question to files and environment, with its answer, to standard error")
    .option("--profile <file>", "write a CPU profile by Nix function, which speedscope opens");
}

/** Flags of two words. */
const PAIRS: ReadonlySet<string> = new Set(["--arg", "--argstr", "--override-input"]);

/** For flags that may be given several times. */
export function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** The two words of a flag that {@link joinArguments} has joined. @throws TvixError `ERR_CLI_USAGE` */
export function splitPair(pair: string, flag: string): [string, string] {
  const at = pair.indexOf("\0");
  if (at < 0) throw new TvixError("ERR_CLI_USAGE", `${flag} wants two words`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

/** Takes the two words of `--arg NAME VALUE`, which commander has no form for: the second is joined with a NUL. */
export function joinArguments(argv: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] as string;
    if (arg === "--") return [...out, ...argv.slice(i)];
    if (PAIRS.has(arg) && i + 2 < argv.length) {
      out.push(`${arg}=${argv[i + 1]}\0${argv[i + 2]}`);
      i += 2;
    } else out.push(arg);
  }
  return out;
}
