import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  closeSync,
  readdirSync,
  writeFileSync,
  writeSync,
  cpSync,
} from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { digestText } from "../../lib/castore/digest.ts";
import { addRoot, collectGarbage } from "../../lib/store/index.ts";
import { openStore } from "../../lib/store/open.ts";
import { mountFuse } from "../../lib/mount/index.ts";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { attempt, hindrance, isMounted, serve, sh } from "./fixture.ts";

const { base, fresh } = scratch("mount");
const hasNix = spawnSync("nix-store", ["--version"]).status === 0;
if (!hasNix) console.warn("SKIPPED: nix-store is not installed; mounts are not compared by NAR");
/** What the addon links, where Debian has it. */
const LIBFUSE = "/lib/x86_64-linux-gnu/libfuse3.so.3";
const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.warn("SKIPPED: python3 is not installed; extended attributes of mounts are not read");

/** A store with the tree of one of everything, and a large file. */
async function makeStore(): Promise<{ directory: string; tree: string; name: string }> {
  const tree = makeTree(fresh());
  writeFileSync(join(tree, "huge"), pseudoRandomBytes(5_000_001, 7));
  mkdirSync(join(tree, "copy"));
  cpSync(join(tree, "sub/deeper"), join(tree, "copy/deeper"), { recursive: true });
  const directory = fresh();
  const store = await openStore(directory);
  const { path } = await store.importPath(tree, { name: "tree" });
  await store.close();
  return { directory, tree, name: path.basename };
}

