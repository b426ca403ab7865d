import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { compareBytes, concatBytes, equalBytes, toHex } from "../../lib/base/bytes.ts";
import { encodeUtf8, latin1ToBytes } from "../../lib/base/text.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { layoutNar, sliceLayout } from "../../lib/formats/nar/layout.ts";
import { formatListing, NarLister, type NarListing, parseListing } from "../../lib/formats/nar/listing.ts";
import { NarReader, readNar } from "../../lib/formats/nar/reader.ts";
import { type NarNode, narEvents, packNar, unpackNar } from "../../lib/formats/nar/tree.ts";
import { type NarEvent, narString } from "../../lib/formats/nar/wire.ts";
import { NarWriter, writeNar } from "../../lib/formats/nar/writer.ts";
import * as base32 from "../../lib/formats/nixbase32.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { codeOf, codeOfAsync } from "./codes.ts";

const text = encodeUtf8;
const file = (contents: string, executable = false): NarNode => {
  const bytes = text(contents);
  return { type: "regular", executable, size: bytes.length, contents: bytes };
};
const link = (target: string): NarNode => ({ type: "symlink", target: text(target) });
const dir = (entries: Record<string, NarNode>): NarNode => ({
  type: "directory",
  entries: Object.entries(entries)
    .map(([name, node]) => ({ name: text(name), node }))
    .sort((a, b) => compareBytes(a.name, b.name)),
});

/** An archive's strings, given as text. */
const nar = (...strings: string[]): Uint8Array => concatBytes(strings.map((each) => narString(latin1ToBytes(each))));
const MAGIC = "nix-archive-1";
const emptyFile = ["(", "type", "regular", "contents", "", ")"];
const entry = (name: string, ...node: string[]): string[] => ["entry", "(", "name", name, "node", ...node, ")"];
const inDirectory = (...inside: string[]): Uint8Array => nar(MAGIC, "(", "type", "directory", ...inside, ")");

const SAMPLE = dir({
  a: file("hello\n"),
  b: dir({ deep: dir({}), run: file("#!/bin/sh\n", true) }),
  c: link("../a"),
  d: file(""),
  e: file("12345678"),
});

const anyName = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .filter((name) => !name.includes(0) && !name.includes(0x2f) && !/^\.\.?$/.test(String.fromCharCode(...name)));
const anyTree: fc.Arbitrary<NarNode> = fc.letrec<{ node: NarNode }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc
      .record({ executable: fc.boolean(), contents: fc.uint8Array({ maxLength: 40 }) })
      .map(({ executable, contents }): NarNode => ({ type: "regular", executable, size: contents.length, contents })),
    fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .filter((target) => !target.includes(0))
      .map((target): NarNode => ({ type: "symlink", target })),
    fc
      .uniqueArray(fc.record({ name: anyName, node: tie("node") }), {
        maxLength: 4,
        comparator: (a, b) => equalBytes(a.name, b.name),
      })
      .map(
        (entries): NarNode => ({ type: "directory", entries: entries.sort((a, b) => compareBytes(a.name, b.name)) }),
      ),
  ),
})).node;

