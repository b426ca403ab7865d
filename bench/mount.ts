// Rows: a mounted store against a file system in C that serves from memory, and virtual machines against virtiofsd.
//
// Both sides are served by processes of their own and timed by the same program, bench/fuse-peer.c, so that no side pays
// for JavaScript that only measures. As root only, which sets the peer's read-ahead to ours.
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { TvixError } from "../lib/base/error.ts";
import { openStore } from "../lib/store/index.ts";
import type { BenchRow } from "./row.ts";

const run = promisify(execFile);
const GB = 1.073741824;
const root = join(import.meta.dirname, "..");
const clock = join(root, "build/bench/fuse-peer");
const front = join(root, "build/bench/front");
const virtiofsd = "/usr/lib/qemu/virtiofsd";
/** Seconds of one sample of the front-end. */
const SLICE = "1";

let scratch = "";
let name = "";
const running = new Set<ChildProcess>();

/** A tree with one large file, many small ones and a wide directory, on the disk and in a store; made once. */
async function prepareTree(): Promise<void> {
  compile();
  if (scratch !== "") return;
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
  process.on("exit", cleanUp);
  const tree = join(scratch, "tree");
  for (const directory of ["small", "some", "wide"]) mkdirSync(join(tree, directory), { recursive: true });
  for (let at = 0; at < 64; at++) writeFileSync(join(tree, "big"), randomBytes(1 << 24), { flag: "a" });
  for (let i = 0; i < 20_000; i++) {
    const bytes = randomBytes(1024 + ((i * 37) % 3072));
    writeFileSync(join(tree, "small", `file-${String(i).padStart(6, "0")}`), bytes);
  }
  // virtiofsd holds a descriptor for each file that a guest knows, and gives up at 20 000.
  for (let i = 0; i < 5000; i++) writeFileSync(join(tree, "some", `file-${String(i).padStart(6, "0")}`), "");
  for (let i = 0; i < 100_000; i++) writeFileSync(join(tree, "wide", `file-${String(i).padStart(6, "0")}`), "");
  const store = await openStore(join(scratch, "store"));
  name = (await store.importPath(tree, { name: "tree" })).path.basename;
  await store.close();
  execFileSync("sync");
}

function compile(): void {
  mkdirSync(join(root, "build/bench"), { recursive: true });
  const flags = execFileSync("pkg-config", ["--cflags", "--libs", "fuse3"], { encoding: "utf8" }).trim().split(/\s+/);
  execFileSync("cc", ["-O2", "-o", clock, join(root, "bench/fuse-peer.c"), ...flags]);
  const units = ["front", "hostile", "main", "storm"].map((unit) => join(root, `native/test/front/${unit}.cc`));
  execFileSync("c++", ["-std=c++20", "-O2", "-o", front, ...units]);
}

function cleanUp(): void {
  for (const child of running) child.kill("SIGTERM");
  for (const mount of ["ours", "peer"])
    execFileSync("sh", ["-c", 'umount -l "$1" 2>&1; true', "sh", join(scratch, mount)]);
  rmSync(scratch, { recursive: true, force: true });
}

