import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { bytesToLatin1, encodeUtf8, latin1ToBytes } from "../../lib/base/text.ts";
import { readTar, type TarEvent, TarReader, tarPathParts } from "../../lib/formats/tar.ts";
import { codeOf, codeOfAsync } from "./codes.ts";
import { golden } from "./golden.ts";
import { collect, pieces } from "./pieces.ts";

interface Found {
  readonly kind: string;
  readonly mode: string;
  readonly mtime: number;
  readonly contents: string;
  readonly target?: string;
}

/** What an archive holds, by path as one char per byte. */
function contentsOf(events: readonly TarEvent[]): Map<string, Found> {
  const out = new Map<string, Found>();
  let current = "";
  for (const event of events) {
    if (event.type === "entry") {
      current = bytesToLatin1(event.path);
      const { kind, mode, mtime, target } = event;
      expect(event.executable).toBe((mode & 0o100) !== 0);
      const link = target === undefined ? {} : { target: bytesToLatin1(target) };
      out.set(current, { kind, mode: mode.toString(8), mtime, contents: "", ...link });
    } else {
      const found = out.get(current) as Found;
      out.set(current, { ...found, contents: found.contents + bytesToLatin1(event.bytes) });
    }
  }
  return out;
}

function readAll(bytes: Uint8Array): TarEvent[] {
  const events: TarEvent[] = [];
  const reader = new TarReader((event) => events.push(event));
  reader.push(bytes);
  reader.end();
  return events;
}

interface Header {
  name?: string;
  mode?: string;
  size?: string;
  mtime?: string;
  flag?: string;
  link?: string;
  magic?: string;
  prefix?: string;
  sum?: string;
}