describe("nar", () => {
  test("an empty file and an empty directory, as Nix writes them", () => {
    const empty = packNar(file(""));
    expect(empty.length).toBe(112);
    expect(toHex(sha256(empty))).toBe("77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246");
    const directory = packNar(dir({}));
    expect(directory.length).toBe(96);
    expect(toHex(sha256(directory))).toBe("a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a");
  });

  test("the strings are those of the grammar", () => {
    expect(packNar(file("x", true))).toEqual(
      nar(MAGIC, "(", "type", "regular", "executable", "", "contents", "x", ")"),
    );
    expect(packNar(dir({ a: link("b") }))).toEqual(
      inDirectory(...entry("a", "(", "type", "symlink", "target", "b", ")")),
    );
  });

  test("what is packed unpacks to the same, and packs to the same bytes", () => {
    fc.assert(
      fc.property(anyTree, (tree) => {
        const bytes = packNar(tree);
        expect(unpackNar(bytes)).toEqual(tree);
        expect(packNar(unpackNar(bytes))).toEqual(bytes);
      }),
    );
  });

  test("pieces of any size give the same tree", async () => {
    const bytes = packNar(SAMPLE);
    for (const size of [1, 2, 3, 7, 8, 9, 64, 1000]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
      const written: Uint8Array[] = [];
      for await (const piece of writeNar(readNar(pieces))) written.push(piece.slice());
      expect(concatBytes(written)).toEqual(bytes);
    }
  });

  test("contents larger than any buffer pass through", () => {
    const contents = new Uint8Array(100_003).fill(7);
    const tree: NarNode = { type: "regular", executable: false, size: contents.length, contents };
    expect(unpackNar(packNar(tree))).toEqual(tree);
  });

  test("offsets point at the contents", () => {
    const bytes = packNar(SAMPLE);
    const found: string[] = [];
    const reader = new NarReader((event) => {
      if (event.type !== "regular" || event.offset === undefined) return;
      found.push(new TextDecoder().decode(bytes.subarray(event.offset, event.offset + event.size)));
    });
    reader.push(bytes);
    reader.end();
    expect(found).toEqual(["hello\n", "#!/bin/sh\n", "", "12345678"]);
    expect(reader.offset).toBe(bytes.length);
  });
});

test("a tree has the NAR hash and the store path that Nix gives it", () => {
  const narSha256 = sha256(packNar(SAMPLE));
  expect(base32.encode(narSha256)).toBe("1cnxd7kv5lm596i8kqscm1mj5imvhzaaglcvh4nnybfqi10mg592");
  expect(sourcePath({ name: "t1", narSha256 }).hash).toBe("d58l9s53i3jl047xizpg1jr0cvqnraza");
});

