// Proofs of mounts that take long: a real tree, a compiler in a mount, many readers for minutes. `script/soak test/mount`.
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { addRoot, collectGarbage } from "../../lib/store/index.ts";
import { openStore } from "../../lib/store/open.ts";
import { scratch } from "../store/fixture.ts";
import { hindrance, serve } from "./fixture.ts";
import { compileFront } from "./front.ts";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const soak = process.env["TVIX_SOAK"] === "1";
const { fresh } = scratch("mount-soak");
const front = soak && hindrance === undefined ? await compileFront() : undefined;
const run = promisify(execFile);

/** A shell command without a time limit; `$1`… are the arguments. A failure is an error. */
async function must(script: string, ...args: string[]): Promise<string> {
  return (await run("/bin/sh", ["-ec", script, "sh", ...args], { maxBuffer: 1 << 28 })).stdout;
}

/** What this machine has of headers, programs and symlinks, and more: above 500 MB in above 20 000 files. */
async function realTree(): Promise<string> {
  const tree = fresh();
  mkdirSync(tree);
  for (const part of ["/usr/include", "/usr/share/perl", "/usr/lib/python3", "/etc/alternatives"]) {
    if (!existsSync(part)) continue;
    cpSync(part, join(tree, part.replaceAll("/", "_")), { recursive: true, verbatimSymlinks: true });
  }
  for (let i = 0; i < 20_000; i++) {
    const folder = join(tree, "many", String(i % 200));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${i}`), pseudoRandomBytes((i * 131) % 20_000, i));
  }
  for (let i = 0; i < 10; i++) writeFileSync(join(tree, `large-${i}`), pseudoRandomBytes(40_000_000, i));
  symlinkSync("nowhere at all", join(tree, "dangling"));
  symlinkSync("many/0/file-0", join(tree, "link"));
  return tree;
}

describe.runIf(soak && hindrance === undefined)("a mounted store, at length", () => {
  test("is a real tree of half a gigabyte", async () => {
    const tree = await realTree();
    const [files, kilobytes] = (await must('find "$1" -type f | wc -l; du -sk "$1" | cut -f1', tree))
      .split("\n")
      .map(Number);
    expect(files).toBeGreaterThan(20_000);
    expect(kilobytes).toBeGreaterThan(500_000);
    const directory = fresh();
    const store = await openStore(directory);
    const { path } = await store.importPath(tree, { name: "tree" });
    await store.close();
    const served = await serve({ store: directory, mountpoint: fresh() });
    const mounted = join(served.mountpoint, path.basename);
    expect(await must('diff -r --no-dereference "$1" "$2"', tree, mounted)).toBe("");
    const normal = "chmod -R u+rw,go+r";
    await must(
      `${normal} "$1" && find "$1" -type f -perm /100 -exec chmod 555 {} + -o -type f -exec chmod 444 {} + -o -type d -exec chmod 555 {} +`,
      tree,
    );
    const tar = 'cd "$1" && tar --sort=name --mtime=@1 --owner=0 --group=0 --hard-dereference -cf - . | sha256sum';
    expect(await must(tar, mounted)).toBe(await must(tar, tree));
    const dump = 'command -v nix-store >/dev/null && nix-store --dump "$1" | sha256sum || echo "no nix-store"';
    expect(await must(dump, mounted)).toBe(await must(dump, tree));
    expect(served.log).toEqual([]);
    // Not left for the end of the run, which has no time for it.
    await must('chmod -R u+w "$1" && rm -rf "$1" "$2"', tree, directory);
  });

  test("runs a compiler that lies in it, on sources that lie in it", async () => {
    const tree = fresh();
    mkdirSync(join(tree, "lib"), { recursive: true });
    const version = readdirSync("/usr/lib/gcc/x86_64-linux-gnu")[0] ?? "";
    cpSync(join("/usr/lib/gcc/x86_64-linux-gnu", version), join(tree, "parts"), { recursive: true, dereference: true });
    await must('cp -L "$(command -v gcc)" "$(command -v as)" "$(command -v ld)" "$1"', tree);
    await must(
      'for program in gcc as ld parts/cc1; do ldd "$1/$program"; done | grep -o "/[^ ]*lib[^ ]*" | sort -u | xargs cp -L -t "$1/lib"',
      tree,
    );
    writeFileSync(join(tree, "hello.c"), '#include <stdio.h>\nint main(void) { return puts("from a mount") < 0; }\n');
    const directory = fresh();
    const store = await openStore(directory);
    const { path } = await store.importPath(tree, { name: "compiler" });
    await store.close();
    const served = await serve({ store: directory, mountpoint: fresh() });
    const mounted = join(served.mountpoint, path.basename);
    const out = fresh();
    await must('LD_LIBRARY_PATH="$1/lib" "$1/gcc" -B"$1/parts/" -B"$1/" -O2 -o "$2" "$1/hello.c"', mounted, out);
    expect(await must('"$1"', out)).toBe("from a mount\n");
  });

  test.runIf(front !== undefined)("forgets names that a collection has removed", async () => {
    const tree = fresh();
    writeFileSync(tree, "short-lived");
    const directory = fresh();
    const store = await openStore(directory);
    const { path } = await store.importPath(tree);
    const socket = fresh();
    await serve({ store: directory, socket });
    const copy = () => must('exec "$1" "$2" copy "$3" "$4"', front ?? "", socket, path.basename, fresh());
    await copy();
    await collectGarbage(store);
    await store.close();
    // Looked for every ten seconds.
    await expect.poll(() => copy().catch(String), { timeout: 30_000, interval: 500 }).toMatch(/there is no/);
  });

  test("serves 32 readers for five minutes while the store imports and collects", async () => {
    const tree = fresh();
    mkdirSync(tree);
    for (let i = 0; i < 300; i++) writeFileSync(join(tree, `file-${i}`), pseudoRandomBytes(i * 700, i));
    for (let i = 0; i < 4; i++) writeFileSync(join(tree, `large-${i}`), pseudoRandomBytes(8_000_000, i));
    const directory = fresh();
    const store = await openStore(directory);
    const { path } = await store.importPath(tree, { name: "tree" });
    await addRoot(store, "tree", path);
    const served = await serve({ store: directory, mountpoint: fresh(), listRoot: true });
    const sums = 'cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum';
    const expected = await must(sums, tree);
    const end = performance.now() + 300_000;
    let rounds = 0;
    const readers = Array.from({ length: 32 }, async () => {
      for (; performance.now() < end; rounds++) {
        expect(await must(sums, join(served.mountpoint, path.basename))).toBe(expected);
      }
    });
    for (let round = 0; performance.now() < end; round++) {
      const extra = fresh();
      writeFileSync(extra, pseudoRandomBytes(5_000_000, 1000 + round));
      await store.importPath(extra);
      await collectGarbage(store, { keepShare: 1 });
      await must(
        'find "$1" -type f -exec dd if={} iflag=nocache count=0 status=none \\;; ls "$1" > /dev/null',
        served.mountpoint,
      );
    }
    await Promise.all(readers);
    await store.close();
    expect(rounds).toBeGreaterThan(32);
    expect(served.log).toEqual([]);
  });
});
