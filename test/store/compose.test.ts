// Stores made of others: the contract suites over every decorator, files that compose them, and the doctor.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import type { BlobReader, BlobService } from "../../lib/castore/blob/service.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { formatPublicKey, formatSecretKey, generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { ObjectBlobService } from "../../lib/castore/blob/object.ts";
import { ObjectDirectoryService } from "../../lib/castore/directory/object.ts";
import { S3ObjectStore, type S3Options } from "../../lib/castore/object/s3.ts";
import { parseS3Address } from "../../lib/castore/object/s3-address.ts";
import { parseAddress } from "../../lib/store/address.ts";
import { cachedStore } from "../../lib/store/compose/cached.ts";
import { Composition } from "../../lib/store/compose/file.ts";
import { readOnlyStore } from "../../lib/store/compose/read-only.ts";
import { verifiedStore } from "../../lib/store/compose/verified.ts";
import { wrapStore } from "../../lib/store/compose/wrap.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { examineStore } from "../../lib/store/doctor.ts";
import { importBytes } from "../../lib/store/import.ts";
import { ObjectNarIndex, ObjectPathInfoService } from "../../lib/store/object.ts";
import { openStore } from "../../lib/store/open.ts";
import { SigningPathInfoService, signPath } from "../../lib/store/sign.ts";
import { Store } from "../../lib/store/store.ts";
import { pathInfoServiceContract } from "../../lib/store/testing.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { startBucket } from "../servers/s3.ts";
import { APP, cacheFiles, LIB, PUBLIC_KEY, serveFiles } from "./cache-server.ts";
import { makeTree, scratch } from "./fixture.ts";

const { base, fresh } = scratch("compose");
const tree = makeTree(join(base, "tree"));
const key = generateKey("compose-1");
const runner = { describe, test };

const memory = () => openStore("memory:");
const composed: Record<string, () => Promise<Store>> = {
  near: async () => cachedStore(await openStore(fresh()), [await memory()]),
  through: async () => cachedStore(await memory(), [await memory(), await memory()], { writes: "through" }),
  wrapped: async () => wrapStore(await memory(), {}),
};
for (const [name, open] of Object.entries(composed)) {
  blobServiceContract(`composed: ${name}`, runner, async () => {
    const store = await open();
    return { service: store.blobs, close: () => store.close() };
  });
  directoryServiceContract(`composed: ${name}`, runner, async () => {
    const store = await open();
    return { service: store.directories, close: () => store.close() };
  });
  pathInfoServiceContract(`composed: ${name}`, runner, async () => {
    const store = await open();
    return { service: store, close: () => store.close() };
  });
}

/** A store that counts the bytes that are read from its blobs. */
function counting(inner: Store): { store: Store; read: () => number } {
  let bytes = 0;
  const { blobs } = inner;
  const counted = (reader: BlobReader): BlobReader => ({
    size: reader.size,
    read: async (offset, length) => {
      const read = await reader.read(offset, length);
      bytes += read.length;
      return read;
    },
    stream: async function* (start, end) {
      for await (const piece of reader.stream(start, end)) {
        bytes += piece.length;
        yield piece;
      }
    },
  });
  const service: BlobService = {
    has: (digests) => blobs.has(digests),
    put: (all) => blobs.put(all),
    chunks: (digest) => blobs.chunks(digest),
    openWrite: () => blobs.openWrite(),
    openRead: async (digest) => {
      const reader = await blobs.openRead(digest);
      return reader && counted(reader);
    },
  };
  const castore = { blobs: service, directories: inner.directories };
  return { store: wrapStore(inner, { castore }), read: () => bytes };
}