describe("a hostile nar", () => {
  const long = (length: number): Uint8Array => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, 2n ** BigInt(length), true);
    return bytes;
  };
  const valid = packNar(SAMPLE);
  const badPadding = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((byte, i) => (i === at ? 1 : byte));

  test.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(0), "ERR_NAR_TRUNCATED"],
    ["another magic", nar("nix-archive-2", ...emptyFile), "ERR_NAR_BAD_MAGIC"],
    ["a huge magic", long(63), "ERR_NAR_BAD_MAGIC"],
    ["name ..", inDirectory(...entry("..", ...emptyFile)), "ERR_NAR_NAME_DOT"],
    ["name .", inDirectory(...entry(".", ...emptyFile)), "ERR_NAR_NAME_DOT"],
    ["name with /", inDirectory(...entry("a/b", ...emptyFile)), "ERR_NAR_NAME_SLASH"],
    ["name with NUL", inDirectory(...entry("a\0b", ...emptyFile)), "ERR_NAR_NAME_NUL"],
    ["empty name", inDirectory(...entry("", ...emptyFile)), "ERR_NAR_NAME_EMPTY"],
    ["name of 256", inDirectory(...entry("x".repeat(256), ...emptyFile)), "ERR_NAR_NAME_TOO_LONG"],
    ["duplicates", inDirectory(...entry("a", ...emptyFile), ...entry("a", ...emptyFile)), "ERR_NAR_NAME_DUPLICATE"],
    [
      "an entry below a symlink of the same name",
      inDirectory(
        ...entry("a", "(", "type", "symlink", "target", "/", ")"),
        ...entry("a", "(", "type", "directory", ...entry("b", ...emptyFile), ")"),
      ),
      "ERR_NAR_NAME_DUPLICATE",
    ],
    ["wrong order", inDirectory(...entry("b", ...emptyFile), ...entry("a", ...emptyFile)), "ERR_NAR_NAME_ORDER"],
    ["prefix after", inDirectory(...entry("ab", ...emptyFile), ...entry("a", ...emptyFile)), "ERR_NAR_NAME_ORDER"],
    ["padding of a word", badPadding(valid, 8 + MAGIC.length), "ERR_NAR_BAD_PADDING"],
    ["padding of contents", badPadding(packNar(file("x")), 16 * 7 + 1), "ERR_NAR_BAD_PADDING"],
    ["truncated", valid.subarray(0, valid.length - 8), "ERR_NAR_TRUNCATED"],
    ["truncated in contents", packNar(file("x".repeat(99))).subarray(0, 130), "ERR_NAR_TRUNCATED"],
    ["trailing bytes", concatBytes([valid, Uint8Array.of(0)]), "ERR_NAR_TRAILING_BYTES"],
    ["two archives", concatBytes([valid, valid]), "ERR_NAR_TRAILING_BYTES"],
    [
      "a file of 2^63 bytes",
      concatBytes([nar(MAGIC, "(", "type", "regular", "contents"), long(63)]),
      "ERR_NAR_SIZE_OVERFLOW",
    ],
    [
      "a name of 2^63 bytes",
      concatBytes([nar(MAGIC, "(", "type", "directory", "entry", "(", "name"), long(63)]),
      "ERR_NAR_NAME_TOO_LONG",
    ],
    ["a word of 2^32 bytes", concatBytes([nar(MAGIC), long(32)]), "ERR_NAR_UNEXPECTED_TOKEN"],
    [
      "a target of 4096",
      nar(MAGIC, "(", "type", "symlink", "target", "x".repeat(4096), ")"),
      "ERR_NAR_TARGET_TOO_LONG",
    ],
    ["an empty target", nar(MAGIC, "(", "type", "symlink", "target", "", ")"), "ERR_NAR_TARGET_EMPTY"],
    ["a target with NUL", nar(MAGIC, "(", "type", "symlink", "target", "a\0", ")"), "ERR_NAR_TARGET_NUL"],
    ["an unknown type", nar(MAGIC, "(", "type", "socket", ")"), "ERR_NAR_UNKNOWN_TYPE"],
    ["no contents", nar(MAGIC, "(", "type", "regular", ")"), "ERR_NAR_MISSING_CONTENTS"],
    ["executable, no contents", nar(MAGIC, "(", "type", "regular", "executable", "", ")"), "ERR_NAR_MISSING_CONTENTS"],
    ["executable yes", nar(MAGIC, "(", "type", "regular", "executable", "yes"), "ERR_NAR_UNEXPECTED_TOKEN"],
    [
      "children of a file",
      nar(MAGIC, ...emptyFile.slice(0, -1), ...entry("a", ...emptyFile)),
      "ERR_NAR_UNEXPECTED_TOKEN",
    ],
    ["an entry without a node", inDirectory("entry", "(", "name", "a", ")"), "ERR_NAR_UNEXPECTED_TOKEN"],
    [
      "depth 10 000",
      nar(
        MAGIC,
        ...Array.from({ length: 10_000 }, () => ["(", "type", "directory", "entry", "(", "name", "a", "node"]).flat(),
      ),
      "ERR_NAR_TOO_DEEP",
    ],
  ])("%s", async (_, bytes, code) => {
    expect(codeOf(() => unpackNar(bytes))).toBe(code);
    const inBytes = Array.from(bytes, (byte) => Uint8Array.of(byte));
    const drain = async (): Promise<void> => {
      for await (const _event of readNar(inBytes)) continue;
    };
    expect(await codeOfAsync(drain)).toBe(code);
  });

  test("bytes at random and valid archives with bytes changed are refused or read as what they write", () => {
    const check = (bytes: Uint8Array): void => {
      let tree: NarNode | undefined;
      if (codeOf(() => (tree = unpackNar(bytes))) === undefined && tree !== undefined) {
        expect(packNar(tree)).toEqual(bytes);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (changes) => {
          const bytes = valid.slice();
          for (const [at, byte] of changes) bytes[at] = byte;
          check(bytes);
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...emptyFile, "entry", "name", "node", "a", "directory", "symlink")),
        (words) => {
          check(nar(MAGIC, ...words));
        },
      ),
    );
  });

  test("a failed reader stays failed", () => {
    const reader = new NarReader(() => {});
    expect(codeOf(() => reader.push(nar("x")))).toBe("ERR_NAR_BAD_MAGIC");
    expect(codeOf(() => reader.push(valid))).toBe("ERR_NAR_BAD_MAGIC");
    expect(codeOf(() => reader.end())).toBe("ERR_NAR_BAD_MAGIC");
  });
});