/** A header with a right checksum, unless `sum` says otherwise. */
function header(fields: Header): Uint8Array {
  const block = new Uint8Array(512);
  const put = (at: number, text: string): void => block.set(latin1ToBytes(text), at);
  put(0, fields.name ?? "a");
  put(100, fields.mode ?? "0000644\0");
  put(124, fields.size ?? "00000000000\0");
  put(136, fields.mtime ?? "00000000001\0");
  put(156, fields.flag ?? "0");
  put(157, fields.link ?? "");
  put(257, fields.magic ?? "ustar\x0000");
  put(345, fields.prefix ?? "");
  put(148, "        ");
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, fields.sum ?? `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
const octal = (size: number): string => `${size.toString(8).padStart(11, "0")}\0`;
const padded = (text: string): Uint8Array => {
  const bytes = latin1ToBytes(text);
  return concatBytes([bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)]);
};
const pax = (...records: string[]): Uint8Array => {
  const text = records.join("");
  return concatBytes([header({ flag: "x", size: octal(text.length) }), padded(text)]);
};
const record = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
};
const END = new Uint8Array(1024);
const archive = (...parts: Uint8Array[]): Uint8Array => concatBytes([...parts, END]);

describe("archives of GNU tar", () => {
  const long = "n".repeat(90);
  const file = { kind: "file", mode: "644", mtime: 1 };
  const common: [string, object][] = [
    ["./dir/", { kind: "directory", mode: "755", mtime: 1, contents: "" }],
    ["./dir/empty/", { kind: "directory", mode: "755", mtime: 1, contents: "" }],
    ["./dir/file", { ...file, contents: "hello\n" }],
    ["./run", { ...file, mode: "755", contents: "#!/bin/sh\n" }],
    ["./zeros", { ...file, contents: "\0".repeat(1000) }],
    ["./link", { kind: "symlink", mode: "777", mtime: 1, contents: "", target: "dir/file" }],
    ["./same", { kind: "hardlink", mode: "644", mtime: 1, contents: "", target: "./dir/file" }],
  ];
  const deep: [string, object][] = [[`./${long}/${long}`, { ...file, contents: "x" }]];
  const odd: [string, object][] = [
    ["./longlink", { kind: "symlink", mode: "777", mtime: 1, contents: "", target: long + long }],
    ["./byte\xff", { ...file, contents: "y" }],
    ["./\xc3\xa9", { ...file, contents: "z" }],
  ];

  test.each<[string, [string, object][], number]>([
    ["v7", common, 1],
    ["ustar", [...common, ...deep], 1],
    ["gnu", [...common, ...deep, ...odd], 1],
    ["pax", [...common, ...deep, ...odd], 1.5],
  ])("%s", async (form, expected, mtime) => {
    for (const size of [1, 100, 512, 513, 1 << 20]) {
      const found = contentsOf(await collect(readTar(pieces(golden(`tar/${form}.tar`), size))));
      for (const [path, what] of expected) expect(found.get(path), `${form} ${path}`).toEqual({ ...what, mtime });
      if (form !== "v7") expect(found.get("./fifo")?.kind).toBe("fifo");
    }
  });
});

describe("headers", () => {
  const only = (bytes: Uint8Array): TarEvent => {
    const [event, ...rest] = readAll(bytes);
    expect(rest).toEqual([]);
    return event as TarEvent;
  };

  test("the prefix belongs to POSIX's form only", () => {
    expect(only(archive(header({ prefix: "p" })))).toMatchObject({ path: encodeUtf8("p/a") });
    expect(only(archive(header({ prefix: "p", magic: "ustar  \0" })))).toMatchObject({ path: encodeUtf8("a") });
  });

  test("a pax path wins over a long name, and holds for one entry", () => {
    const longName = concatBytes([header({ flag: "L", size: octal(2) }), padded("l\0")]);
    const events = readAll(archive(longName, pax(record("path", "p\xff")), header({}), header({ name: "b" })));
    expect(events.map((event) => event.type === "entry" && bytesToLatin1(event.path))).toEqual(["p\xff", "b"]);
  });

  test("sizes: pax, base 256, spaces, none", () => {
    const contents = padded("xyz");
    for (const size of ["3\0", "          3 ", "\x80\0\0\0\0\0\0\0\0\0\0\x03"]) {
      const found = contentsOf(readAll(archive(header({ size }), contents, header({ name: "b" }))));
      expect(found.get("a")?.contents).toBe("xyz");
      expect(found.has("b")).toBe(true);
    }
    const byPax = contentsOf(readAll(archive(pax(record("size", "3")), header({}), contents)));
    expect(byPax.get("a")?.contents).toBe("xyz");
    expect(only(archive(header({ size: "\0\0" })))).toMatchObject({ size: 0 });
  });

  test("only files have contents: hard links of old archives repeat a size, those of pax mean it", () => {
    const links = archive(header({ flag: "1", size: octal(3), link: "x" }), header({ name: "b" }));
    expect(readAll(links).length).toBe(2);
    const meant = archive(pax(record("linkpath", "y")), header({ flag: "1", size: octal(3) }), padded("xyz"));
    expect(contentsOf(readAll(meant)).get("a")).toMatchObject({ target: "y", contents: "xyz" });
    expect(readAll(archive(header({ flag: "5", size: octal(3) }), header({ name: "b" }))).length).toBe(2);
    expect(only(archive(header({ flag: "D", size: octal(3) }), padded("xyz")))).toMatchObject({
      kind: "directory",
      size: 0,
    });
  });

  test("types: the oldest directory, volume labels, what POSIX calls files", () => {
    expect(only(archive(header({ name: "a/", flag: "\0" })))).toMatchObject({ kind: "directory" });
    expect(only(archive(header({ flag: "V" }), header({ flag: "7" })))).toMatchObject({ kind: "file" });
    expect(only(archive(header({ flag: "3" })))).toMatchObject({ kind: "character device" });
    expect(only(archive(header({ mtime: "\xff".repeat(12) })))).toMatchObject({ mtime: -1 });
    expect(only(archive(pax(record("mtime", "-1.25")), header({})))).toMatchObject({ mtime: -1.25 });
    const global = concatBytes([header({ flag: "g", size: octal(20) }), padded(record("comment", "xxxxxxxx"))]);
    expect(only(archive(global, header({})))).toMatchObject({ kind: "file" });
  });

  test("an end: two zero blocks, one, or none; what follows does not matter", () => {
    expect(readAll(END)).toEqual([]);
    expect(readAll(header({})).length).toBe(1);
    expect(readAll(concatBytes([header({}), END, Uint8Array.of(1, 2, 3)])).length).toBe(1);
  });
});

describe("a hostile archive", () => {
  test.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(0), "ERR_TAR_TRUNCATED"],
    ["half a header", header({}).subarray(0, 100), "ERR_TAR_TRUNCATED"],
    ["contents cut off", concatBytes([header({ size: octal(3) }), encodeUtf8("xy")]), "ERR_TAR_TRUNCATED"],
    ["a name without its entry", pax(record("path", "p")), "ERR_TAR_TRUNCATED"],
    ["no archive", new Uint8Array(512).fill(0x41), "ERR_TAR_NUMBER"],
    ["a wrong checksum", archive(header({ sum: "000001\0 " })), "ERR_TAR_CHECKSUM"],
    ["a size that is none", archive(header({ size: "x" })), "ERR_TAR_NUMBER"],
    ["a negative size", archive(header({ size: "\xff".repeat(12) })), "ERR_TAR_NUMBER"],
    ["a size of 2^90", archive(header({ size: `\x80${"\xff".repeat(11)}` })), "ERR_TAR_NUMBER"],
    ["a pax size that is none", archive(pax(record("size", "-1")), header({})), "ERR_TAR_NUMBER"],
    ["a pax size beyond 2^53", archive(pax(record("size", "9999999999999999")), header({})), "ERR_TAR_NUMBER"],
    ["no name", archive(header({ name: "" })), "ERR_TAR_PATH_EMPTY"],
    ["a name with NUL", archive(pax(record("path", "a\0b")), header({})), "ERR_TAR_PATH_NUL"],
    ["a long name of a gigabyte", archive(header({ flag: "L", size: octal(2 ** 30) })), "ERR_TAR_META_TOO_LONG"],
    ["a pax header without records", archive(pax("junk"), header({})), "ERR_TAR_PAX"],
    ["a pax record longer than the header", archive(pax("99 a=b\n"), header({})), "ERR_TAR_PAX"],
    ["a pax record without a key", archive(pax("5 ab\n"), header({})), "ERR_TAR_PAX"],
    ["a pax record of length 0", archive(pax("0 a=b\n"), header({})), "ERR_TAR_PAX"],
    ["a sparse file", archive(header({ flag: "S" })), "ERR_TAR_UNSUPPORTED"],
    ["a sparse file by pax", archive(pax(record("GNU.sparse.major", "1")), header({})), "ERR_TAR_UNSUPPORTED"],
  ])("%s", async (_, bytes, code) => {
    expect(codeOf(() => readAll(bytes))).toBe(code);
    expect(await codeOfAsync(() => collect(readTar(pieces(bytes, 7))))).toBe(code);
  });

  test("archives with bytes changed, and headers at random, throw typed errors only", () => {
    const original = golden("tar/pax.tar");
    const change = fc.tuple(fc.nat(original.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = original.slice();
        for (const [at, byte] of changes) bytes[at] = byte;
        codeOf(() => readAll(bytes));
      }),
      { numRuns: 200 },
    );
    const text = (length: number) => fc.uint8Array({ maxLength: length }).map(bytesToLatin1);
    const flag = fc.constantFrom("0", "1", "2", "5", "L", "K", "x", "g", "D", "V", "\0");
    fc.assert(
      fc.property(text(20), text(8), text(12), flag, text(60), (name, mode, size, kind, body) => {
        codeOf(() => readAll(archive(header({ name, mode, size, flag: kind }), padded(body))));
        codeOf(() => readAll(archive(header({ flag: kind, size: octal(body.length) }), padded(body), header({}))));
      }),
      { numRuns: 300 },
    );
  });
});

describe("paths", () => {
  const parts = (path: string): string[] => tarPathParts(latin1ToBytes(path)).map(bytesToLatin1);

  test("are split, dots and empty names dropped", () => {
    expect(parts("./a//b/./c/")).toEqual(["a", "b", "c"]);
    expect(parts("./")).toEqual([]);
    expect(parts("...")).toEqual(["..."]);
    expect(parts("a\xff/..b")).toEqual(["a\xff", "..b"]);
  });

  test.each([
    ["/etc/passwd", "ERR_TAR_PATH_ABSOLUTE"],
    ["a/../../b", "ERR_TAR_PATH_PARENT"],
    ["..", "ERR_TAR_PATH_PARENT"],
    [`a/${"x".repeat(256)}`, "ERR_TAR_PATH_TOO_LONG"],
  ])("%.20s is refused", (path, code) => {
    expect(codeOf(() => parts(path))).toBe(code);
  });
});
