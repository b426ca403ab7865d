// The command line's table of contents: which commands there are, and how one is found, run and reported.
//
// A command is a file under commands/ that builds its own commander `Command`; it is loaded only when its name is the
// one typed, so that no command pays for another's libraries. Commands throw `TvixError`; this file turns that into a
// message and an exit code: 0 done, 1 failed, 2 wrong usage; of comparisons 0 same, 1 different, 2 failed.
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { TvixError } from "../base/error.ts";
import { setEntry } from "./entry.ts";
import { repeatAfter, type Said } from "./output.ts";
import { EXIT, reportError } from "./render/error.ts";

export { hasSaidAll } from "./output.ts";

interface CommandFile {
  build(): Command;
  /** Brings the command line into a form that commander can read. */
  prepare?(argv: readonly string[]): readonly string[];
}

/** Name → one line for the overview, and where it is. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<CommandFile> }>> = {
  eval: {
    summary: "evaluate Nix expressions and print their values",
    load: () => import("./commands/eval.ts"),
  },
  repl: {
    summary: "evaluate expressions as they are typed",
    load: () => import("./commands/repl.ts"),
  },
  instantiate: {
    summary: "write derivations into a store and print their paths",
    load: () => import("./commands/instantiate.ts"),
  },
  "eval-jobs": {
    summary: "evaluate all derivations of a value in several processes",
    load: () => import("./commands/eval-jobs.ts"),
  },
  store: {
    summary: "import paths into a store, and list, read, check and copy what it holds",
    load: () => import("./commands/store.ts"),
  },
  cache: {
    summary: "serve a store to Nix as a binary cache",
    load: () => import("./commands/cache.ts"),
  },
  daemon: {
    summary: "serve a store over gRPC",
    load: () => import("./commands/daemon.ts"),
  },
  nar: {
    summary: "pack, unpack and list NAR archives",
    load: () => import("./commands/nar.ts"),
  },
  hash: {
    summary: "hash files and trees, and convert hashes between their text forms",
    load: () => import("./commands/hash.ts"),
  },
  drv: {
    summary: "show and compare derivations",
    load: () => import("./commands/drv.ts"),
  },
};

/** The version of this package. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Runs the command line `argv` (without node and the script) of the process started by `entry`; returns the exit code.
 * @param before how much was said by a thread that this one repeats
 */
export async function runProgram(argv: readonly string[], entry: URL, before?: Readonly<Said>): Promise<number> {
  setEntry(entry);
  if (before !== undefined) repeatAfter(before);
  const program = new Command("tvix")
    .description("Nix, taken apart: formats, content-addressed stores, evaluation, mounts")
    .helpCommand(false)
    .version(version(), "-V, --version")
    .addHelpText(
      "after",
      "\nExamples:\n  $ tvix eval -E '1 + 2'\n  $ tvix store import ./src\n  $ tvix nar ls archive.nar\n  $ tvix hash ./src",
    );
  const name = argv.find((arg) => !arg.startsWith("-"));
  const chosen = name === undefined ? undefined : commands[name];
  let words = argv.length === 0 ? ["--help"] : argv;
  if (chosen && Object.hasOwn(commands, name as string)) {
    const file = await chosen.load();
    program.addCommand(file.build());
    words = file.prepare?.(argv) ?? argv;
  } else {
    for (const [known, { summary }] of Object.entries(commands)) program.command(known).description(summary);
  }
  exitByThrowing(program);
  try {
    await program.parseAsync([...words], { from: "user" });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    // `tvix … | head`: whoever reads has had enough, which is no failure.
    if (error instanceof TvixError && error.code === "ERR_NAR_PIPE") return EXIT.ok;
    await report(error, argv);
    return Number(process.exitCode ?? EXIT.failed);
  }
}

/** Errors in Nix code are shown with their source; all others as a message. */
async function report(error: unknown, argv: readonly string[]): Promise<void> {
  if (error instanceof TvixError && /^ERR_(EVAL|PARSE)_/.test(error.code)) {
    const { showEvalError } = await import("./commands/eval/report.ts");
    if (showEvalError(error, argv.includes("--show-trace"))) return;
  }
  reportError(error, argv.includes("--json"));
}

/** Commander ends the process by itself unless told, command by command, to throw. */
function exitByThrowing(command: Command): void {
  command.exitOverride();
  command.showSuggestionAfterError();
  for (const child of command.commands) exitByThrowing(child);
}