describe("a cache", () => {
  test("fetches what is read, once, and leaves the near store whole", async () => {
    const far = await memory();
    const info = await far.importPath(tree);
    const large = await importBytes(far, "large", pseudoRandomBytes(5_000_000, 9), { method: "flat" });
    const { store: watched, read } = counting(far);
    const near = await openStore(fresh());
    const cached = cachedStore(near, [watched]);
    expect(new TextDecoder().decode(await cached.readFile(`${info.path.basename}/hello`))).toBe("Hello World!");
    expect(read()).toBe(12);
    expect(new TextDecoder().decode(await cached.readFile(`${info.path.basename}/hello`))).toBe("Hello World!");
    expect(read()).toBe(12);
    const file = await cached.openFile(large.path.basename);
    const part = await file.read(2_000_000, 100);
    expect(part).toEqual(pseudoRandomBytes(5_000_000, 9).slice(2_000_000, 2_000_100));
    const fetched = read();
    expect(fetched).toBeLessThan(700_000);
    await file.read(2_000_050, 500);
    await (await cached.openFile(large.path.basename)).read(2_000_050, 500);
    expect(read()).toBe(fetched);
    expect(digestHex(digestOf(await collectBytes(file.stream())))).toBe(
      digestHex(digestOf(pseudoRandomBytes(5_000_000, 9))),
    );
    const all = read();
    await collectBytes((await cached.openFile(large.path.basename)).stream());
    expect(read()).toBe(all);
    expect((await verifyStore(near)).damage).toEqual([]);
    expect(await near.pathInfos.get(info.path.digest)).toBeUndefined();
    await cached.close();
  });

  test("of whole paths has them near when they were asked for", async () => {
    const far = await memory();
    const info = await far.importPath(tree);
    const near = await openStore(fresh());
    const cached = cachedStore(near, [far], { fetch: "whole" });
    await cached.info(info.path);
    expect((await near.info(info.path)).narSize).toBe(info.narSize);
    await near.close();
  });

  test("asks far stores in turn, passes over those that fail, and takes whole paths of binary caches", async () => {
    const server = await serveFiles(cacheFiles("zstd"));
    const nix = await openStore(`nix+${server.url}?trusted_public_keys=${encodeURIComponent(PUBLIC_KEY)}`);
    const broken = wrapStore(await memory(), {
      pathInfos: {
        get: () => Promise.reject(new Error("down")),
        put: () => Promise.reject(new Error("down")),
        list: async function* () {},
      },
    });
    const near = await openStore(fresh());
    const cached = cachedStore(near, [broken, nix]);
    expect((await cached.info(APP)).narSize).toBe(1848);
    expect((await near.info(APP)).narSize).toBe(1848);
    expect(new TextDecoder().decode(await cached.readFile(LIB))).toBe("lib\n");
    await expect(cached.info("00000000000000000000000000000000")).rejects.toThrow("down");
    const listed: string[] = [];
    for await (const { path } of cached.list()) listed.push(path.basename);
    expect(listed.sort()).toEqual([APP, LIB]);
    // What came without its references gets them when it is copied into as a closure.
    await copyClosure(nix, near, [APP]);
    expect((await near.info(APP)).references).toHaveLength(3);
    await cached.close();
  });
});

