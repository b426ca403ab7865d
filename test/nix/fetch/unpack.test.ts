// Archives into a castore: any tree arrives as it was, whatever packed it, and hostile archives are refused.
import { fc } from "../../property.ts";
import { describe, expect, test } from "vitest";
import { pack } from "tar-stream";
import { bytesToLatin1 } from "../../../lib/base/text.ts";
import { MemoryBlobService } from "../../../lib/castore/blob/memory.ts";
import { MemoryDirectoryService } from "../../../lib/castore/directory/memory.ts";
import { ingestTree, type TreeSource } from "../../../lib/castore/ingest/portable.ts";
import { type Castore, walkTree } from "../../../lib/castore/tree.ts";
import { compress } from "../../../lib/formats/compress.ts";
import { UNPACK_LIMITS, unpackTarball } from "../../../lib/nix/fetch/unpack.ts";
import { codeOfAsync } from "../../formats/codes.ts";

const memory = (): Castore => ({ blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() });

type Header = Parameters<ReturnType<typeof pack>["entry"]>[0];

/** An archive of entries; contents of files may be text. */
async function archive(entries: readonly (readonly [Header, string?])[]): Promise<Uint8Array> {
  const made = pack();
  for (const [header, contents] of entries) made.entry({ mtime: new Date(1e12), ...header }, contents ?? "");
  made.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of made) pieces.push(piece as Buffer);
  return new Uint8Array(Buffer.concat(pieces));
}

async function* stream(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

const unpack = (bytes: Uint8Array, limits = UNPACK_LIMITS) => unpackTarball(memory(), stream(bytes), limits);

/** Entries of a tree in the order that directories are walked in, shuffled by `order`. */
function entriesOf(tree: TreeSource, path: string): [Header, string?][] {
  if (typeof tree === "string") return [[{ name: path }, tree]];
  if (tree instanceof Uint8Array) return [[{ name: path }, bytesToLatin1(tree)]];
  if ("contents" in tree)
    return [[{ name: path, mode: tree.executable === true ? 0o755 : 0o644 }, String(tree.contents)]];
  if ("target" in tree) return [[{ name: path, type: "symlink", linkname: tree.target }]];
  const below = Object.entries(tree.entries).flatMap(([name, child]) => entriesOf(child, `${path}/${name}`));
  return [[{ name: `${path}/`, type: "directory" }], ...below];
}

const name = fc.stringMatching(/^[a-zäöü][a-z0-9._ -]{0,20}$/);
const { tree } = fc.letrec<{ tree: TreeSource }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.string({ maxLength: 2000 }),
    fc.record({ contents: fc.string(), executable: fc.boolean() }),
    fc.record({ target: fc.stringMatching(/^[a-z./]{1,150}$/) }),
    fc.record({ entries: fc.dictionary(name, tie("tree"), { maxKeys: 5 }) }),
  ),
}));

