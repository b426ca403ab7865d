// Large files that the kernel reads by itself, from copies: against the real kernel, as root, on Linux 6.9 and later.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readSync, writeFileSync, writeSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { digestText } from "../../lib/castore/digest.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { openStore } from "../../lib/store/open.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { attempt, hindrance, type Served, serve, sh } from "./fixture.ts";

const { fresh } = scratch("passthrough");
const MiB = 1 << 20;

const root = hindrance === undefined && process.getuid?.() === 0;
const [major = 0, minor = 0] = release().split(".").map(Number);
const modern = major > 6 || (major === 6 && minor >= 9);
if (hindrance === undefined && !(root && modern)) {
  console.warn("SKIPPED: not root, or Linux before 6.9; passthrough is not tested");
}

/** A store with two large files, a large program and small ones; an empty directory for copies. */
async function makeStore(): Promise<{ store: string; tree: string; name: string; directory: string }> {
  const tree = makeTree(fresh());
  writeFileSync(join(tree, "one"), pseudoRandomBytes(3 * MiB + 1, 1));
  writeFileSync(join(tree, "two"), pseudoRandomBytes(3 * MiB + 2, 2));
  copyFileSync("/bin/bash", join(tree, "program"));
  const store = fresh();
  const opened = await openStore(store);
  const { path } = await opened.importPath(tree, { name: "tree" });
  await opened.close();
  const directory = fresh();
  mkdirSync(directory);
  return { store, tree, name: path.basename, directory };
}

const holders = new Set<ChildProcess>();

afterEach(() => {
  for (const holder of holders) holder.kill("SIGKILL");
  holders.clear();
});

/** Holds a file open; called again, closes it. */
async function hold(path: string): Promise<() => Promise<void>> {
  const holder = spawn("sh", ["-c", 'exec 3<"$1" && echo open && read _', "sh", path]);
  holders.add(holder);
  await once(holder.stdout, "data");
  return async () => {
    const closed = once(holder, "exit");
    holder.stdin.end();
    await closed;
  };
}

const same = (a: string, b: string): Promise<number | string | null> =>
  sh('exec cmp "$1" "$2"', a, b).then(({ status }) => status);

/** Reads a file by small pieces that are in no page cache; how many requests that took. */
async function requestsToRead(served: Served, path: string): Promise<number> {
  const before = await served.counts();
  const read = 'dd if="$1" iflag=nocache count=0 status=none; exec dd if="$1" of=/dev/null bs=4096 status=none';
  expect(await sh(read, path)).toMatchObject({ status: 0 });
  return (await served.counts()).requests - before.requests;
}

