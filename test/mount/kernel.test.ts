// What the kernel of a mount is told once and keeps for ever, and whom it lets in.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { mountFuse } from "../../lib/mount/index.ts";
import { openStore } from "../../lib/store/open.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { hindrance, serve, sh } from "./fixture.ts";

const { base, fresh } = scratch("mount-kernel");
const root = process.getuid?.() === 0;
if (hindrance === undefined && !root) console.warn("SKIPPED: not root; read-ahead and other users are not tested");

async function makeStore(): Promise<{ store: string; tree: string; name: string }> {
  const tree = makeTree(fresh());
  writeFileSync(join(tree, "huge"), pseudoRandomBytes(5_000_001, 7));
  mkdirSync(join(tree, "many"));
  for (let i = 0; i < 200; i++) writeFileSync(join(tree, "many", `file-${i}`), `content ${i}`);
  copyFileSync(join(tree, "hello"), join(tree, "many", "hello"));
  copyFileSync(join(tree, "hello"), join(tree, "many", "executable"));
  await sh('chmod 755 "$1"', join(tree, "many", "executable"));
  const store = fresh();
  const opened = await openStore(store);
  const { path } = await opened.importPath(tree, { name: "tree" });
  await opened.close();
  return { store, tree, name: path.basename };
}

describe.runIf(hindrance === undefined)("the kernel", () => {
  test("keeps entries, attributes, targets and pages, and opens by itself: the second time nothing is asked", async () => {
    const { store, name } = await makeStore();
    const served = await serve({ store, mountpoint: fresh() });
    const all = 'cd "$1" && find . -exec stat -c "%n %i %a %s %N" {} + && find . -type f -exec sha256sum {} +';
    const first = await sh(all, join(served.mountpoint, name));
    const before = await served.counts();
    expect(before.requests).toBeGreaterThan(200);
    expect(await sh(all, join(served.mountpoint, name))).toEqual(first);
    // Directories that were read entry by entry are read once more as a whole.
    await sh(all, join(served.mountpoint, name));
    const settled = await served.counts();
    expect(await sh(all, join(served.mountpoint, name))).toEqual(first);
    const after = await served.counts();
    expect(after.asked).toBe(before.asked);
    expect(after.requests - settled.requests).toBe(0);
  });

  test("shows the same inode numbers in every mount, one for equal files", async () => {
    const { store, name } = await makeStore();
    const inodes = async () => {
      const served = await serve({ store, mountpoint: fresh() });
      const listed = await sh(
        'cd "$1" && find . -exec stat -c "%n %i" {} + | LC_ALL=C sort',
        join(served.mountpoint, name),
      );
      return new Map(
        listed.stdout
          .trim()
          .split("\n")
          .map((line) => line.split(" ") as [string, string]),
      );
    };
    const [one, two] = [await inodes(), await inodes()];
    expect(one.size).toBeGreaterThan(200);
    expect(two).toEqual(one);
    expect(one.get("./many/hello")).toBe(one.get("./hello"));
    expect(one.get("./many/executable")).not.toBe(one.get("./hello"));
  });

  test.runIf(root)("reads ahead by whole requests of 1 MiB", async () => {
    const { store, name } = await makeStore();
    const served = await serve({ store, mountpoint: fresh() });
    const kilobytes = 'cat "/sys/class/bdi/$(stat -c %Hd:%Ld "$1")/read_ahead_kb"';
    expect((await sh(kilobytes, served.mountpoint)).stdout).toBe("1024\n");
    const huge = join(served.mountpoint, name, "huge");
    await sh('stat "$1"', huge);
    const { requests } = await served.counts();
    await sh('cat "$1" >/dev/null', huge);
    // 5 MB; the first one or two are smaller, since the kernel does not know yet where this is going.
    expect((await served.counts()).requests - requests).toBeLessThan(12);
  });

  test.runIf(root)("lets other users in only where that was said", async () => {
    const { store, name } = await makeStore();
    await sh('chmod 755 "$1"', base);
    const command = 'exec node --import tsx lib/cli/tvix-mount.ts --daemon --store "$@"';
    const read = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups cat "$1"';
    for (const others of [false, true]) {
      const mountpoint = fresh();
      mkdirSync(mountpoint);
      try {
        const allow = others ? ["--allow-other"] : [];
        expect(await sh(command, store, ...allow, mountpoint)).toMatchObject({ status: 0, stderr: "" });
        const said = await sh(read, join(mountpoint, name, "hello"));
        expect(said.status).toBe(others ? 0 : 1);
        expect(said.stdout + said.stderr).toMatch(others ? /^Hello World!$/ : /Permission denied/);
      } finally {
        await sh('umount "$1"', mountpoint);
      }
    }
  });

  test("is served the same from caches that hold next to nothing", async () => {
    const { store, tree, name } = await makeStore();
    const opened = await openStore(store);
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const mount = await mountFuse({ store: opened, mountpoint, directoryCache: 1000, blobCache: 1000 });
    try {
      const mounted = join(mountpoint, name);
      expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mounted)).toMatchObject({ status: 0, stdout: "" });
      const { directoryCache, blobCache, asked } = mount.counts();
      // Of each, the one thing that was used last stays.
      expect(directoryCache).toBeLessThan(50_000);
      expect(blobCache).toBeLessThan(50_000);
      expect(asked).toBeGreaterThan(5);
    } finally {
      await mount.unmount();
      await opened.close();
    }
  });

  test("sees a single path of a store as a mount of its own", async () => {
    const { store, tree, name } = await makeStore();
    const opened = await openStore(store);
    const mountpoint = fresh();
    mkdirSync(mountpoint);
    const { root: node } = await opened.info(name);
    const mount = await mountFuse({ castore: opened.castore, roots: node, mountpoint });
    try {
      expect(await readFile(join(mountpoint, "hello"), "utf8")).toBe("Hello World!");
      expect(await sh('diff -r --no-dereference "$1" "$2"', tree, mountpoint)).toMatchObject({ status: 0, stdout: "" });
    } finally {
      await mount.unmount();
      await opened.close();
    }
  });
});