describe("any tree", () => {
  test("arrives as it was, in any order of entries, and a single directory at the top is taken off", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(name, tree, { maxKeys: 4 }),
        fc.infiniteStream(fc.nat()),
        async (entries, order) => {
          const wanted = await ingestTree(memory(), { entries });
          const listed = entriesOf({ entries }, "top").map((entry) => [order.next().value as number, entry] as const);
          const shuffled = listed.sort(([a], [b]) => a - b).map(([, entry]) => entry);
          // Without any entry there is no directory either.
          const { root } = await unpack(await archive([[{ name: "top/", type: "directory" }], ...shuffled]));
          expect(root).toEqual(wanted);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("comes through every compression", async () => {
    const plain = await archive([[{ name: "top/a" }, "contents"]]);
    const { root } = await unpack(plain);
    for (const compression of ["gzip", "br"] as const) {
      const packed = await collect(compress(compression, stream(plain)));
      if (compression === "gzip") expect((await unpack(packed)).root).toEqual(root);
      else expect(await codeOfAsync(() => unpack(packed))).toMatch(/^ERR_TAR_/);
    }
  });

  test("keeps names that are no text, and the latest time", async () => {
    const bytes = await archive([
      [{ name: "top/\u00e4", mtime: new Date(2e12) }, "x"],
      [{ name: "top/b" }, "y"],
    ]);
    // The two bytes of the letter become bytes that are no UTF-8; the checksum counts them.
    const at = bytes.indexOf(0xc3);
    bytes[at] = 0xff;
    bytes[at + 1] = (bytes[at + 1] as number) - 0x3c;
    const castore = memory();
    const { root, lastModified } = await unpackTarball(castore, stream(bytes));
    const names: string[] = [];
    for await (const { path } of walkTree(castore, root)) names.push(path.map(bytesToLatin1).join("/"));
    expect(names).toEqual(["", "b", "\xffh"]);
    expect(lastModified).toBe(2e9);
  });

  test("hard links are the file they repeat; later entries replace files", async () => {
    const bytes = await archive([
      [{ name: "top/a", mode: 0o755 }, "old"],
      [{ name: "top/b", type: "link", linkname: "top/a" }],
      [{ name: "top/a" }, "new"],
    ]);
    const wanted = await ingestTree(memory(), { entries: { a: "new", b: { contents: "old", executable: true } } });
    expect((await unpack(bytes)).root).toEqual(wanted);
  });
});

describe("refused", () => {
  const small = { ...UNPACK_LIMITS, bytes: 1 << 20, ratio: 10 };
  test.each<[string, readonly (readonly [Header, string?])[], string]>([
    ["a path out of the tree", [[{ name: "a/../../b" }, "x"]], "ERR_TAR_PATH_PARENT"],
    ["an absolute path", [[{ name: "/etc/passwd" }, "x"]], "ERR_TAR_PATH_ABSOLUTE"],
    [
      "a file below a symlink",
      [[{ name: "a", type: "symlink", linkname: "/etc" }], [{ name: "a/b" }, "x"]],
      "ERR_CASTORE_TREE_CONFLICT",
    ],
    [
      "a file that is also a directory",
      [
        [{ name: "a/b" }, "x"],
        [{ name: "a" }, "x"],
      ],
      "ERR_CASTORE_TREE_CONFLICT",
    ],
    ["a hard link to nothing", [[{ name: "a", type: "link", linkname: "b" }]], "ERR_CASTORE_NO_ENTRY"],
    ["a hard link out of the tree", [[{ name: "a", type: "link", linkname: "../b" }]], "ERR_TAR_PATH_PARENT"],
    ["a pipe", [[{ name: "a", type: "fifo" }]], "ERR_FETCH_ARCHIVE_KIND"],
    ["a device", [[{ name: "a", type: "block-device" }]], "ERR_FETCH_ARCHIVE_KIND"],
    ["a file for the root", [[{ name: "." }, "x"]], "ERR_CASTORE_TREE_CONFLICT"],
    ["a symlink without a target", [[{ name: "a", type: "symlink", linkname: "" }]], "ERR_CASTORE_TARGET"],
  ])("%s", async (_, entries, code) => {
    expect(await codeOfAsync(async () => unpack(await archive(entries)))).toBe(code);
  });

  test("what unpacks to far more than it is", async () => {
    const bomb = await archive([[{ name: "a" }, "\0".repeat(16 << 20)]]);
    const packed = await collect(compress("gzip", stream(bomb)));
    expect(packed.length).toBeLessThan(100_000);
    expect(await codeOfAsync(() => unpack(packed, small))).toBe("ERR_FETCH_ARCHIVE_LIMIT");
  });

  test("too many entries, too many levels", async () => {
    const many = await archive(Array.from({ length: 11 }, (_, i) => [{ name: `f${i}` }, "x"] as const));
    expect(await codeOfAsync(() => unpack(many, { ...small, entries: 10 }))).toBe("ERR_CASTORE_TREE_LIMIT");
    const deep = await archive([[{ name: "a/".repeat(11), type: "directory" }]]);
    expect(await codeOfAsync(() => unpack(deep, { ...small, depth: 10 }))).toBe("ERR_CASTORE_TREE_LIMIT");
  });

  test("zip archives, with a word about it, and what is no archive", async () => {
    expect(await codeOfAsync(() => unpack(new Uint8Array([0x50, 0x4b, 3, 4, 0, 0, 0])))).toBe("ERR_FETCH_ARCHIVE_KIND");
    expect(await codeOfAsync(() => unpack(new Uint8Array(0)))).toBe("ERR_TAR_TRUNCATED");
    expect(await codeOfAsync(() => unpack(new TextEncoder().encode("<html>".repeat(200))))).toMatch(/^ERR_TAR_/);
  });

  test("archives cut short or with bytes changed: a typed error or a tree, nothing else", async () => {
    const whole = await archive([
      [{ name: "top/a" }, "contents"],
      [{ name: `top/${"long".repeat(60)}` }, "x"],
      [{ name: "top/l", type: "symlink", linkname: "a" }],
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(whole.length),
        async (changes, end) => {
          const bytes = whole.slice(0, end);
          for (const [at, byte] of changes) if (at < end) bytes[at] = byte;
          await codeOfAsync(() => unpack(bytes));
        },
      ),
      { numRuns: 300 },
    );
  });
});
