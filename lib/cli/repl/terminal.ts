// The work of `tvix repl`: lines from a terminal or a pipe, answers back.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1, encodeUtf8 } from "../../base/text.ts";
import { autoCall } from "../../eval/attr-path.ts";
import { canonicalPath } from "../../eval/text/path.ts";
import type { WorldFlags } from "../commands/eval/flags.ts";
import { showEvalError } from "../commands/eval/report.ts";
import { evaluateSubject, type OpenWorld, readSubjects, withWorld } from "../commands/eval/world.ts";
import { print } from "../output.ts";
import { EXIT, reportError } from "../render/error.ts";
import { version } from "../program.ts";
import { complete } from "./complete.ts";
import { Repl, type Reply, type ReplWorld } from "./repl.ts";
import { display } from "./show.ts";

const PROMPT = "tvix> ";
const CONTINUED = "    > ";
const HISTORY_LINES = 1000;

/** Reads inputs until the end of standard input or `:q`. */
export async function run(args: readonly string[], flags: WorldFlags): Promise<void> {
  await withWorld(flags, async (world) => {
    const repl = new Repl(replWorld(args, flags, world));
    const terminal = process.stdin.isTTY;
    if (terminal) await print(`tvix ${version()}; :? for help\n`);
    await answer(() => ({ kind: "text", text: repl.reload() }), flags);
    const lines = createInterface({
      input: process.stdin,
      ...(terminal ? { output: process.stdout, history: readHistory(), historySize: HISTORY_LINES } : {}),
      prompt: PROMPT,
      removeHistoryDuplicates: true,
      completer: (line: string) => complete(line, repl),
    });
    if (terminal) lines.on("history", writeHistory);
    await readInputs(lines, repl, flags, terminal);
    lines.close();
  });
}

function replWorld(args: readonly string[], flags: WorldFlags, { session, given }: OpenWorld): ReplWorld {
  const { evaluator } = session;
  const directory = bytesToLatin1(encodeUtf8(process.cwd()));
  const home = bytesToLatin1(encodeUtf8(homedir()));
  return {
    evaluator,
    directory,
    load: (path) => {
      const absolute = path.startsWith("~/")
        ? home + path.slice(1)
        : path.startsWith("/")
          ? path
          : `${directory}/${path}`;
      return autoCall(evaluator.evaluateFile(canonicalPath(absolute)), given);
    },
    loadGiven: () => {
      const subjects = args.length === 0 ? [] : readSubjects(args, flags);
      const paths = flags.attr ?? [""];
      return subjects.flatMap((subject) =>
        paths.map((path) => autoCall(evaluateSubject(subject, path, given, evaluator), given)),
      );
    },
  };
}

/** Takes lines until they make an input, and answers it. */
async function readInputs(lines: Interface, repl: Repl, flags: WorldFlags, terminal: boolean): Promise<void> {
  let input = "";
  const prompt = (): void => {
    lines.setPrompt(input === "" ? PROMPT : CONTINUED);
    if (terminal) lines.prompt();
  };
  // Ctrl-C drops the input.
  lines.on("SIGINT", () => {
    input = "";
    process.stdout.write("\n");
    prompt();
  });
  prompt();
  for await (const line of lines) {
    input += input === "" ? line : `\n${line}`;
    const reply = await answer(() => repl.handle(bytesToLatin1(encodeUtf8(input))), flags);
    if (reply.kind === "quit") return;
    if (reply.kind !== "more") input = "";
    prompt();
  }
  if (input === "") return;
  reportError(new TvixError("ERR_CLI_USAGE", "the input ends in the middle of an expression"), false);
  process.exitCode = EXIT.failed;
}

/** Prints what `work` answers, or why it fails. */
async function answer(work: () => Reply, flags: WorldFlags): Promise<Reply> {
  let reply: Reply;
  try {
    reply = withSignals(work);
  } catch (error) {
    if (!showEvalError(error, flags.showTrace === true)) reportError(error, false);
    return { kind: "text", text: "" };
  }
  if (reply.kind === "text") await print(display(reply.text));
  return reply;
}

/** Runs `work` with the terminal in its usual mode, in which Ctrl-C ends the process: it cannot wait for JavaScript. */
function withSignals<T>(work: () => T): T {
  const raw = process.stdin.isTTY && process.stdin.isRaw;
  if (raw) process.stdin.setRawMode(false);
  try {
    return work();
  } finally {
    if (raw) process.stdin.setRawMode(true);
  }
}

function historyFile(): string {
  return join(process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state"), "tvix", "repl-history");
}

/** Inputs of earlier times, the latest first. */
function readHistory(): string[] {
  try {
    return readFileSync(historyFile(), "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}

function writeHistory(history: readonly string[]): void {
  try {
    mkdirSync(dirname(historyFile()), { recursive: true, mode: 0o700 });
    writeFileSync(historyFile(), `${history.join("\n")}\n`, { mode: 0o600 });
  } catch {
    // A home that cannot be written: there is no history then.
  }
}
