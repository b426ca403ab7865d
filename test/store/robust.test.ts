// What a store survives: kills, lost page caches, other processes, full and read-only disks, flipped bytes.
//
// The counts are small here; TVIX_SOAK=1 raises them to those that the store is held to (docs/store.md).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { TvixError } from "../../lib/base/error.ts";
import { asDigest, digestText, EMPTY_DIGEST } from "../../lib/castore/digest.ts";
import { decodeLocation, type Location } from "../../lib/castore/local/packs.ts";
import { undisturbed } from "../../lib/castore/local/verify.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { PackReader } from "../../lib/native/pack.ts";
import { collectGarbage } from "../../lib/store/gc.ts";
import { openStore } from "../../lib/store/open.ts";
import { listRoots, removeRoot } from "../../lib/store/roots.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyAddress, verifyStore } from "../../lib/store/verify.ts";
import { scratch } from "./fixture.ts";

const SOAK = process.env["TVIX_SOAK"] === "1";
const KILLS = SOAK ? 200 : 4;
const PROCESSES = SOAK ? 8 : 3;
const FLIPS = SOAK ? 4000 : 40;
/** Collections that remove something, and readings of all, beside each other. */
const ROUNDS = SOAK ? 100 : 3;
const TIMEOUT = SOAK ? 1_800_000 : 60_000;
const child = fileURLToPath(import.meta.resolve("./child.ts"));
const { base, fresh } = scratch("robust");

/** Trees that share most of their files; each has some of its own. */
function overlapping(count: number, files: number, seed: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const path = join(fresh(), `tree-${seed}-${i}`);
    mkdirSync(join(path, "sub"), { recursive: true });
    for (let k = 0; k < files; k++) {
      const own = k % count === i;
      const bytes = pseudoRandomBytes(1000 + 37 * k, own ? seed * 100_000 + i * 1000 + k : k + 1);
      writeFileSync(join(path, k % 2 === 0 ? "sub" : ".", `f${k}`), bytes);
    }
    writeFileSync(join(path, "large"), pseudoRandomBytes(600_000, seed + 7 * (i % 2)));
    return path;
  });
}

