// Mounts for tests: served by a process of its own, used by programs with a time limit, always unmounted at the end.
//
// A test must not touch a mount by synchronous calls: should the server hang, the whole run would.
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { MountCounts } from "../../lib/mount/index.ts";
import type { Job } from "./serve.ts";

const root = join(import.meta.dirname, "../..");

/** Whether the addon is there; exports for virtual machines need no more. */
export const hasAddon: boolean = existsSync(join(root, "build/fuse/fuse.node"));

/** Why nothing can be mounted here; `undefined` when it can. */
export const hindrance: string | undefined = findHindrance();
if (hindrance !== undefined) console.warn(`SKIPPED: ${hindrance}; no mount is tested`);

function findHindrance(): string | undefined {
  if (!hasAddon) return "the fuse addon is not built (npm run build:fuse)";
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return "/dev/fuse cannot be used";
  }
}

interface Message {
  readonly failed?: string;
  readonly counts?: MountCounts;
  readonly done?: boolean;
  readonly log?: string;
}

/** A mount served by another process. */
export class Served {
  readonly mountpoint: string;
  readonly child: ChildProcess;
  readonly log: string[] = [];
  /** The code of the error that kept it from mounting. */
  failed: string | undefined;
  #waiting: ((message: Message) => void)[] = [];

  constructor(job: Job) {
    this.mountpoint = job.mountpoint ?? "";
    this.child = spawn(
      process.execPath,
      ["--import", "tsx", join(import.meta.dirname, "serve.ts"), JSON.stringify(job)],
      { cwd: root, stdio: ["ignore", "inherit", "inherit", "ipc"] },
    );
    this.child.on("message", (message: Message) => {
      if (message.log !== undefined) this.log.push(message.log);
      else this.#waiting.shift()?.(message);
    });
    this.child.on("exit", () => this.#waiting.shift()?.({ failed: "exit" }));
  }

  next(): Promise<Message> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a message and waits for its answer. */
  ask(message: string): Promise<Message> {
    const answer = this.next();
    this.child.send(message);
    return answer;
  }

  async counts(): Promise<MountCounts> {
    return (await this.ask("counts")).counts as MountCounts;
  }

  /** Waits for the end of the process: its exit code, or the signal that ended it. */
  ended(): Promise<number | string | null> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) {
      return Promise.resolve(child.exitCode ?? child.signalCode);
    }
    return new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
  }
}

const open = new Set<Served>();

/** Mounts, in a process of its own. */
export async function serve(job: Job): Promise<Served> {
  if (job.mountpoint !== undefined) mkdirSync(job.mountpoint, { recursive: true });
  return await attempt(job);
}

/** The same for a mountpoint that is left as it is. */
export async function attempt(job: Job): Promise<Served> {
  const served = new Served(job);
  open.add(served);
  served.failed = (await served.next()).failed;
  return served;
}

afterEach(async () => {
  for (const served of open) {
    const { mountpoint } = served;
    const unmount = () => {
      if (mountpoint !== "") spawnSync("umount", ["-l", mountpoint], { stdio: "ignore", timeout: 5000 });
    };
    unmount();
    served.child.kill("SIGKILL");
    await served.ended();
    // A killed server leaves a dead mount when the first unmounting came too early.
    unmount();
  }
  open.clear();
});

/** Whether the kernel's table has a mount there. */
export function isMounted(mountpoint: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === mountpoint);
}

/** What a program came to. */
export interface Ran {
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a shell command with a time limit; `$1`… are the arguments. */
export function sh(script: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { timeout: 30_000, killSignal: "SIGKILL", maxBuffer: 1 << 26 } as const;
    execFile("/bin/sh", ["-c", script, "sh", ...args], options, (error, stdout, stderr) => {
      resolve({ status: error ? (error.code ?? error.signal ?? null) : 0, stdout, stderr });
    });
  });
}