function start(command: string, ...args: string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.on("exit", () => running.delete(child));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

const tvixMount = join(root, "dist/cli/tvix-mount.js");

/** Mounts ours or the peer's; where the tree is. */
async function mount(whose: "ours" | "peer", ...options: string[]): Promise<{ tree: string; child: ChildProcess }> {
  const mountpoint = join(scratch, whose);
  mkdirSync(mountpoint, { recursive: true });
  const child =
    whose === "ours"
      ? start(process.execPath, tvixMount, "--store", join(scratch, "store"), ...options, mountpoint)
      : start(clock, "mount", mountpoint);
  const streams = [child.stdout, child.stderr].flatMap((stream) => (stream ? [once(stream, "data")] : []));
  await Promise.race(streams);
  if (whose === "ours") return { tree: join(mountpoint, name), child };
  const { dev } = await stat(mountpoint, { bigint: true });
  await writeFile(`/sys/class/bdi/${dev >> 8n}:${dev & 255n}/read_ahead_kb`, "1024");
  return { tree: mountpoint, child };
}

async function time(command: "read" | "small" | "find" | "drop", path: string): Promise<number> {
  return Number((await run(clock, [command, path])).stdout);
}

const mounts: { ours?: string; peer?: string } = {};

async function prepareMounts(): Promise<void> {
  await prepareTree();
  for (const whose of ["ours", "peer"] as const) {
    mounts[whose] = (await mount(whose)).tree;
    // The store is warm: every chunk was verified once, every place looked up.
    await time("small", join(mounts[whose], "small"));
    await time("read", join(mounts[whose], "big"));
  }
}

async function stopAll(): Promise<void> {
  for (const child of running) await stop(child);
}

/** Reads what is in no page cache. */
async function cold(command: "read" | "small", path: string): Promise<number> {
  await time("drop", path);
  return await time(command, path);
}

/** Reads a second time what the kernel has taken in anew: where pages lie in memory decides much of the speed. */
async function again(path: string): Promise<number> {
  await cold("read", path);
  return await time("read", path);
}

/** Walks a directory that the kernel knows nothing of yet. */
async function find(whose: "ours" | "peer"): Promise<number> {
  const { tree, child } = await mount(whose);
  const seconds = await time("find", join(tree, "wide"));
  await stop(child);
  return seconds;
}

/** Calls `use` with the socket of a device that serves the tree, and the tree's path in it. */
async function withDevice<T>(whose: "ours" | "peer", use: (socket: string, tree: string) => Promise<T>): Promise<T> {
  const socket = join(scratch, `${whose}.sock`);
  if (whose === "peer" && !existsSync(virtiofsd)) {
    throw new TvixError("ERR_BENCH_PEER", `${virtiofsd} is missing: apt-get install qemu-system-common`);
  }
  const child =
    whose === "ours"
      ? start(process.execPath, tvixMount, "--store", join(scratch, "store"), "--virtiofs", socket)
      : start(virtiofsd, `--socket-path=${socket}`, "-o", `source=${scratch}`, "-o", "cache=always");
  while (!existsSync(socket)) await sleep(20);
  try {
    return await use(socket, whose === "ours" ? name : "tree");
  } finally {
    await stop(child);
    rmSync(socket, { force: true });
  }
}

const drive = (whose: "ours" | "peer", command: "lookups" | "reads", below: string): Promise<number> =>
  withDevice(whose, async (socket, tree) =>
    Number((await run(front, [socket, command, `${tree}/${below}`, SLICE])).stdout),
  );

/** Runs a shell command in a guest; the seconds it took, by the guest's clock. */
const inGuest = (whose: "ours" | "peer", command: (tree: string) => string): Promise<number> =>
  withDevice(whose, async (socket, tree) => {
    const script = join(scratch, "guest");
    const body = command(`/nix/store/${tree}`);
    writeFileSync(
      script,
      `${body}\nread a b </proc/uptime\n{ ${body}; } >/dev/null\nread c d </proc/uptime\necho "$a $c"\n`,
    );
    const env = { ...process.env, TVIX_MICROVM_SECONDS: "600" };
    const { stdout } = await run(join(root, "script/microvm"), ["--socket", socket, "--run", script], { env });
    const [, from, to] = /^([\d.]+) ([\d.]+)$/m.exec(stdout) ?? [];
    return Number(to) - Number(from);
  });

const readBig = (tree: string) =>
  `echo 3 >/proc/sys/vm/drop_caches; dd if=${tree}/big of=/dev/null bs=1M count=256 2>&1`;
const findSmall = (tree: string) => `echo 3 >/proc/sys/vm/drop_caches; find ${tree}/some -exec stat {} + >/dev/null`;

export const rows: readonly BenchRow[] = [
  {
    name: "mount-read",
    work: "1 GiB read in order from a mount, none in the page cache",
    peer: "libfuse in C, bytes from memory",
    reach: 0.9,
    sense: "throughput",
    prepare: prepareMounts,
    ours: async () => GB / (await cold("read", join(mounts.ours ?? "", "big"))),
    peers: async () => GB / (await cold("read", join(mounts.peer ?? "", "big"))),
    cleanup: stopAll,
  },
  {
    name: "mount-again",
    work: "1 GiB read again from a mount",
    peer: "plain file in the page cache",
    reach: 0.95,
    sense: "throughput",
    prepare: async () => {
      await prepareMounts();
      await time("read", join(scratch, "tree/big"));
    },
    ours: async () => GB / (await time("read", join(mounts.ours ?? "", "big"))),
    peers: async () => GB / (await time("read", join(scratch, "tree/big"))),
    cleanup: stopAll,
  },
  {
    name: "mount-again-fuse",
    work: "1 GiB read again from a mount, the page cache filled anew",
    peer: "libfuse in C",
    reach: 0.95,
    sense: "throughput",
    prepare: prepareMounts,
    ours: async () => GB / (await again(join(mounts.ours ?? "", "big"))),
    peers: async () => GB / (await again(join(mounts.peer ?? "", "big"))),
    cleanup: stopAll,
  },
  {
    name: "mount-passthrough",
    work: "1 GiB read from a mount with passthrough, its copy made before",
    peer: "plain file in the page cache",
    reach: 0.9,
    sense: "throughput",
    prepare: async () => {
      await prepareTree();
      mounts.ours = (await mount("ours", "--passthrough", scratch)).tree;
      await time("read", join(mounts.ours, "big"));
      await time("read", join(scratch, "tree/big"));
    },
    ours: async () => GB / (await time("read", join(mounts.ours ?? "", "big"))),
    peers: async () => GB / (await time("read", join(scratch, "tree/big"))),
    cleanup: stopAll,
  },
  {
    name: "mount-small",
    work: "20 000 small files opened, read, closed; none in the page cache",
    peer: "libfuse in C, bytes from memory",
    reach: 1.25,
    sense: "time",
    prepare: prepareMounts,
    ours: () => cold("small", join(mounts.ours ?? "", "small")),
    peers: () => cold("small", join(mounts.peer ?? "", "small")),
    cleanup: stopAll,
  },
  {
    name: "mount-find",
    work: "names and attributes of 100 000 entries in a fresh mount",
    peer: "libfuse in C",
    reach: 1.25,
    sense: "time",
    prepare: prepareTree,
    ours: () => find("ours"),
    peers: () => find("peer"),
  },
  {
    name: "vhost-read",
    work: "128 KiB reads over vhost-user, 4 under way, no guest",
    peer: "virtiofsd",
    reach: 1.5,
    sense: "throughput",
    prepare: prepareTree,
    ours: () => drive("ours", "reads", "big"),
    peers: () => drive("peer", "reads", "big"),
  },
  {
    name: "vhost-lookup",
    work: "100 000 lookups over vhost-user, 4 under way, no guest",
    peer: "virtiofsd",
    reach: 0.5,
    sense: "time",
    prepare: prepareTree,
    ours: async () => 1e5 / (await drive("ours", "lookups", "some")),
    peers: async () => 1e5 / (await drive("peer", "lookups", "some")),
  },
  {
    name: "guest-read",
    work: "256 MiB read in order in a guest (TCG), none in its page cache",
    peer: "virtiofsd",
    reach: 1,
    sense: "throughput",
    prepare: prepareTree,
    ours: async () => 0.268435456 / (await inGuest("ours", readBig)),
    peers: async () => 0.268435456 / (await inGuest("peer", readBig)),
  },
  {
    name: "guest-stat",
    work: "find and stat of 5 000 files in a guest (TCG)",
    peer: "virtiofsd",
    reach: 1,
    sense: "time",
    prepare: prepareTree,
    ours: () => inGuest("ours", findSmall),
    peers: () => inGuest("peer", findSmall),
  },
];