describe("the writer", () => {
  const root = undefined;
  const write = (...events: NarEvent[]): string | undefined =>
    codeOf(() => {
      const writer = new NarWriter(() => {});
      for (const event of events) writer.write(event);
      writer.end();
    });
  const contents: NarEvent = { type: "contents", bytes: text("x") };
  const regular = (size: number, name?: string): NarEvent => ({
    type: "regular",
    name: name === undefined ? undefined : text(name),
    executable: false,
    size,
  });
  const directory: NarEvent = { type: "directory", name: root };
  const below: NarEvent = { type: "directory", name: text("a") };
  const end: NarEvent = { type: "end" };

  test.each<[string, NarEvent[], string]>([
    ["nothing", [], "ERR_NAR_EVENT_ORDER"],
    ["two roots", [regular(0), regular(0)], "ERR_NAR_EVENT_ORDER"],
    ["a named root", [regular(0, "a")], "ERR_NAR_EVENT_ORDER"],
    ["a nameless entry", [directory, regular(0)], "ERR_NAR_EVENT_ORDER"],
    ["an end too many", [directory, end, end], "ERR_NAR_EVENT_ORDER"],
    ["an end alone", [end], "ERR_NAR_EVENT_ORDER"],
    ["an end missing", [directory], "ERR_NAR_EVENT_ORDER"],
    ["contents too long", [regular(1), contents, contents], "ERR_NAR_SIZE_MISMATCH"],
    ["contents too short", [directory, regular(2, "a"), contents, end], "ERR_NAR_SIZE_MISMATCH"],
    ["contents missing", [regular(2), contents], "ERR_NAR_EVENT_ORDER"],
    ["contents of nothing", [directory, contents], "ERR_NAR_SIZE_MISMATCH"],
    ["a size that is none", [regular(1.5)], "ERR_NAR_SIZE_OVERFLOW"],
    ["a bad name", [directory, regular(0, "a/b")], "ERR_NAR_NAME_SLASH"],
    ["names out of order", [directory, regular(0, "b"), regular(0, "a")], "ERR_NAR_NAME_ORDER"],
    ["a bad target", [{ type: "symlink", name: root, target: new Uint8Array(0) }], "ERR_NAR_TARGET_EMPTY"],
    ["a tree too deep", [directory, ...Array.from({ length: 1024 }, () => below)], "ERR_NAR_TOO_DEEP"],
  ])("refuses %s", (_, events, code) => {
    expect(write(...events)).toBe(code);
  });

  test("takes contents in pieces, empty ones too", () => {
    const empty: NarEvent = { type: "contents", bytes: new Uint8Array(0) };
    expect(write(directory, regular(2, "a"), empty, contents, contents, empty, end)).toBeUndefined();
  });
});

describe("layout", () => {
  test("any range of the layout is that range of the archive", () => {
    fc.assert(
      fc.property(anyTree, fc.nat(), fc.nat(), (tree, a, b) => {
        const bytes = packNar(tree);
        const layout = layoutNar(tree);
        expect(layout.size).toBe(bytes.length);
        const [start, end] = [a % (bytes.length + 1), b % (bytes.length + 1)].sort((x, y) => x - y) as [number, number];
        const parts = Array.from(sliceLayout(layout, start, end), ({ segment, from, to }) =>
          (segment.literal ?? segment.contents).subarray(from, to),
        );
        expect(concatBytes(parts)).toEqual(bytes.subarray(start, end));
        expect(parts.every((part) => part.length > 0)).toBe(true);
        expect(codeOf(() => [...sliceLayout(layout, 0, layout.size + 1)])).toBe("ERR_NAR_RANGE");
      }),
    );
  });

  test("contents need not be at hand", () => {
    const size = 2 ** 40;
    const layout = layoutNar<string>({ type: "regular", executable: false, size, contents: "elsewhere" });
    expect(layout.size).toBe(112 + size);
    expect(layout.segments.map((segment) => segment.literal === undefined)).toEqual([false, true, false]);
  });
});

