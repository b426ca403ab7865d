// Rows: NAR streams and imports, whole processes against C++ Nix on the same tree.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../lib/base/error.ts";
import { timeProcess } from "./process.ts";
import type { BenchRow } from "./row.ts";

const cli = join(import.meta.dirname, "../dist/cli/tvix.cjs");
const tree = process.env["TVIX_BENCH_TREE"] ?? "/usr/lib/x86_64-linux-gnu";

/** Runs our command line in its own process, on the store at `store`. */
async function tvix(args: readonly string[], store = "memory:"): Promise<number> {
  return (await timeProcess(process.execPath, [cli, ...args], { TVIX_STORE: store })).wall;
}

async function nix(command: string, args: readonly string[]): Promise<number> {
  return (await timeProcess(command, args)).wall;
}

/** Earlier samples' pages must not be written while the next one is timed. */
function settle(): void {
  execFileSync("sync");
}

let scratch = "";

function prepareScratch(): Promise<void> {
  if (!existsSync(cli)) throw new TvixError("ERR_BENCH_USAGE", "nothing is compiled yet: npm run build");
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
  // Both sides read the tree from the page cache.
  execFileSync("nix-store", ["--dump", tree], { stdio: ["ignore", "ignore", "ignore"] });
  return Promise.resolve();
}

function removeScratch(): Promise<void> {
  rmSync(scratch, { recursive: true, force: true });
  return Promise.resolve();
}

/** One import by each side into a store under `name`; with `fresh`, the store is empty each time. */
function importRow(row: Pick<BenchRow, "name" | "work" | "reach">, source: () => string, fresh: boolean): BenchRow {
  const sample = async (name: string, run: (store: string) => Promise<number>): Promise<number> => {
    const store = join(scratch, name);
    if (fresh) rmSync(store, { recursive: true, force: true });
    settle();
    const seconds = await run(store);
    if (fresh) rmSync(store, { recursive: true, force: true });
    return seconds;
  };
  const ours = (): Promise<number> => sample("ours", (store) => tvix(["store", "import", source()], store));
  const peers = (): Promise<number> =>
    sample("nix", (store) => nix("nix-store", ["--store", store, "--add", source()]));
  return {
    ...row,
    peer: "nix-store --add",
    sense: "time",
    prepare: async () => {
      await prepareScratch();
      if (fresh) return;
      await ours();
      await peers();
    },
    ours,
    peers,
    cleanup: removeScratch,
  };
}

/** A tree of 10 000 files of 2 KiB, in a hundred directories, all different. */
function smallFiles(): string {
  const root = join(scratch, "small");
  if (existsSync(root)) return root;
  for (let directory = 0; directory < 100; directory++) {
    const path = join(root, `d${directory}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < 100; file++) {
      writeFileSync(join(path, `f${file}`), `${directory} ${file} `.repeat(512).slice(0, 2048));
    }
  }
  return root;
}

function narHashRow(name: string, of: string): BenchRow {
  return {
    name,
    work: `NAR hash of ${of}`,
    peer: "nix-hash --type sha256 --base32",
    reach: 0.8,
    sense: "time",
    prepare: prepareScratch,
    ours: () => tvix(["hash", of]),
    peers: () => nix("nix-hash", ["--type", "sha256", "--base32", of]),
    cleanup: removeScratch,
  };
}

export const rows: readonly BenchRow[] = [
  {
    name: "nar-pack",
    work: `NAR of ${tree} to /dev/null`,
    peer: "nix-store --dump",
    reach: 1,
    sense: "time",
    prepare: prepareScratch,
    ours: () => tvix(["nar", "pack", tree]),
    peers: () => nix("nix-store", ["--dump", tree]),
    cleanup: removeScratch,
  },
  narHashRow("nar-hash", tree),
  // Smaller files, more of the work beside the hash, whose speed is the machine's.
  narHashRow("nar-hash-share", "/usr/share"),
  importRow({ name: "import-empty", work: `import of ${tree}, empty store`, reach: 0.5 }, () => tree, true),
  importRow({ name: "import-again", work: "the same again, nothing new", reach: 0.3 }, () => tree, false),
  importRow({ name: "import-small", work: "import of 10 000 files of 2 KiB", reach: 0.5 }, smallFiles, true),
];