describe.runIf(hindrance === undefined)("a mounted store", () => {
  test("is the tree that was imported, byte by byte, mode by mode", async () => {
    const { directory, tree, name } = await makeStore();
    const served = await serve({ store: directory, mountpoint: fresh() });
    const mounted = join(served.mountpoint, name);
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
    const tar = 'cd "$1" && tar --sort=name --mtime=@1 --owner=0 --group=0 --mode=u+w -cf - . | sha256sum';
    const chmod =
      'cp -a "$1" "$2" && find "$2" -type f -perm /111 -exec chmod 555 {} + -o -type f -exec chmod 444 {} +';
    const copy = fresh();
    await sh(`${chmod} ; find "$2" -type d -exec chmod 555 {} +`, tree, copy);
    expect((await sh(tar, mounted)).stdout).toBe((await sh(tar, copy)).stdout);
    await sh('chmod -R u+w "$1"', copy);
    if (hasNix) {
      const dump = 'nix-store --dump "$1" | sha256sum';
      expect((await sh(dump, mounted)).stdout).toBe((await sh(dump, tree)).stdout);
    }
    const stat = await sh('cd "$1" && stat -c "%n %A %Y %s %h" hello run sub/link empty', mounted);
    expect(stat.stdout).toMatch(
      /^hello -r--r--r-- 1 12 1\nrun -r-xr-xr-x 1 18 1\nsub\/link lrwxrwxrwx 1 8 1\nempty dr-xr-xr-x 1 0 1\n$/,
    );
    expect((await sh('"$1/run"', mounted)).stdout).toBe("hi\n");
    expect((await sh('touch "$1/new" || echo x > "$1/hello"', mounted)).stderr).toMatch(/Read-only file system/);
    expect((await sh('df --output=fstype,used "$1" && stat -f -c %l "$1"', mounted)).stdout).toMatch(
      /fuse\.tvix +[1-9]\d*\n255/,
    );
    expect(served.log).toEqual([]);
  });

  test("asks JavaScript once for what is new and never again", async () => {
    const { directory, name } = await makeStore();
    const served = await serve({ store: directory, mountpoint: fresh() });
    const all = 'cd "$1" && find . -type f -exec cat {} + | sha256sum';
    const first = await sh(all, join(served.mountpoint, name));
    const before = await served.counts();
    expect(before.asked).toBeGreaterThan(0);
    // Pages are dropped and attributes asked for anew, so that requests come again.
    const forget =
      'find "$1" -exec stat --cached=never {} + && find "$1" -type f -exec dd if={} iflag=nocache count=0 status=none \\;';
    expect((await sh(forget, join(served.mountpoint, name))).status).toBe(0);
    const again = await sh(all, join(served.mountpoint, name));
    const after = await served.counts();
    expect(again).toEqual(first);
    expect(after.asked).toBe(before.asked);
    expect(after.requests).toBeGreaterThan(before.requests + 20);
  });

  test.runIf(hasPython)("has the digests as extended attributes, under both names", async () => {
    const { directory, name } = await makeStore();
    const store = await openStore(directory);
    const { root } = await store.info(name);
    const hello = await store.locate(`${name}/hello`);
    await store.close();
    const served = await serve({ store: directory, mountpoint: fresh() });
    const script = `import os, sys
for path in sys.argv[1:]:
    for name in os.listxattr(path): print(name, os.getxattr(path, name).decode())
try: os.getxattr(sys.argv[1], "user.other")
except OSError as error: print(error.errno)`;
    const mounted = join(served.mountpoint, name);
    const read = await sh('exec python3 -c "$@"', script, mounted, join(mounted, "hello"));
    const digests = [root, hello.node].map((node) => (node.type === "symlink" ? "" : digestText(node.digest)));
    expect(read.stdout.split("\n")).toEqual([
      `user.tvix.castore.directory.digest ${digests[0]}`,
      `user.snix.castore.directory.digest ${digests[0]}`,
      `user.tvix.castore.blob.digest ${digests[1]}`,
      `user.snix.castore.blob.digest ${digests[1]}`,
      "61",
      "",
    ]);
  });

  test("shows new paths when they come; its root is listed only when that is wanted", async () => {
    const { directory, name } = await makeStore();
    const listed = await serve({ store: directory, mountpoint: fresh(), listRoot: true });
    const plain = await serve({ store: directory, mountpoint: fresh() });
    expect((await sh('ls "$1"', listed.mountpoint)).stdout).toBe(`${name}\n`);
    expect((await sh('ls "$1"', plain.mountpoint)).stderr).toMatch(/Operation not permitted/);
    const store = await openStore(directory);
    writeFileSync(join(base, "second"), "second");
    const { path } = await store.importPath(join(base, "second"));
    await store.close();
    expect((await sh('ls "$1"', listed.mountpoint)).stdout.split("\n").sort()).toEqual(
      ["", name, path.basename].sort(),
    );
    for (const { mountpoint } of [listed, plain]) {
      expect((await sh('cat "$1"', join(mountpoint, path.basename))).stdout).toBe("second");
      const absent = name.replace(/^.{4}/, "0000");
      expect(
        (await sh('cat "$1/$2" "$1/.git" "$1/$3/none"', mountpoint, absent, name)).stderr.match(/No such file/g),
      ).toHaveLength(3);
    }
  });

  test("survives SIGKILL of its server: the next start cleans up", async () => {
    const { directory, name } = await makeStore();
    const first = await serve({ store: directory, mountpoint: fresh() });
    const { mountpoint } = first;
    first.child.kill("SIGKILL");
    expect(await first.ended()).toBe("SIGKILL");
    expect((await sh('ls "$1"', mountpoint)).stderr).toMatch(/not connected/);
    const second = await attempt({ store: directory, mountpoint });
    expect(second.failed).toBeUndefined();
    expect((await sh('cat "$1/hello"', join(mountpoint, name))).stdout).toBe("Hello World!");
    await sh('umount "$1"', mountpoint);
    expect(await second.ended()).toBe(0);
    expect(isMounted(mountpoint)).toBe(false);
  });

  test("is unmounted by its own process, also when that just exits", async () => {
    const { directory } = await makeStore();
    for (const message of ["end", "exit"]) {
      const served = await serve({ store: directory, mountpoint: fresh() });
      served.child.send(message);
      expect(await served.ended()).toBe(0);
      expect(isMounted(served.mountpoint)).toBe(false);
    }
  });

  test("gives EIO for a damaged chunk and for nothing else, and names it", async () => {
    const { directory, tree, name } = await makeStore();
    const store = await openStore(directory);
    const { node } = await store.locate(`${name}/huge`);
    if (node.type !== "file") throw new Error("not a file");
    const chunks = (await store.blobs.chunks(node.digest)) ?? [];
    expect(chunks.length).toBeGreaterThan(4);
    const bad = chunks[2];
    if (!bad) throw new Error("no chunk");
    const place = store.requireLocal("this test").castore.blobs.locate(bad.digest);
    const start = (chunks[0]?.size ?? 0) + (chunks[1]?.size ?? 0);
    await store.close();
    const packs = readdirSync(join(directory, "packs"));
    expect(packs).toHaveLength(1);
    const fd = openSync(join(directory, "packs", packs[0] ?? ""), "r+");
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, (place?.offset ?? 0) + 5);
    writeSync(fd, Uint8Array.of((byte[0] ?? 0) ^ 1), 0, 1, (place?.offset ?? 0) + 5);
    closeSync(fd);
    const served = await serve({ store: directory, mountpoint: fresh() });
    const huge = join(served.mountpoint, name, "huge");
    const began = performance.now();
    expect((await sh('cat "$1" > /dev/null', huge)).stderr).toMatch(/Input\/output error/);
    // Whole pages before and behind the chunk are as they were.
    const before = Math.floor(start / 4096) * 4096;
    const behind = Math.ceil((start + bad.size) / 4096) * 4096;
    const same = 'cmp -n "$3" "$1" "$2" && cmp -i "$4" "$1" "$2"';
    expect(await sh(same, huge, join(tree, "huge"), String(before), String(behind))).toMatchObject({ status: 0 });
    const page = 'dd if="$1" of=/dev/null bs=4096 count=1 skip="$2"';
    expect((await sh(page, huge, String(before / 4096 + 1))).stderr).toMatch(/Input\/output error/);
    // One line, and another for each time that its place was looked up again, which is at most every two seconds.
    expect(served.log.length).toBeGreaterThan(0);
    expect(served.log.length).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / 2000));
    for (const line of served.log) expect(line).toContain(digestText(bad.digest));
  });

  test("serves many readers while the store imports and collects", async () => {
    const { directory, tree, name } = await makeStore();
    const served = await serve({ store: directory, mountpoint: fresh(), listRoot: true });
    const expected = (await sh('cd "$1" && find . -type f | LC_ALL=C sort | xargs -d "\\n" sha256sum', tree)).stdout;
    const store = await openStore(directory);
    await addRoot(store, "tree", (await store.info(name)).path);
    const work = { done: false };
    const readers = Array.from({ length: 8 }, async () => {
      for (let round = 0; !work.done || round < 2; round++) {
        const read = 'cd "$1" && find . -type f | LC_ALL=C sort | xargs -d "\\n" sha256sum; ls "$2" > /dev/null';
        expect((await sh(read, join(served.mountpoint, name), served.mountpoint)).stdout).toBe(expected);
      }
    });
    for (let round = 0; round < 3; round++) {
      const path = fresh();
      writeFileSync(path, pseudoRandomBytes(3_000_000, 100 + round));
      await store.importPath(path);
      await collectGarbage(store, { keepShare: 1 });
      await sh('find "$1" -type f -exec dd if={} iflag=nocache count=0 status=none \\;', served.mountpoint);
    }
    work.done = true;
    await Promise.all(readers);
    await store.close();
    expect(served.log).toEqual([]);
  });
});