describe("what stands in the way of a store", () => {
  test("refuses writes", async () => {
    const inner = await memory();
    const info = await inner.importPath(tree);
    const store = readOnlyStore(inner);
    expect(await store.info(info.path)).toEqual(info);
    const writes = [
      () => store.blobs.put([new Uint8Array(1)]),
      () => store.directories.put([]),
      () => store.pathInfos.put(info),
      () => store.narIndex.put(info.narSha256, info),
      async () => store.blobs.openWrite(),
      () => store.importPath(tree, { name: "other" }),
    ];
    for (const write of writes) await expect(write()).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
  });

  test("refuses what no trusted key has signed, and trees that are not what was signed", async () => {
    const inner = await memory();
    const info = await inner.importPath(tree);
    const plain = await inner.pathInfos.put({ ...info, ca: undefined });
    const store = verifiedStore(inner, [toPublicKey(key)]);
    await expect(store.info(info.path)).rejects.toMatchObject({ code: "ERR_STORE_UNTRUSTED" });
    const signed = await signPath(inner, plain.path, key);
    expect((await store.info(info.path)).narSize).toBe(info.narSize);
    const other = await importBytes(inner, "other", encodeUtf8("other"));
    expect((await store.info(other.path)).ca?.method).toBe("text");
    // The signature stays good when the root is another one.
    const again = verifiedStore(inner, [toPublicKey(key)]);
    await inner.pathInfos.put({ ...signed, root: other.root });
    await expect(again.info(info.path)).rejects.toMatchObject({ code: "ERR_STORE_NAR_MISMATCH" });
    await inner.pathInfos.put({ ...other, root: { type: "symlink", target: encodeUtf8("x") } });
    await expect(again.info(other.path)).rejects.toMatchObject({ code: "ERR_STORE_NAR_MISMATCH" });
  });

  test("signs what is put", async () => {
    const inner = await memory();
    const store = wrapStore(inner, { pathInfos: new SigningPathInfoService(inner.pathInfos, key) });
    const info = await store.importPath(tree);
    expect((await inner.info(info.path)).signatures.map((signature) => signature.name)).toEqual(["compose-1"]);
  });
});