describe.runIf(root && modern)("with passthrough", () => {
  test("large files are read by the kernel itself, and are what was imported", async () => {
    const { store, tree, name, directory } = await makeStore();
    const served = await serve({ store, mountpoint: fresh(), passthrough: { directory, minimum: MiB } });
    const mounted = join(served.mountpoint, name);
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
    expect(served.log).toEqual([]);
    const { copies, copyBytes } = await served.counts();
    expect(copies).toBe(3);
    expect(copyBytes).toBeGreaterThan(6 * MiB);
    // Opening it takes one request each time, which JavaScript does not hear of; reading it takes none.
    const { asked } = await served.counts();
    expect(await requestsToRead(served, join(mounted, "one"))).toBe(2);
    expect((await sh('"$1" -c "echo ran"', join(mounted, "program"))).stdout).toBe("ran\n");
    expect((await served.counts()).asked).toBe(asked);
    expect((await sh('echo x > "$1"', join(mounted, "one"))).stderr).toMatch(/Read-only file system/);
    // Copies have no names.
    expect(readdirSync(directory)).toEqual([]);
  });

  test("small files are read as without it", async () => {
    const { store, tree, name, directory } = await makeStore();
    const served = await serve({ store, mountpoint: fresh(), passthrough: { directory, minimum: 100 * MiB } });
    const mounted = join(served.mountpoint, name);
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
    expect(await requestsToRead(served, join(mounted, "one"))).toBeGreaterThan(3);
    expect((await served.counts()).copies).toBe(0);
    // Pages that were read stay when a file is opened again.
    const { requests } = await served.counts();
    expect(await same(join(mounted, "one"), join(tree, "one"))).toBe(0);
    expect((await served.counts()).requests).toBe(requests + 1);
  });

  test("copies make room for others when nobody has them open, and open files stay as they are", async () => {
    const { store, tree, name, directory } = await makeStore();
    const passthrough = { directory, minimum: 3 * MiB, limit: 4 * MiB };
    const served = await serve({ store, mountpoint: fresh(), passthrough });
    const [one, two] = [join(served.mountpoint, name, "one"), join(served.mountpoint, name, "two")];
    const closeOne = await hold(one);
    const closeTwo = await hold(two);
    expect(await served.counts()).toMatchObject({ copies: 1, copyBytes: 3 * MiB + 1 });
    // There is no room for the second, whose pages come from us.
    expect(await requestsToRead(served, two)).toBeGreaterThan(3);
    expect(await requestsToRead(served, one)).toBe(2);
    await closeOne();
    // There would be now, but it is open as it was opened first.
    expect(await same(two, join(tree, "two"))).toBe(0);
    expect(await served.counts()).toMatchObject({ copies: 1, copyBytes: 3 * MiB + 1 });
    await closeTwo();
    await expect
      .poll(() => sh('exec cat "$1" >/dev/null', two).then(() => served.counts()))
      .toMatchObject({
        copies: 1,
        copyBytes: 3 * MiB + 2,
      });
    expect(await requestsToRead(served, two)).toBe(2);
    expect(await same(two, join(tree, "two"))).toBe(0);
    expect(await same(one, join(tree, "one"))).toBe(0);
    expect(served.log).toEqual([]);
  });

  test("a damaged blob is not copied: its bytes are an error, and others are not", async () => {
    const { store, tree, name, directory } = await makeStore();
    const opened = await openStore(store);
    const { node } = await opened.locate(`${name}/one`);
    if (node.type !== "file") throw new Error("not a file");
    const last = (await opened.blobs.chunks(node.digest))?.at(-1);
    const place = opened.requireLocal("this test").castore.blobs.locate(last?.digest ?? node.digest);
    await opened.close();
    const fd = openSync(join(store, "packs", readdirSync(join(store, "packs"))[0] ?? ""), "r+");
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, place?.offset ?? 0);
    writeSync(fd, Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, place?.offset ?? 0);
    closeSync(fd);
    const served = await serve({ store, mountpoint: fresh(), passthrough: { directory, minimum: 3 * MiB } });
    const [one, two] = [join(served.mountpoint, name, "one"), join(served.mountpoint, name, "two")];
    expect((await sh('exec cat "$1" >/dev/null', one)).stderr).toMatch(/Input\/output error/);
    expect(await sh('exec cmp -n 1000000 "$1" "$2"', one, join(tree, "one"))).toMatchObject({ status: 0 });
    expect(await same(two, join(tree, "two"))).toBe(0);
    expect(await served.counts()).toMatchObject({ copies: 1, copyBytes: 3 * MiB + 2 });
    expect(served.log.filter((line) => line.includes("not passed through"))).toEqual([
      `blob ${digestText(node.digest)} is not passed through: its chunks make up other bytes`,
    ]);
  });

  test("nothing is left of copies when the server is killed", async () => {
    const { store, tree, name, directory } = await makeStore();
    const passthrough = { directory, minimum: MiB };
    const first = await serve({ store, mountpoint: fresh(), passthrough });
    const { mountpoint } = first;
    const close = await hold(join(mountpoint, name, "one"));
    first.child.kill("SIGKILL");
    await first.ended();
    expect(readdirSync(directory)).toEqual([]);
    const second = await attempt({ store, mountpoint, passthrough });
    expect(second.failed).toBeUndefined();
    expect(await same(join(mountpoint, name, "one"), join(tree, "one"))).toBe(0);
    expect((await second.counts()).copies).toBe(1);
    await close();
  });

  test("many open at once while copies come and go", async () => {
    const { store, tree, name, directory } = await makeStore();
    const passthrough = { directory, minimum: MiB, limit: 4 * MiB };
    const served = await serve({ store, mountpoint: fresh(), passthrough });
    const readers = Array.from({ length: 12 }, async (_, i) => {
      const file = ["one", "two", "program"][i % 3] ?? "";
      for (let round = 0; round < 15; round++) {
        expect(await same(join(served.mountpoint, name, file), join(tree, file))).toBe(0);
      }
    });
    await Promise.all(readers);
    expect((await served.counts()).copyBytes).toBeLessThanOrEqual(4 * MiB);
    expect(served.log).toEqual([]);
  });
});

describe.runIf(root)("without what passthrough needs", () => {
  test("a line says so, and everything else works", async () => {
    const { store, tree, name, directory } = await makeStore();
    const layers = join(directory, "layers");
    // An overlay: files of one may not be passed through.
    const mount =
      'mkdir -p "$1/l" "$1/u" "$1/w" "$2" && mount -t overlay -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" none "$2"';
    const stacked = fresh();
    expect(await sh(mount, layers, stacked)).toMatchObject({ status: 0 });
    try {
      const passthrough = { directory: stacked, minimum: MiB };
      const served = await serve({ store, mountpoint: fresh(), passthrough });
      const mounted = join(served.mountpoint, name);
      expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
      expect(served.log).toHaveLength(1);
      expect(served.log[0]).toMatch(/^large files are not passed through: /);
      expect((await served.counts()).copies).toBe(0);
    } finally {
      await sh('umount -l "$1"', stacked);
    }
  });

  test("a store that is not local, or a directory that is not there, is an error", async () => {
    const { store, tree, directory } = await makeStore();
    const remote = await serve({ slowTree: tree, mountpoint: fresh(), passthrough: { directory } });
    expect(remote.failed).toBe("ERR_MOUNT_PASSTHROUGH");
    const nowhere = await serve({ store, mountpoint: fresh(), passthrough: { directory: join(directory, "none") } });
    expect(nowhere.failed).toBe("ERR_MOUNT_PASSTHROUGH");
    const command = 'exec node --import tsx lib/cli/tvix-mount.ts --store "$1" --passthrough "$2" "$3" "$4"';
    expect((await sh(command, store, directory, "--virtiofs", fresh())).status).toBe(2);
    expect((await sh(command, store, directory, "--passthrough-from", "0")).status).toBe(2);
  });
});