describe.runIf(hindrance === undefined)("mounted trees of a slow service", () => {
  test("are the same trees", async () => {
    const tree = makeTree(fresh());
    writeFileSync(join(tree, "huge"), pseudoRandomBytes(5_000_001, 8));
    const served = await serve({ slowTree: tree, mountpoint: fresh() });
    const mounted = join(served.mountpoint, "tree");
    expect((await sh('ls "$1"', served.mountpoint)).stdout).toBe("tree\n");
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
    expect(await sh('cmp -i 1234567 "$1/huge" "$2/huge"', tree, mounted)).toMatchObject({ status: 0 });
    expect(served.log).toEqual([]);
  });

  test("fail while the service does, and come back with it", async () => {
    const tree = makeTree(fresh());
    const served = await serve({ slowTree: tree, mountpoint: fresh() });
    const mounted = join(served.mountpoint, "tree");
    await served.ask("fail");
    expect((await sh('cat "$1/hello"', mounted)).stderr).toMatch(/Input\/output error/);
    expect(served.log.join("\n")).toContain("the service is down");
    await served.ask("recover");
    expect((await sh('cat "$1/hello"', mounted)).stdout).toBe("Hello World!");
  });

  test("let a reader be killed while it waits", async () => {
    const tree = makeTree(fresh());
    const served = await serve({ slowTree: tree, mountpoint: fresh() });
    await served.ask("hang");
    const killed = await sh('timeout -s KILL 0.3 cat "$1/tree/hello"; echo "$?"', served.mountpoint);
    expect(killed.stdout).toBe("137\n");
    await served.ask("recover");
    expect((await sh('cat "$1/tree/hello"', served.mountpoint)).stdout).toBe("Hello World!");
  });
});

describe.runIf(hindrance === undefined)("a mounted directory", () => {
  test("may have 100 000 entries, and any owner", async () => {
    const served = await serve({ wide: 100_000, mountpoint: fresh() });
    expect((await sh('ls -f "$1" | wc -l', served.mountpoint)).stdout.trim()).toBe("100002");
    expect((await sh('find "$1" -type f -perm 555 | wc -l', served.mountpoint)).stdout.trim()).toBe("50000");
    const stat = await sh('cd "$1" && stat -c "%n %u %g %a" entry-000000 entry-099999', served.mountpoint);
    expect(stat.stdout).toBe("entry-000000 1234 5678 444\nentry-099999 1234 5678 555\n");
    expect((await served.counts()).asked).toBeLessThan(10);
  });
});