describe("a composition", () => {
  const file = (text: string): string => {
    const path = `${fresh()}.toml`;
    writeFileSync(path, text);
    return path;
  };

  test("opens what it describes, each store once", async () => {
    const key2 = `${fresh()}.key`;
    writeFileSync(key2, formatSecretKey(key));
    const far = fresh();
    const farStore = await openStore(far);
    const info = await farStore.importPath(tree);
    await farStore.close();
    const path = file(`
[stores.root]
type = "cache"
near = "signed"
far = ["slow", "office"]

[stores.signed]
type = "signing"
store = "disk"
key-file = "${key2}"

[stores.disk]
url = "./near-${far.split("/").at(-1)}"

[stores.office]
url = "${far}"
read-only = true
priority = 10

[stores.slow]
type = "verified"
store = "office"
trusted-keys = ["${formatPublicKey(toPublicKey(key))}"]
`);
    const store = await openStore(`compose:${path}`);
    expect((await store.info(info.path)).narSize).toBe(info.narSize);
    const made = await importBytes(store, "made", encodeUtf8("made"));
    expect((await store.info(made.path)).signatures).toHaveLength(1);
    await store.close();
    const disk = await openStore(`compose:${path}#disk`);
    expect((await disk.info(made.path)).signatures).toHaveLength(1);
    await disk.close();
    const office = await openStore(`compose:${path}#office`);
    await expect(importBytes(office, "x", encodeUtf8("x"))).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
    await office.close();
    await expect(openStore(`compose:${path}#nobody`)).rejects.toMatchObject({ code: "ERR_COMPOSE_NAME" });
  });

  test("asks far stores by priority, before their order", async () => {
    const keyFile = `${fresh()}.key`;
    writeFileSync(keyFile, formatSecretKey(key));
    const plain = fresh();
    const signed = fresh();
    const into = async (address: string): Promise<string> => {
      const store = await openStore(address);
      const { path } = await store.importPath(tree);
      await store.close();
      return path.basename;
    };
    const path = await into(plain);
    await into(
      `compose:${file(`
[stores.root]
type = "signing"
store = "disk"
key-file = "${keyFile}"

[stores.disk]
url = "${signed}"
`)}`,
    );
    for (const [first, signatures] of [
      ["plain", 0],
      ["signed", 1],
    ] as const) {
      const store = await openStore(
        `compose:${file(`
[stores.root]
type = "cache"
near = "near"
far = ["plain", "signed"]

[stores.near]
url = "memory:"

[stores.plain]
url = "${plain}"
priority = ${first === "plain" ? 10 : 60}

[stores.signed]
url = "${signed}"
`)}`,
      );
      expect((await store.info(path)).signatures).toHaveLength(signatures);
      await store.close();
    }
  });

  test("is refused with the place of what is wrong", () => {
    const wrong: [string, string, string][] = [
      ['[stores.root]\nurl = "memory:"\ncolour = "red"', "ERR_COMPOSE_KEY", "f:3: "],
      ["# a\n[stores.root]\nurl = 5", "ERR_COMPOSE_VALUE", "f:3: "],
      ['[stores.root]\nurl = "memory:\n', "ERR_COMPOSE_SYNTAX", "f:2:"],
      ['[store.root]\nurl = "memory:"', "ERR_COMPOSE_KEY", "f:1: "],
      ["", "ERR_COMPOSE_VALUE", "f:1: "],
      ["[stores.root]\n", "ERR_COMPOSE_KEY", "f:1: "],
      ['[stores.a]\nurl="memory:"\n[stores."b"]\ntype = "cache"\nnear = "a"\nfar = ["c"]', "ERR_COMPOSE_NAME", "f:6: "],
      [
        '[stores.a]\ntype = "signing"\nstore = "b"\nkey-file = "k"\n[stores.b]\ntype="verified"\nstore="a"\ntrusted-keys=[]',
        "ERR_COMPOSE_CYCLE",
        "a → b → a",
      ],
      ['[stores.a]\ntype = "cache"\nnear = "a"\nfar = []', "ERR_COMPOSE_CYCLE", "f:1: "],
      ['[stores.a]\ntype = "cache"\nnear = "a"', "ERR_COMPOSE_KEY", 'no "far"'],
      ['[stores.a]\ntype = "tape"', "ERR_COMPOSE_VALUE", "f:2: "],
      ['[stores]\na.url = "memory:"\na.near = "x"', "ERR_COMPOSE_KEY", "f:3: "],
      [
        '[stores.a]\ntype = "cache"\nnear = "b"\nfar = ["b"]\nwrites = "all"\n[stores.b]\nurl = "memory:"',
        "ERR_COMPOSE_VALUE",
        "f:5: ",
      ],
      ['[stores.a]\nurl = "memory:"\ntype = "__proto__"', "ERR_COMPOSE_VALUE", "f:3: "],
      ['[stores.a]\nurl = "memory:"\nconstructor = 1', "ERR_COMPOSE_KEY", "f:3: "],
      ["stores = 5", "ERR_COMPOSE_VALUE", "f:1: "],
    ];
    for (const [text, code, place] of wrong) {
      let error: { code?: string; message?: string } = {};
      try {
        Composition.parse(text, "f");
      } catch (thrown) {
        error = thrown as typeof error;
      }
      expect([error.code, error.message], text).toEqual([code, expect.stringContaining(place)]);
    }
  });

  test("addresses of near and far", async () => {
    expect(parseAddress("cache:?near=memory:&far=%2Fa&far=nix%2Bhttps://h")).toEqual({
      kind: "cached",
      near: "memory:",
      far: ["/a", "nix+https://h"],
    });
    for (const bad of [
      "cache:",
      "cache:?near=a",
      "cache:?far=a",
      "cache:?near=a&near=b&far=c",
      "cache:?near=a&far=b&x=c",
    ]) {
      expect(() => parseAddress(bad), bad).toThrow(expect.objectContaining({ code: "ERR_STORE_ADDRESS" }));
    }
    const far = fresh();
    const farStore = await openStore(far);
    const info = await farStore.importPath(tree);
    await farStore.close();
    const near = fresh();
    const store = await openStore(`cache:?near=${near}&far=${far}`, { readOnly: true });
    expect((await store.info(info.path)).narSize).toBe(info.narSize);
    await store.readFile(`${info.path.basename}/hello`);
    await expect(importBytes(store, "x", encodeUtf8("x"))).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
    await store.close();
    const kept = await openStore(near);
    expect(await kept.blobs.has([digestOf(encodeUtf8("Hello World!"))])).toEqual([true]);
    await kept.close();
  });
});

