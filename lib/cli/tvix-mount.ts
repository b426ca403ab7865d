#!/usr/bin/env node
// The `tvix-mount` command: a store as a directory, or for virtual machines, served until the process is told to end.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import type { MountOptions } from "../mount/mount.ts";
import type { ExportOptions } from "../mount/virtiofs.ts";
import type { Store } from "../store/store.ts";
import type { watchUse } from "../store/used.ts";
import { version } from "./program.ts";
import { EXIT, reportError } from "./render/error.ts";

interface Options {
  readonly store?: string;
  readonly listRoot?: boolean;
  readonly allowOther?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  readonly daemon?: boolean;
  readonly log?: string;
  readonly unmount?: boolean;
  readonly virtiofs?: string;
  readonly stats?: boolean;
  readonly maxInodes?: number;
  readonly passthrough?: string;
  readonly passthroughFrom?: number;
  readonly passthroughLimit?: number;
}

const EXAMPLES = `
Examples:
  $ tvix-mount /mnt/store                       the default store, until Ctrl-C
  $ tvix-mount --store /srv/tvix --list-root --daemon --log /var/log/tvix-mount /mnt/store
  $ cat /mnt/store/<hash>-<name>/README
  $ getfattr -d /mnt/store/<hash>-<name>        digests of files and directories
  $ tvix-mount --unmount /mnt/store
  $ tvix-mount --store /srv/tvix --virtiofs /run/tvix.sock    for a virtual machine

Names are found whether the root can be listed or not. What a killed process left on DIR is cleaned up.`;

function program(): Command {
  return new Command("tvix-mount")
    .description("Mount a store as a directory of its paths, read-only, fetching what is touched.")
    .argument("[dir]", "an existing directory")
    .option("--store <address>", "the store (default: $TVIX_STORE, else the user's)")
    .option("--list-root", "let the root be listed; a store may hold millions of paths")
    .option("--allow-other", "let other users in (unless root mounts, /etc/fuse.conf has to allow it)")
    .option("--uid <number>", "owner of everything", userNumber)
    .option("--gid <number>", "group of everything", userNumber)
    .option("--daemon", "return when the mount is there, and serve it in the background")
    .option("--log <file>", "append a line for each thing that could not be served (default: standard error)")
    .option("--passthrough <dir>", "let the kernel read large files from copies in DIR, made when first opened (root)")
    .option("--passthrough-from <MiB>", "size of the smallest file that is copied (default: 64)", sizeNumber)
    .option("--passthrough-limit <MiB>", "what copies may take together (default: 4096)", sizeNumber)
    .option("--virtiofs <socket>", "instead of mounting, offer the store to a virtual machine (vhost-user-fs)")
    .option("--max-inodes <number>", "what the virtual machine may hold at a time (default: 1048576)", countNumber)
    .option("--stats", "say at the end how much of a remote store was fetched")
    .option("--unmount", "unmount DIR, whoever serves it; a dead mount too")
    .version(version(), "-V, --version")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError()
    .exitOverride()
    .action(async (dir: string | undefined, options: Options, command: Command) => {
      if ((dir === undefined) === (options.virtiofs === undefined)) {
        command.error("error: give a directory to mount on, or --virtiofs with a socket");
      }
      if (options.virtiofs !== undefined && options.passthrough !== undefined) {
        command.error("error: --passthrough is for mounts, not for --virtiofs");
      }
      if (dir !== undefined && options.unmount) {
        const { unmountFuse } = await import("../mount/mountpoint.ts");
        await unmountFuse(dir);
      } else if (options.daemon) {
        await startDaemon();
      } else {
        await serve(options, dir);
      }
    });
}

function sizeNumber(text: string): number {
  const number = Number(text);
  if (/^[1-9]\d*$/.test(text) && number <= 2 ** 32) return number * 2 ** 20;
  throw new InvalidArgumentError("not a number of MiB");
}

function countNumber(text: string): number {
  const number = Number(text);
  if (/^[1-9]\d*$/.test(text) && number < 2 ** 32) return number;
  throw new InvalidArgumentError("not a number from 1 to 4294967295");
}

function userNumber(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number < 2 ** 32 - 1) return number;
  throw new InvalidArgumentError("not the number of a user or group");
}

/** What is served: ends by itself, or is ended. */
interface Served {
  /** The mountpoint or socket, for people. */
  readonly place: string;
  readonly ended: Promise<void>;
  end(): Promise<void>;
}

