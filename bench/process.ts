// Timing whole processes, as a user would wait for them.
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { TvixError } from "../lib/base/error.ts";

/** What running a command cost. */
export interface ProcessTime {
  /** Wall-clock seconds from start to exit. */
  readonly wall: number;
}

/** Runs a command with its output to /dev/null and returns its wall time; a failing command is an error. */
export async function timeProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessTime> {
  const sink = openSync("/dev/null", "w");
  const start = process.hrtime.bigint();
  const status = await new Promise<number | null>((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", sink, "pipe"], env: { ...process.env, ...env } });
    child.stderr?.resume();
    child.on("error", reject);
    child.on("close", resolve);
  });
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  closeSync(sink);
  if (status !== 0) throw new TvixError("ERR_BENCH_COMMAND", `${command} ${args.join(" ")} exited with ${status}`);
  return { wall };
}