describe("listing", () => {
  const list = (tree: NarNode): NarListing => {
    const lister = new NarLister();
    const reader = new NarReader((event) => lister.add(event));
    reader.push(packNar(tree));
    return lister.root as NarListing;
  };

  test("is written as Nix writes it", () => {
    expect(formatListing(list(SAMPLE))).toBe(
      '{"root":{"entries":{"a":{"narOffset":232,"size":6,"type":"regular"},' +
        '"b":{"entries":{"deep":{"entries":{},"type":"directory"},' +
        '"run":{"executable":true,"narOffset":760,"size":10,"type":"regular"}},"type":"directory"},' +
        '"c":{"target":"../a","type":"symlink"},"d":{"narOffset":1184,"size":0,"type":"regular"},' +
        '"e":{"narOffset":1368,"size":8,"type":"regular"}},"type":"directory"},"version":1}',
    );
  });

  test("reads back, whatever order the keys are in", () => {
    const named = (name: string): NarNode => dir({ [name]: file("x") });
    for (const tree of [SAMPLE, named("__proto__"), named("constructor"), dir({ "10": file("b"), "9": file("a") })]) {
      expect(parseListing(formatListing(list(tree)))).toEqual(list(tree));
    }
    const entries =
      '"z":{"type":"symlink","target":"a"},"é":{"type":"regular","size":1},"b":{"type":"directory","entries":{}}';
    const listing = parseListing(`{"version":1,"root":{"type":"directory","entries":{${entries}}}}`);
    expect(listing.type === "directory" && [...listing.entries.keys()]).toEqual(["b", "z", "é"]);
  });

  test("names that are not UTF-8 cannot be listed", () => {
    const tree: NarNode = { type: "directory", entries: [{ name: Uint8Array.of(0xff), node: file("") }] };
    expect(codeOf(() => list(tree))).toBe("ERR_LISTING_NOT_UTF8");
  });

  test.each([
    ["", "ERR_LISTING_SYNTAX"],
    ["[]", "ERR_LISTING_SYNTAX"],
    ['{"version":2,"root":{"type":"symlink","target":"a"}}', "ERR_LISTING_SYNTAX"],
    ['{"version":1}', "ERR_LISTING_SYNTAX"],
    ['{"version":1,"root":{"type":"fifo"}}', "ERR_LISTING_SYNTAX"],
    ['{"version":1,"root":{"type":"regular"}}', "ERR_LISTING_SYNTAX"],
    ['{"version":1,"root":{"type":"regular","size":-1}}', "ERR_LISTING_SYNTAX"],
    ['{"version":1,"root":{"type":"regular","size":1,"executable":1}}', "ERR_LISTING_SYNTAX"],
    [
      '{"version":1,"root":{"type":"directory","entries":{"..":{"type":"directory","entries":{}}}}}',
      "ERR_NAR_NAME_DOT",
    ],
    ['{"version":1,"root":{"type":"directory","entries":[]}}', "ERR_LISTING_SYNTAX"],
    ['{"version":1,"root":{"type":"symlink","target":""}}', "ERR_NAR_TARGET_EMPTY"],
    [
      `{"version":1,"root":${'{"type":"directory","entries":{"a":'.repeat(2000)}0${"}}".repeat(2000)}}`,
      "ERR_LISTING_SYNTAX",
    ],
  ])("%.60s is refused", (json, code) => {
    expect(codeOf(() => parseListing(json))).toBe(code);
  });

  test("arbitrary JSON throws typed errors only", () => {
    fc.assert(fc.property(fc.json(), (json) => void codeOf(() => parseListing(`{"version":1,"root":${json}}`))));
  });
});

test("walking a tree that is too deep is refused", () => {
  let tree: NarNode = file("");
  for (let i = 0; i < 1025; i++) tree = dir({ a: tree });
  expect(codeOf(() => [...narEvents(tree)])).toBe("ERR_NAR_TOO_DEEP");
});