describe("the doctor", () => {
  const outcomes = async (open: () => Promise<Store>) => {
    const out: Record<string, string> = {};
    for await (const finding of examineStore("x", open)) out[finding.check] = finding.outcome;
    return out;
  };

  test("finds what works, what is not meant to, and what does not", async () => {
    const good = { open: "good", "read blobs": "good", "read directories": "good", "read path infos": "good" };
    expect(await outcomes(() => openStore(fresh()))).toEqual({
      ...good,
      "list path infos": "good",
      "write and read back": "good",
    });
    expect(await outcomes(async () => readOnlyStore(await memory()))).toMatchObject({
      ...good,
      "write and read back": "no",
    });
    const server = await serveFiles(cacheFiles("none"));
    expect(await outcomes(() => openStore(`nix+${server.url}`))).toMatchObject({
      ...good,
      "list path infos": "no",
      "write and read back": "no",
    });
    const nothing = await serveFiles(new Map());
    expect(await outcomes(() => openStore(`nix+${nothing.url}`))).toMatchObject({ "read path infos": "bad" });
    expect(await outcomes(() => openStore("nothing:"))).toEqual({ open: "bad" });
    const lying = async (): Promise<Store> => {
      const inner = await memory();
      const blobs: BlobService = { ...counting(inner).store.blobs, has: async (digests) => digests.map(() => false) };
      return wrapStore(inner, { castore: { blobs, directories: inner.directories } });
    };
    expect(await outcomes(lying)).toMatchObject({ "read blobs": "bad" });
  });

  test("says what is wrong with a bucket and with a daemon, and what to do about it", async () => {
    process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
    process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";
    process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";
    const bucket = await startBucket();
    const advice = async (address: string, options: S3Options = { attempts: 1 }): Promise<string> => {
      const said: string[] = [];
      const open = () => (address.startsWith("s3:") ? openBucket(address, options) : openStore(address));
      for await (const { outcome, detail, advice } of examineStore("x", open)) {
        if (outcome !== "bad") continue;
        expect(advice.length, detail).toBeGreaterThan(0);
        said.push(detail, ...advice);
      }
      return said.join("\n");
    };
    const openBucket = async (address: string, options: S3Options): Promise<Store> => {
      const objects = await S3ObjectStore.open(parseS3Address(address), options);
      const castore = { blobs: new ObjectBlobService(objects), directories: new ObjectDirectoryService(objects) };
      const pathInfos = new ObjectPathInfoService(objects);
      const narIndex = new ObjectNarIndex(objects);
      return new Store({ address, castore, pathInfos, narIndex, close: async () => objects.close() });
    };
    expect(await advice(bucket.address)).toBe("");
    bucket.fault = () => ({ status: 403, code: "AccessDenied" });
    expect(await advice(bucket.address)).toMatch(/ERR_OBJECT_REFUSED[^]*AWS_ACCESS_KEY_ID/);
    bucket.fault = () => ({ status: 404, code: "NoSuchBucket" });
    expect(await advice(bucket.address)).toMatch(/ERR_OBJECT_NO_BUCKET[^]*make it first/);
    bucket.fault = () => ({ status: 403, code: "RequestTimeTooSkewed" });
    expect(await advice(bucket.address)).toMatch(/ERR_OBJECT_CLOCK[^]*set the clock/);
    bucket.fault = () => "drop";
    expect(await advice(bucket.address)).toMatch(/ERR_OBJECT_UNAVAILABLE[^]*endpoint/);
    await bucket.close();
    expect(await advice("grpc+unix:///no/such/socket")).toMatch(/ERR_REMOTE_UNAVAILABLE[^]*is the daemon/);
  }, 30_000);
});
