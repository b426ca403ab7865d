// Timing whole processes, as a user would wait for them.
import { spawn } from "node:child_process";
import { TvixError } from "../lib/base/error.ts";

/** What running a command cost, in seconds. */
export interface ProcessTime {
  /** From start to exit. */
  readonly wall: number;
  /** Processor time in user mode, of all threads. */
  readonly user: number;
}

/**
 * What commands see of the machine's environment. Settings such as NODE_EXTRA_CA_CERTS, with which Node 20 reads a
 * hundred certificates before it runs anything, would be measured on one side only.
 */
const KEPT = new Set(["PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR"]);

/** Runs a command with its output to /dev/null and returns its times; a failing command is an error. */
export async function timeProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessTime> {
  // The shell's own clock: it starts right before the command and knows the user time of a child.
  const script = 'TIMEFORMAT="%R %U"; { time "$@" >/dev/null 2>&3; } 3>/dev/null';
  const child = spawn("bash", ["-c", script, "bash", command, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => KEPT.has(name))), ...env, LC_ALL: "C" },
  });
  let report = "";
  child.stderr?.on("data", (piece: Buffer) => {
    report += piece.toString();
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (status !== 0) throw new TvixError("ERR_BENCH_COMMAND", `${command} ${args.join(" ")} exited with ${status}`);
  const [wall, user] = report.trim().split(" ").map(Number);
  return { wall: wall as number, user: user as number };
}