interface Started {
  readonly process: ChildProcess;
  readonly lines: string[];
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Started {
  const process_ = spawn(process.execPath, ["--import", "tsx", child, ...args], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  createInterface({ input: process_.stdout as NodeJS.ReadableStream }).on("line", (line) => lines.push(line));
  return { process: process_, lines };
}

/** Runs one to its end. */
function runChild(...args: string[]): void {
  const { status } = spawnSync(process.execPath, ["--import", "tsx", child, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(status, args.join(" ")).toBe(0);
}

const ended = (process_: ChildProcess) =>
  new Promise<number | null>((done) => {
    if (process_.exitCode !== null) done(process_.exitCode);
    else process_.on("close", (code) => done(code));
  });

const pause = (milliseconds: number) =>
  new Promise((done) => {
    setTimeout(done, milliseconds);
  });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(2);
}

/** Opens the store, verifies it, and checks that everything acknowledged is there. */
async function expectWhole(directory: string, acknowledged: Iterable<string>): Promise<void> {
  const store = await openStore(directory);
  try {
    expect((await verifyStore(store)).damage).toEqual([]);
    for (const name of acknowledged) await store.info(name);
  } finally {
    await store.close();
  }
}

const isStorePath = (line: string) => /^[0-9a-z]{32}-/.test(line);

/** Kills imports at random moments after their store is open; between kills the store must be whole. */
async function killAndCheck(live: string, check: string, env: NodeJS.ProcessEnv): Promise<void> {
  const acknowledged = new Set<string>();
  for (let i = 0; i < KILLS; i++) {
    const trees = overlapping(3, 40, i);
    const { process: importing, lines } = start(["import", live, ...trees], env);
    await until(() => lines.includes("open") || importing.exitCode !== null);
    await pause(Math.random() * (i % 2 === 0 ? 40 : 150));
    importing.kill("SIGKILL");
    await ended(importing);
    for (const line of lines.filter(isStorePath)) acknowledged.add(line);
    await expectWhole(check, acknowledged);
    if (check !== live) {
      // What the disk kept is what goes on.
      rmSync(live, { recursive: true });
      cpSync(check, live, { recursive: true });
    }
    for (const tree of trees) rmSync(join(tree, ".."), { recursive: true });
  }
  const trees = overlapping(3, 40, KILLS - 1);
  const { process: last, lines } = start(["import", live, ...trees], env);
  expect(await ended(last)).toBe(0);
  expect(lines.filter(isStorePath)).toHaveLength(3);
  await expectWhole(live, [...acknowledged, ...lines.filter(isStorePath)]);
}

describe("a killed writer", () => {
  test(
    `leaves a store that opens, verifies and holds what was acknowledged (${KILLS} kills)`,
    async () => {
      const directory = fresh();
      mkdirSync(directory);
      await killAndCheck(directory, directory, {});
    },
    TIMEOUT,
  );

  const library = join(base, "lost-cache.so");
  const source = join(import.meta.dirname, "lost-cache.c");
  const compiled =
    process.platform === "linux" &&
    spawnSync("cc", ["-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"]).status === 0;
  test.skipIf(!compiled)(
    `leaves as much when all that was never synced is lost (${KILLS} kills; skipped without a C compiler)`,
    async () => {
      const live = fresh();
      const kept = fresh();
      for (const path of [live, kept]) mkdirSync(path);
      // A store that has been synced once: the first open of all may be lost as a whole.
      const env = { LD_PRELOAD: library, TVIX_LOST_FROM: live, TVIX_LOST_TO: kept };
      expect(await ended(start(["import", live], env).process)).toBe(0);
      await killAndCheck(live, kept, env);
    },
    TIMEOUT,
  );
});

describe("several processes", () => {
  test(
    `import overlapping trees while another collects (${PROCESSES} processes)`,
    async () => {
      const directory = fresh();
      const trees = overlapping(SOAK ? 24 : 6, 60, 5);
      const collector = start(["gc", directory]);
      await until(() => collector.lines.length > 1);
      const importers = Array.from({ length: PROCESSES }, (_, i) =>
        start(["import", directory, ...trees.slice(i), ...trees.slice(0, i)]),
      );
      expect(await Promise.all(importers.map((one) => ended(one.process)))).toEqual(importers.map(() => 0));
      collector.process.stdin?.end();
      expect(await ended(collector.process)).toBe(0);
      const acknowledged = importers.flatMap((one) => one.lines.filter(isStorePath));
      expect(new Set(acknowledged).size).toBe(trees.length);
      await expectWhole(directory, acknowledged);
      const store = await openStore(directory);
      expect(await listRoots(store)).toHaveLength(trees.length);
      expect((await collectGarbage(store)).removedPaths).toEqual([]);
      await store.close();
      await expectWhole(directory, acknowledged);
    },
    TIMEOUT,
  );
});

describe("readers in processes of their own", () => {
  test(
    "read what is live, whole and right, while others import what is dead and collect it",
    async () => {
      const directory = fresh();
      const [live = "", ...dead] = overlapping(4, 40, 9);
      const first = start(["import", directory, live]);
      expect(await ended(first.process)).toBe(0);
      const [reader, churning, collector] = [["read"], ["churn", ...dead], ["gc"]].map(([command = "", ...rest]) =>
        start([command, directory, ...rest]),
      ) as [Started, Started, Started];
      const removed = () => collector.lines.filter((line) => /^removed [1-9]/.test(line)).length;
      const read = () => reader.lines.filter((line) => line === "read").length;
      const over = () => [reader, churning, collector].some((one) => one.process.exitCode !== null);
      await until(() => (removed() >= ROUNDS && read() >= ROUNDS) || over());
      for (const one of [reader, churning, collector]) one.process.stdin?.end();
      for (const one of [reader, churning, collector]) {
        expect(await ended(one.process), one.lines.join("\n")).toBe(0);
      }
      await expectWhole(directory, first.lines.filter(isStorePath));
    },
    TIMEOUT,
  );
});

describe("a collection", () => {
  test(
    "takes with it what an import without a root wrote after it had looked, and what that relied on",
    async () => {
      const directory = fresh();
      const [live = "", dead = "", , late = ""] = overlapping(4, 20, 12);
      runChild("import", directory, live);
      runChild("churn", directory, dead);
      const store = await openStore(directory);
      let isMarked = false;
      let imports = 0;
      // It is asked whether to go on between looking for what is dead and removing it.
      const throwIfAborted = () => {
        if (isMarked && imports++ === 0) runChild("churn", directory, late);
      };
      const signal = { aborted: false, throwIfAborted } as AbortSignal;
      await collectGarbage(store, { signal, onProgress: ({ phase }) => (isMarked ||= phase === "mark") });
      expect(imports).toBeGreaterThan(0);
      await store.close();
      await expectWhole(directory, []);
    },
    TIMEOUT,
  );
});

describe("a verification", () => {
  test(
    "is begun anew when something was collected beside it, and mends nothing before it is sure",
    async () => {
      const directory = fresh();
      const [live = "", dead = ""] = overlapping(2, 20, 11);
      runChild("import", directory, live);
      const store = await openStore(directory, { readOnly: true });
      const { castore } = store.requireLocal("verifying");
      const damage = [{ kind: "chunk", object: "b3:…", problem: "it seems to be gone", repaired: false }] as const;
      const repairs: boolean[] = [];
      const result = await undisturbed(castore, true, async (repair) => {
        repairs.push(repair);
        if (repairs.length > 2) return { damage };
        runChild("churn", directory, dead);
        runChild("gc", directory);
        return { damage };
      });
      expect(result).toEqual({ damage });
      expect(repairs).toEqual([false, false, false, true]);
      expect(await undisturbed(castore, true, async () => ({ damage: [] }))).toEqual({ damage: [] });
      await store.close();
    },
    TIMEOUT,
  );
});

describe("a chunk that is moved between the look-up and the reading", () => {
  test.each([1, 3])(
    "is followed, when it is moved %i times",
    async (moves) => {
      const directory = fresh();
      const [live = "", other = ""] = overlapping(2, 20, 8);
      runChild("import", directory, live);
      const store = await openStore(directory, { readOnly: true });
      const { blobs, directories, packs } = store.requireLocal("reading").castore;
      const [root] = await listRoots(store);
      const info = await store.info((root as { path: { basename: string } }).path.basename);
      const entries = directories.getSync(info.root.type === "directory" ? info.root.digest : EMPTY_DIGEST)?.entries;
      const file = entries?.find(({ node }) => node.type === "file" && node.size < 10_000)?.node;
      if (file?.type !== "file") throw new Error("the tree has no file");
      const { digest, size } = file;
      const seen: number[] = [];
      const reader = blobs.atPlace({ digest, size }, ({ pack }) => {
        seen.push(pack);
        // Another process moves it at the worst moment: it brings what is dead into the pack, and collects.
        if (seen.length <= moves) {
          runChild("churn", directory, other);
          runChild("gc", directory);
        }
        return PackReader.open(packs.path(pack));
      });
      reader.close();
      expect(new Set(seen).size).toBe(moves + 1);
      await store.close();
      await expectWhole(directory, [info.path.basename]);
    },
    TIMEOUT,
  );
});

/** Whether this user may mount in a namespace of their own. */
const canMount =
  process.platform === "linux" && spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0;

describe.skipIf(!canMount)("on awkward disks (skipped where mounting is not allowed)", () => {
  const inNamespace = (script: string, args: string[]): string[] =>
    spawnSync("unshare", ["-rm", "sh", "-euc", script, "sh", ...args], { encoding: "utf8" })
      .stdout.trim()
      .split("\n");
  const run = `"${process.execPath}" --import tsx "${child}"`;

  test("a full disk is an error, loses nothing, and room makes it go on", () => {
    const disk = fresh();
    mkdirSync(disk);
    const [small = "", large = ""] = overlapping(2, 20, 3);
    writeFileSync(join(large, "huge"), pseudoRandomBytes(12_000_000, 99));
    const lines = inNamespace(
      `mount -t tmpfs -o size=8m tmpfs "$1"
       ${run} import "$1/store" "$2"
       ${run} fill "$1/store" "$2" "$3"
       head -c 20000000 /dev/zero >"$1/filler" 2>/dev/null || true
       ${run} import "$1/store" "$4" || true
       rm "$1/filler"
       ${run} import "$1/store" "$4"
       ${run} verify "$1/store"`,
      [disk, small, large, overlapping(1, 10, 77)[0] ?? ""],
    );
    expect(lines.filter((line) => line.startsWith("{"))).toEqual([]);
    expect(lines.filter((line) => line.startsWith("ERR_"))).toEqual(["ERR_STORE_FULL", "ERR_STORE_FULL"]);
    const paths = lines.filter(isStorePath);
    expect(paths).toHaveLength(3);
    expect(paths[1]).toBe(paths[0]);
  });

  test("a read-only disk can be read and says why it cannot be written", () => {
    const disk = fresh();
    mkdirSync(disk);
    const [tree = ""] = overlapping(1, 10, 4);
    const lines = inNamespace(
      `mount -t tmpfs tmpfs "$1"
       ${run} import "$1/store" "$2"
       mount -o remount,ro "$1"
       ${run} verify "$1/store"
       ${run} import "$1/store" "$2" || true
       ${run} import "$1/other" "$2" || true`,
      [disk, tree],
    );
    expect(lines.filter((line) => !isStorePath(line))).toEqual([
      "open",
      "open",
      "open",
      "ERR_STORE_READONLY",
      "ERR_STORE_READONLY",
    ]);
  });
});

/** Makes the next command obey the modes of files even where root runs it. */
const obeying = ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];
const canObey = process.getuid?.() !== 0 || spawnSync("setpriv", [...obeying, "true"]).status === 0;

describe.skipIf(!canObey)("a directory that may not be written (skipped for a root that has no setpriv)", () => {
  test("can be read, says why it cannot be written, and stays as it is", async () => {
    const above = fresh();
    const directory = join(above, "store");
    const [tree = "", other = ""] = overlapping(2, 10, 11);
    mkdirSync(above);
    expect(await ended(start(["import", directory, tree]).process)).toBe(0);
    const run = (...args: string[]) => {
      const command = [process.execPath, "--import", "tsx", child, ...args];
      const [program = "", ...rest] = process.getuid?.() === 0 ? ["setpriv", ...obeying, ...command] : command;
      return spawnSync(program, rest, { encoding: "utf8" }).stdout.trim().split("\n");
    };
    const before = contentsOf(directory);
    const mode = (bits: string) => expect(spawnSync("chmod", ["-R", bits, above]).status).toBe(0);
    mode("a-w");
    try {
      expect(run("verify", directory)).toEqual(["open"]);
      expect(run("import", directory, other)).toEqual(["open", "ERR_STORE_READONLY"]);
      expect(run("import", join(above, "new"), other)).toEqual(["ERR_STORE_READONLY"]);
      expect(contentsOf(directory)).toEqual(before);
    } finally {
      mode("u+w");
    }
    expect(run("import", directory, other)[1]).toMatch(/^[0-9a-z]{32}-/);
  });
});

/** Every file below a directory with the hash of its bytes. */
function contentsOf(directory: string): string[] {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => {
    const path = join(parentPath, name);
    return `${path} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
  });
}

describe("a flipped byte", () => {
  test(
    `in a pack is reported by verify and by the read that meets it (${FLIPS} flips)`,
    async () => {
      const directory = fresh();
      const [tree = ""] = overlapping(1, 6, 6);
      const first = await openStore(directory);
      const { path } = await first.importPath(tree);
      const chunks = [...first.requireLocal("test").castore.index.chunks.entries()].map(({ key, value }) => ({
        name: digestText(asDigest(key)),
        ...(decodeLocation(value) as Location),
      }));
      await first.close();
      const packs = readdirSync(join(directory, "packs")).map((name) => join(directory, "packs", name));
      const pack = packs[0] ?? "";
      const bytes = readFileSync(pack);
      for (let i = 0; i < FLIPS; i++) {
        const at = Math.floor(Math.random() * bytes.length);
        const flipped = Buffer.from(bytes);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (i % 8));
        writeFileSync(pack, flipped);
        const store = await openStore(directory);
        const { damage } = await verifyStore(store);
        let failure: unknown;
        try {
          for await (const piece of store.nar(path.basename)) void piece;
        } catch (error) {
          failure = error;
        }
        await store.close();
        const named = damage.map((one) => `${one.kind} ${one.object}`);
        const hit = chunks.find(({ offset, length }) => at >= offset && at < offset + length);
        if (hit) {
          // A byte of contents: whoever meets it names the chunk.
          expect(named, `byte ${at}`).toContain(`chunk ${hit.name}`);
          expect(failure, `byte ${at}`).toMatchObject({
            code: expect.stringMatching(/^ERR_(CASTORE|PACK)_CORRUPT$/),
            message: expect.stringContaining(hit.name),
          });
        } else if (failure === undefined) {
          // A byte around them, which no read needs: one of a record's head is damage all the same.
          if (isInRecord(bytes, at)) expect(named.join("\n"), `byte ${at}`).toMatch(/^chunk b3:/m);
        } else {
          // The head of the whole file.
          expect(failure, `byte ${at}`).toMatchObject({
            code: expect.stringMatching(/^ERR_(CASTORE_CORRUPT|PACK_FORMAT)$/),
          });
          expect(named, `byte ${at}`).not.toEqual([]);
        }
      }
      writeFileSync(pack, bytes);
      await expectWhole(directory, [path.basename]);
    },
    TIMEOUT,
  );

  test(
    `in the index is reported by verify and by the read that meets it, or changes nothing (${FLIPS} flips)`,
    async () => {
      const directory = fresh();
      const first = await openStore(directory);
      const paths: string[] = [];
      for (const tree of overlapping(3, 6, 8))
        paths.push((await first.importPath(tree, { root: basename(tree) })).path.basename);
      // Removing leaves free pages, which are a table as well.
      await removeRoot(first, basename(paths[2] ?? "").slice(33));
      await collectGarbage(first);
      const contents = await everything(first);
      const wanted = contents.flatMap((line) => /^[0-9a-z]{32}-\S+/.exec(line)?.[0] ?? []);
      await first.close();
      expect(await verifyAddress(directory)).toMatchObject({ damage: [] });
      const data = join(directory, "index.lmdb/data.mdb");
      const bytes = readFileSync(data);
      let reported = 0;
      for (let i = 0; i < FLIPS; i++) {
        const flipped = Buffer.from(bytes);
        const at = occupied(bytes, i % 2 === 0);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (i % 8));
        writeFileSync(data, flipped);
        const { damage } = await verifyAddress(directory);
        if (damage.length > 0) reported++;
        const seen = await readAll(directory, wanted);
        // What a read cannot give it names; what verify does not name changes no answer.
        if (seen instanceof TvixError) {
          expect(seen.code, `byte ${at}`).toMatch(/^ERR_(STORE_INDEX|STORE_NO_PATH|STORE_VERSION|CASTORE_|PACK_)/);
          // By a digest, a store path, or the table and page of the index.
          expect(seen.message, `byte ${at}`).toMatch(NAMES);
          expect(damage, `byte ${at}`).not.toEqual([]);
        } else if (damage.length === 0) expect(seen, `byte ${at}`).toEqual(contents);
        else expect(contents, `byte ${at}`).toEqual(expect.arrayContaining(seen));
      }
      expect(reported).toBeGreaterThan(0);
      writeFileSync(data, bytes);
      expect(await verifyAddress(directory)).toMatchObject({ damage: [] });
    },
    TIMEOUT,
  );
});

/** What names an object, or a place in the index. */
const NAMES = /b3:[A-Za-z0-9+/]{43}=|[0-9a-z]{32}|sha256:|"(meta|roots)"|page|table|version|index\.lmdb/;

/** A random byte of the index; with `dense`, one among others that are not zero. */
function occupied(bytes: Uint8Array, dense: boolean): number {
  for (;;) {
    const at = Math.floor(Math.random() * bytes.length);
    if (!dense || bytes.subarray(at, at + 8).filter((byte) => byte !== 0).length > 4) return at;
  }
}

/** All that the store in `directory` says, every path in `wanted` among it; or the error that says what is amiss. */
async function readAll(directory: string, wanted: readonly string[]): Promise<string[] | TvixError> {
  try {
    const store = await openStore(directory);
    try {
      for (const path of wanted) await store.info(path);
      return await everything(store);
    } finally {
      await store.close();
    }
  } catch (error) {
    if (error instanceof TvixError) return error;
    throw error;
  }
}

/** All that a store says. */
async function everything(store: Store): Promise<string[]> {
  const lines = (await listRoots(store)).map((root) => `${root.name} ${root.path.basename}`);
  for await (const info of store.list()) {
    const hash = createHash("sha256");
    for await (const piece of store.nar(info.path.basename)) hash.update(piece);
    lines.push(`${info.path.basename} ${hash.digest("hex")}`);
  }
  return lines;
}

/** Whether a byte is not one of the zeros between records: the contents here have no long runs of zeros. */
function isInRecord(bytes: Uint8Array, at: number): boolean {
  return bytes.subarray(Math.max(0, at - 16), at + 16).some((byte) => byte !== 0) && at > 4096;
}