/** Serves, and returns when that is over: by a signal, or because someone unmounted it. */
async function serve(options: Options, dir: string | undefined): Promise<void> {
  const { openStore } = await import("../store/open.ts");
  const opened = await openStore(options.store, { readOnly: true });
  const watched = options.stats ? await watchRemote(opened) : undefined;
  const store = watched?.store ?? opened;
  try {
    const { listRoot = false, uid, gid } = options;
    const owner = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
    const shared = { store, listRoot, onLog: logTo(options.log), ...owner };
    const served =
      dir === undefined
        ? await offer({ ...shared, socket: options.virtiofs ?? "", ...bounds(options) })
        : await mount({ ...shared, mountpoint: dir, allowOther: options.allowOther ?? false, ...copies(options) });
    endOnSignals(served);
    announce(served.place);
    await served.ended;
    if (options.stats) await tellUse(logTo(options.log), watched);
  } finally {
    await store.close();
  }
}

function bounds({ maxInodes }: Options): Pick<ExportOptions, "maxInodes"> {
  return maxInodes === undefined ? {} : { maxInodes };
}

function copies(options: Options): Pick<MountOptions, "passthrough"> {
  const { passthrough: directory, passthroughFrom: minimum, passthroughLimit: limit } = options;
  if (directory === undefined) return {};
  const sizes = { ...(minimum !== undefined && { minimum }), ...(limit !== undefined && { limit }) };
  return { passthrough: { directory, ...sizes } };
}

type Watched = ReturnType<typeof watchUse>;

async function watchRemote(store: Store): Promise<Watched | undefined> {
  if (store.received === undefined) return undefined;
  return (await import("../store/used.ts")).watchUse(store);
}

async function tellUse(log: (line: string) => void, watched: Watched | undefined): Promise<void> {
  if (watched === undefined) return log("nothing was fetched: the store is on this machine");
  const { received, closureBytes, closure, paths } = await watched.use();
  log(`fetched ${received} of ${closureBytes} bytes in the closure (${closure} paths) of the ${paths} paths used`);
}

async function mount(options: MountOptions): Promise<Served> {
  const { mountFuse } = await import("../mount/mount.ts");
  const mounted = await mountFuse(options);
  return {
    place: `mounted on ${mounted.mountpoint}; Ctrl-C unmounts`,
    ended: mounted.ended,
    end: () => mounted.unmount(),
  };
}

async function offer(options: ExportOptions): Promise<Served> {
  const { exportVirtiofs } = await import("../mount/virtiofs.ts");
  const exported = await exportVirtiofs(options);
  return {
    place: `waiting for virtual machines on ${exported.socket}; Ctrl-C ends`,
    ended: exported.ended,
    end: () => exported.close(),
  };
}

function logTo(file: string | undefined): (line: string) => void {
  if (file === undefined) return (line) => process.stderr.write(`tvix-mount: ${line}\n`);
  return (line) => appendFileSync(file, `${new Date().toISOString()} ${line}\n`);
}

function endOnSignals(served: Served): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      served.end().catch((error: unknown) => {
        reportError(error, false);
        process.exit(EXIT.failed);
      });
    });
  }
}

/** Tells whoever waits that it is there: the process that started this one as a daemon, or a person. */
function announce(place: string): void {
  if (process.send) {
    // From here on nobody reads what a daemon writes to its standard error.
    process.stderr.on("error", () => {});
    process.send("mounted");
    process.disconnect();
  } else {
    process.stderr.write(`${place}\n`);
  }
}

/** Runs this command again, detached, and waits until its mount is there. */
async function startDaemon(): Promise<void> {
  const args = process.argv.slice(1).filter((arg) => arg !== "--daemon");
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    // A pipe of its own: whoever reads our standard error to its end is not to wait for the daemon's.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  child.stderr?.pipe(process.stderr, { end: false });
  const mounted = once(child, "message").then(() => true);
  if (await Promise.race([mounted, once(child, "exit").then(() => false)])) {
    child.stderr?.destroy();
    child.unref();
    return;
  }
  // What went wrong, the child has said on standard error.
  process.exitCode = child.exitCode ?? EXIT.failed;
}

async function main(argv: readonly string[]): Promise<number> {
  // `tvix-mount --help | head`: whoever reads has had enough, which is no failure.
  process.stdout.on("error", () => {});
  try {
    await program().parseAsync([...argv], { from: "user" });
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    reportError(error, false);
    return EXIT.failed;
  }
}

process.exitCode = await main(process.argv.slice(2));
