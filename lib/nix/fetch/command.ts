// Running the user's own programs: git and hg.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";

/** How to run a program. */
export interface CommandOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
}

/** What a program printed, and whether it succeeded. */
export interface CommandResult {
  readonly status: number | null;
  readonly stdout: Uint8Array;
  /** The last lines of its messages. */
  readonly messages: readonly string[];
}

/** Lines of a failed program's messages that are shown. */
const SHOWN_LINES = 8;

/** Bytes of messages that are kept. */
const STDERR_LIMIT = 64 * 1024;

/** Variables that would point a program at another repository than the one meant. */
const FOREIGN = /^GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|NAMESPACE|PREFIX|COMMON_DIR)$/;

/** Messages and formats that do not depend on the user's language and settings. */
const PLAIN = { LC_ALL: "C", HGPLAIN: "1", HGENCODING: "utf-8" };

/** Starts a program. @throws TvixError `ERR_FETCH_PROGRAM` when it is not there, in {@link Running.end} */
export class Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #title: string;
  readonly #ended: Promise<number | null>;
  #stderr = "";

  constructor(program: string, args: readonly string[], { cwd, environment, input }: CommandOptions = {}) {
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
    // Nobody is there to be asked for a password: the thread that waits reads nothing.
    const env = { GIT_TERMINAL_PROMPT: "0", ...own, ...PLAIN, ...environment };
    this.child = spawn(program, args, { cwd, env });
    this.#title = `${program} ${args.find((arg) => /^[a-z][a-z-]*$/.test(arg)) ?? ""}`.trim();
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_LIMIT);
    });
    this.#ended = new Promise((resolve, reject) => {
      this.child.on("error", (cause) => reject(unavailable(program, cause)));
      this.child.on("close", resolve);
    });
    this.#ended.catch(() => {});
    // A program that ends early has said why; that nobody reads its input any more adds nothing.
    this.child.stdin.on("error", () => {});
    this.child.stdin.end(input ?? "");
  }

  /** Waits for the end; all that was printed. */
  async output(): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    this.child.stdout.on("data", (piece: Uint8Array) => pieces.push(piece));
    await this.#ended;
    return concatBytes(pieces);
  }

  /** Waits for the end; the exit status. */
  status(): Promise<number | null> {
    return this.#ended;
  }

  /** The last lines of the program's messages. */
  get messages(): readonly string[] {
    return this.#stderr
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-SHOWN_LINES);
  }

  /** Waits for the end. @throws TvixError `ERR_FETCH_COMMAND` when the program failed */
  async end(): Promise<void> {
    const status = await this.#ended;
    if (status !== 0) throw commandFailed(this.#title, status, this.messages);
  }

  /** Ends the program, if it runs still. */
  stop(): void {
    this.child.kill();
  }
}

/** Runs a program to its end, whatever its exit status. @throws TvixError `ERR_FETCH_PROGRAM` */
export async function tryRun(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const running = new Running(program, args, options);
  const stdout = await running.output();
  return { status: await running.status(), stdout, messages: running.messages };
}

/** Runs a program and answers what it printed. @throws TvixError `ERR_FETCH_PROGRAM`, `ERR_FETCH_COMMAND` */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Uint8Array> {
  const running = new Running(program, args, options);
  const stdout = await running.output();
  await running.end();
  return stdout;
}

function commandFailed(title: string, status: number | null, notes: readonly string[]): TvixError {
  const how = status === null ? "was ended by a signal" : `failed with exit code ${status}`;
  return new TvixError("ERR_FETCH_COMMAND", `${title} ${how}`, { notes });
}

function unavailable(program: string, cause: Error): TvixError {
  const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
  const message = missing ? `the program '${program}' was not found` : `cannot run '${program}': ${cause.message}`;
  return new TvixError("ERR_FETCH_PROGRAM", message, {
    cause,
    notes: missing ? [`fetching this needs ${program}: install it, or see that it is in $PATH`] : [],
  });
}