describe.runIf(hindrance === undefined)("mounting", () => {
  test("refuses places that cannot be mounted on, in words", async () => {
    const { directory } = await makeStore();
    const file = fresh();
    writeFileSync(file, "");
    expect((await attempt({ store: directory, mountpoint: file })).failed).toBe("ERR_MOUNT_POINT");
    expect((await attempt({ store: directory, mountpoint: join(base, "none") })).failed).toBe("ERR_MOUNT_POINT");
    const served = await serve({ store: directory, mountpoint: fresh() });
    expect((await attempt({ store: directory, mountpoint: served.mountpoint })).failed).toBe("ERR_MOUNT_BUSY");
  });

  test.runIf(process.getuid?.() === 0)("says so where there is no /dev/fuse", async () => {
    const { directory } = await makeStore();
    const hidden = 'mount -t tmpfs none /dev && exec node --import tsx lib/cli/tvix-mount.ts --store "$0" "$1"';
    const ran = await sh('exec unshare --mount sh -c "$1" "$2" "$3"', hidden, directory, base);
    expect(ran).toMatchObject({ status: 1, stdout: "" });
    expect(ran.stderr).toMatch(/ERR_MOUNT_DEVICE[^]*modprobe fuse/);
  });

  test.runIf(process.getuid?.() === 0 && existsSync(LIBFUSE))("says so where there is no libfuse3", async () => {
    const { directory, name } = await makeStore();
    const hidden = `mount --bind /dev/null ${LIBFUSE} && node --import tsx lib/cli/tvix-mount.ts --store "$0" "$1"
      exec node --import tsx lib/cli/tvix.ts store cat --store "$0" "/nix/store/$2/hello"`;
    const ran = await sh('exec unshare --mount sh -c "$1" "$2" "$3" "$4"', hidden, directory, base, name);
    expect(ran.stderr.match(/ERR_\w+/g)).toEqual(["ERR_MOUNT_NATIVE"]);
    expect(ran.stderr).toMatch(/cannot be loaded[^]*apt-get install fuse3/);
    // Everything else works.
    expect(ran).toMatchObject({ status: 0, stdout: "Hello World!" });
  });

  test("wants a directory as its root", async () => {
    const castore = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() };
    const roots = { type: "symlink", target: Uint8Array.of(120) } as const;
    await expect(mountFuse({ castore, roots, mountpoint: base })).rejects.toMatchObject({ code: "ERR_MOUNT_ROOT" });
  });

  test("ends with a signal, after which nothing is mounted", async () => {
    const { directory, name } = await makeStore();
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const args = ["--import", "tsx", "lib/cli/tvix-mount.ts", "--store", directory, mountpoint];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    try {
      const [said] = (await once(child.stderr, "data")) as [Uint8Array];
      expect(String(said)).toContain(`mounted on ${mountpoint}`);
      expect((await sh('cat "$1/hello"', join(mountpoint, name))).stdout).toBe("Hello World!");
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      expect(await ended).toEqual([0, null]);
      expect(isMounted(mountpoint)).toBe(false);
    } finally {
      spawnSync("umount", ["-l", mountpoint], { stdio: "ignore" });
      child.kill("SIGKILL");
    }
  });

  test("works from the command line, in the background too", async () => {
    const { directory, name } = await makeStore();
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const command = 'exec node --import tsx lib/cli/tvix-mount.ts "$@"';
    try {
      const started = await sh(command, "--store", directory, "--daemon", mountpoint);
      expect(started).toMatchObject({ status: 0, stdout: "", stderr: "" });
      expect((await sh('cat "$1/hello"', join(mountpoint, basename(name)))).stdout).toBe("Hello World!");
      expect(await sh(command, "--unmount", mountpoint)).toMatchObject({ status: 0, stderr: "" });
      expect(isMounted(mountpoint)).toBe(false);
      const none = await sh(command, "--unmount", mountpoint);
      expect(none.status).toBe(1);
      expect(none.stderr).toContain("ERR_MOUNT_NONE");
      expect((await sh(command, "--help")).stdout).toContain("tvix-mount --unmount");
      expect((await sh(command, "--uid", "-3", mountpoint)).status).toBe(2);
    } finally {
      spawnSync("umount", ["-l", mountpoint], { stdio: "ignore" });
    }
  });
});
