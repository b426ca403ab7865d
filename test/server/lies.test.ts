// Servers that lie: each lie is a typed error, and nothing of it is stored.
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { decodeStat, encodeStat } from "../../lib/castore/blob/object.ts";
import { OutboardBuilder } from "../../lib/castore/blob/outboard.ts";
import { collectBytes, readBlob } from "../../lib/castore/blob/range.ts";
import { type Digest, digestOf } from "../../lib/castore/digest.ts";
import { Directory } from "../../lib/castore/directory.ts";
import { BlobService, DirectoryService } from "../../lib/castore/gen/snix/castore/v1/castore_pb.ts";
import { TransferService } from "../../lib/castore/gen/tvix/transfer/v1/transfer_pb.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { toDirectoryMessage } from "../../lib/castore/grpc/services.ts";
import { compress } from "../../lib/castore/object/zstd.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { copyClosure, copyTree } from "../../lib/store/copy.ts";
import { narDigest } from "../../lib/store/nar/render.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import { signPathInfo } from "../../lib/store/sign.ts";
import { Store } from "../../lib/store/store.ts";
import { PathInfoService } from "../../lib/store/gen/snix/store/v1/store_pb.ts";
import { type FakeBucket, startBucket } from "../servers/s3.ts";
import { startPair, startPeer } from "./peers.ts";

const BLOB = pseudoRandomBytes(600_000, 1);
const DIGEST = digestOf(BLOB);
const CHUNKS = [0, 200_000, 400_000].map((at) => BLOB.subarray(at, at + 200_000));
const chunkList = CHUNKS.map((bytes) => ({ digest: digestOf(bytes) as Uint8Array, size: BigInt(bytes.length) }));

let cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups) await cleanup();
  cleanups = [];
});

interface Lies {
  stat?: () => { chunks?: { digest: Uint8Array; size: bigint }[]; bao?: Uint8Array };
  read?: (digest: Uint8Array) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A server of one blob; what a test does not override is the truth. */
async function blobPeer(lies: Lies): Promise<Store> {
  const byDigest = new Map([BLOB, ...CHUNKS].map((bytes) => [Buffer.from(digestOf(bytes)).toString("hex"), bytes]));
  const truth = (digest: Uint8Array) => [byDigest.get(Buffer.from(digest).toString("hex")) ?? new Uint8Array(0)];
  const peer = await startPeer(
    (router) =>
      router.service(BlobService, {
        stat: ({ digest }) => {
          if (!byDigest.has(Buffer.from(digest).toString("hex"))) throw new ConnectError("absent", Code.NotFound);
          return lies.stat?.() ?? { chunks: chunkList, bao: outboard(BLOB) };
        },
        read: async function* ({ digest }) {
          for await (const data of (lies.read ?? truth)(digest)) yield { data };
        },
        put: async () => ({ digest: new Uint8Array(32) }),
      }),
    { attempts: 1, stall: 300 },
  );
  cleanups.push(peer.close);
  return peer.client;
}

function outboard(bytes: Uint8Array): Uint8Array {
  const builder = new OutboardBuilder();
  builder.update(bytes);
  return builder.finish().outboard;
}

const flip = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
};

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(65_536);
}

async function* stalled(): AsyncGenerator<Uint8Array> {
  yield BLOB.subarray(0, 1000);
  await new Promise((resolve) => {
    setTimeout(resolve, 2000).unref();
  });
}

const file = { type: "file", digest: DIGEST, size: BLOB.length, executable: false } as const;

/** The blob is neither read, nor copied, nor is anything left in the store it would be copied to. */
async function refused(client: Store, code: string): Promise<void> {
  await expect(readBlob(client.blobs, DIGEST)).rejects.toMatchObject({ code });
  const target = await openStore("memory:");
  const stored: Digest[] = [];
  const put = target.blobs.put.bind(target.blobs);
  target.blobs.put = async (blobs) => {
    const digests = await put(blobs);
    stored.push(...digests);
    return digests;
  };
  await expect(copyTree(client.castore, target.castore, file)).rejects.toMatchObject({ code });
  expect(stored).toEqual([]);
  expect(await target.blobs.has([DIGEST])).toEqual([false]);
}

describe("blobs", () => {
  test("the truth is believed", async () => {
    const client = await blobPeer({});
    expect(Buffer.compare(await readBlob(client.blobs, DIGEST), BLOB)).toBe(0);
    const reader = await client.blobs.openRead(DIGEST);
    expect(Buffer.compare((await reader?.read(300_000, 10)) as Uint8Array, BLOB.subarray(300_000, 300_010))).toBe(0);
  });

  const lies: Record<string, Lies & { code?: string }> = {
    "other bytes": { read: () => [flip(BLOB, 599_999)] },
    "other bytes, no chunks": { stat: () => ({}), read: () => [flip(BLOB, 0)] },
    "too few bytes": { read: () => [BLOB.subarray(0, 599_000)] },
    "no bytes": { read: () => [] },
    "too many bytes": { read: () => [BLOB, new Uint8Array(1)] },
    "an endless stream": { read: endless },
    "an endless stream that was announced short": { stat: () => ({ chunks: chunkList.slice(0, 1) }), read: endless },
    "a chunk list of another length": { stat: () => ({ chunks: chunkList.slice(0, 2) }) },
    "a chunk without bytes": { stat: () => ({ chunks: [{ digest: DIGEST, size: 0n }] }), code: "ERR_CASTORE_SIZE" },
    "a chunk of 2^60 bytes": {
      stat: () => ({ chunks: [{ digest: DIGEST, size: 2n ** 60n }] }),
      code: "ERR_CASTORE_SIZE",
    },
    "a chunk digest of 31 bytes": {
      stat: () => ({ chunks: [{ digest: DIGEST.subarray(1), size: 600_000n }] }),
      code: "ERR_CASTORE_DIGEST",
    },
    "a stream that stalls": { read: stalled, code: "ERR_REMOTE_TIMEOUT" },
  };
  for (const [name, { code = "ERR_CASTORE_CORRUPT", ...lie }] of Object.entries(lies)) {
    test(`${name}: nothing is believed or stored`, async () => refused(await blobPeer(lie), code));
  }

  test("the end of a wrong blob is never seen, whatever comes behind it", async () => {
    const read = async function* () {
      yield flip(BLOB, 599_999);
      for (let i = 0; i < 3; i++) {
        await sleep(20);
        yield new Uint8Array(0);
      }
    };
    const reader = await (await blobPeer({ read })).blobs.openRead(DIGEST);
    let seen = 0;
    const reading = async () => {
      for await (const piece of reader?.stream() ?? []) seen += piece.length;
    };
    await expect(reading()).rejects.toMatchObject({ code: "ERR_CASTORE_CORRUPT" });
    expect(seen).toBeLessThan(BLOB.length);
  });

  test("ranges: a flipped byte anywhere, in chunks or outboard, and wrong chunks are found before use", async () => {
    const range = async (lie: Lies) => {
      const reader = await (await blobPeer(lie)).blobs.openRead(DIGEST);
      return await collectBytes(reader?.stream(210_000, 230_000) ?? []);
    };
    for (const at of [196_608, 210_000, 229_999]) {
      const read = () => [flip(BLOB.subarray(200_000, 400_000), at < 200_000 ? 0 : at - 200_000)];
      await expect(range({ read })).rejects.toMatchObject({ code: "ERR_CASTORE_CORRUPT" });
    }
    const bao = outboard(BLOB);
    for (const at of [0, 3, 8, 71, 72, 72 + 64]) {
      const stat = () => ({ chunks: chunkList, bao: flip(bao, at) });
      await expect(range({ stat })).rejects.toMatchObject({ code: "ERR_CASTORE_CORRUPT" });
    }
    // Chunks that are what they are called, and not those of the blob.
    const swapped = [chunkList[1], chunkList[0], chunkList[2]].filter((chunk) => chunk !== undefined);
    await expect(range({ stat: () => ({ chunks: swapped, bao }) })).rejects.toMatchObject({
      code: "ERR_CASTORE_CORRUPT",
    });
    // A server without outboards is read whole once, and found out then.
    await expect(range({ stat: () => ({ chunks: swapped }), read: () => [flip(BLOB, 5)] })).rejects.toMatchObject({
      code: "ERR_CASTORE_CORRUPT",
    });
    expect(Buffer.compare(await range({ stat: () => ({ chunks: chunkList }) }), BLOB.subarray(210_000, 230_000))).toBe(
      0,
    );
  });

  test("a server that stores something else is an error", async () => {
    const client = await blobPeer({});
    await expect(client.blobs.put([encodeUtf8("x".repeat(10))])).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
  });

  test("answers about many: wrong counts and wrong bytes", async () => {
    const small = encodeUtf8("Hello World!");
    const start = async (blobs: { present: boolean; data: Uint8Array }[], present: Uint8Array) => {
      const peer = await startPeer((router) =>
        router.service(TransferService, {
          has: () => ({ blobs: present, directories: present }),
          readBlobs: async function* () {
            yield { blobs };
          },
        }),
      );
      cleanups.push(peer.close);
      return peer.client;
    };
    const two = await start(
      [
        { present: true, data: small },
        { present: true, data: small },
      ],
      new Uint8Array(3),
    );
    await expect(readBlob(two.blobs, digestOf(small))).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
    await expect(two.blobs.has([digestOf(small)])).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
    await expect(two.directories.has([digestOf(small)])).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
    const other = await start([{ present: true, data: encodeUtf8("hello world!") }], new Uint8Array(1));
    await expect(readBlob(other.blobs, digestOf(small))).rejects.toMatchObject({ code: "ERR_CASTORE_CORRUPT" });
  });
});

describe("directories", () => {
  const leaf = Directory.of([{ name: encodeUtf8("f"), node: file }]);
  const other = Directory.of([{ name: encodeUtf8("g"), node: file }]);
  const root = Directory.of([{ name: encodeUtf8("leaf"), node: leaf.node() }]);
  const schema = DirectoryService.method.get.output;

  async function serve(directories: readonly Directory[]): Promise<Store> {
    const peer = await startPeer((router) =>
      router.service(DirectoryService, {
        get: async function* () {
          for (const directory of directories) yield toDirectoryMessage(schema, directory);
        },
        put: async () => ({ rootDigest: other.digest() as Uint8Array }),
      }),
    );
    cleanups.push(peer.close);
    return peer.client;
  }

  test("another one, several, and an unknown field are refused", async () => {
    await expect((await serve([other])).directories.get(leaf.digest())).rejects.toMatchObject({
      code: "ERR_CASTORE_CORRUPT",
    });
    await expect((await serve([leaf, leaf])).directories.get(leaf.digest())).rejects.toMatchObject({
      code: "ERR_CASTORE_CORRUPT",
    });
    expect(await (await serve([])).directories.get(leaf.digest())).toBeUndefined();
  });

  test.each([
    ["another root", [other], "ERR_CASTORE_CLOSURE_ORDER"],
    ["one that nothing refers to", [root, other], "ERR_CASTORE_CLOSURE_ORDER"],
    ["one sent twice", [root, leaf, leaf], "ERR_CASTORE_CLOSURE_ORDER"],
    ["children before their parents", [leaf, root], "ERR_CASTORE_CLOSURE_ORDER"],
    ["one that never comes", [root], "ERR_CASTORE_MISSING"],
  ])("closures with %s", async (_name, closure, code) => {
    const client = await serve(closure);
    const target = await openStore("memory:");
    await expect(copyTree(client.castore, target.castore, root.node())).rejects.toMatchObject({ code });
    expect(await target.directories.has([root.digest(), leaf.digest(), other.digest()])).toEqual([false, false, false]);
  });

  test("a put that answers another root", async () => {
    const client = await serve([]);
    await expect(client.directories.putClosure([leaf])).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
  });
});

describe("path infos", () => {
  const put = PathInfoService.method.put.input;

  test("another path, an impossible one, and one changed on the way are refused", async () => {
    const { create } = await import("@bufbuild/protobuf");
    const path = sourcePath({ name: "hello", narSha256: new Uint8Array(32) });
    const message = (changes: { narSize?: bigint; basename?: string }) =>
      create(put, {
        entry: {
          entry: {
            case: "file",
            value: {
              name: encodeUtf8(changes.basename ?? path.basename),
              digest: DIGEST,
              size: 600_000n,
            },
          },
        },
        narinfo: { narSize: changes.narSize ?? 600_128n, narSha256: new Uint8Array(32) },
      });
    const start = async (changes: Parameters<typeof message>[0]) => {
      const peer = await startPeer((router) =>
        router.service(PathInfoService, {
          get: () => message(changes),
          put: () => message(changes),
          list: async function* () {
            yield message(changes);
          },
        }),
      );
      cleanups.push(peer.close);
      return peer.client;
    };
    const honest = await start({});
    const info = await honest.info(path);
    await expect(honest.pathInfos.get(new Uint8Array(20))).rejects.toMatchObject({ code: "ERR_REMOTE_WRONG" });
    await expect((await start({ narSize: 0n })).info(path)).rejects.toMatchObject({ code: "ERR_PATH_INFO" });
    await expect((await start({ basename: "no-store-path" })).info(path)).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_STORE_PATH/) as string,
    });
    await expect((await start({ narSize: 5n })).pathInfos.put(info)).rejects.toMatchObject({
      code: "ERR_REMOTE_WRONG",
    });
    await expect(collectList(await start({ narSize: 0n }))).rejects.toMatchObject({ code: "ERR_PATH_INFO" });
  });

  async function collectList(store: Store): Promise<void> {
    for await (const info of store.list()) expect(info).toBeDefined();
  }
});

describe("closures", () => {
  /** A daemon over a store in memory, whose path info says what a test wants. */
  async function lying(changes: (info: PathInfo) => Partial<PathInfo>) {
    const behind = await openStore("memory:");
    const root = await ingestTree(behind.castore, { entries: { a: "some text", b: { entries: { c: "more" } } } });
    const { digest, size } = await behind.narDigest(root);
    const path = sourcePath({ name: "victim", narSha256: digest });
    const honest = { path, root, references: [], narSha256: digest, narSize: size, signatures: [] };
    await behind.pathInfos.put({ ...honest, ...changes(honest) });
    const pair = await startPair({}, behind);
    cleanups.push(pair.close);
    return { ...pair, path };
  }

  const cases: Record<string, [(info: PathInfo) => Partial<PathInfo>, string]> = {
    "another NAR hash": [() => ({ narSha256: new Uint8Array(32) }), "ERR_STORE_NAR_MISMATCH"],
    "a NAR size that is larger": [({ narSize }) => ({ narSize: narSize + 8 }), "ERR_STORE_NAR_MISMATCH"],
    "a NAR size that its tree does not fit into": [() => ({ narSize: 120 }), "ERR_STORE_NAR_MISMATCH"],
    "a tree that it does not have": [
      () => ({ root: { type: "file", digest: DIGEST, size: 5, executable: false } }),
      "ERR_CASTORE_MISSING",
    ],
  };
  for (const [name, [changes, code]] of Object.entries(cases)) {
    test(`with ${name} store no path`, async () => {
      const { client, path } = await lying(changes);
      const target = await openStore("memory:");
      await expect(copyClosure(client, target, [path])).rejects.toMatchObject({ code });
      expect(await target.pathInfos.get(path.digest)).toBeUndefined();
    });
  }

  test("without a trusted signature, or with one over something else, store no path where keys count", async () => {
    const key = generateKey("trusted-1");
    const trustedKeys = [toPublicKey(key)];
    const target = await openStore("memory:");
    const unsigned = await lying(() => ({}));
    const code = { code: "ERR_STORE_UNTRUSTED" };
    await expect(copyClosure(unsigned.client, target, [unsigned.path], { trustedKeys })).rejects.toMatchObject(code);
    const stranger = await lying((info) => signPathInfo(info, generateKey("trusted-1")));
    await expect(copyClosure(stranger.client, target, [stranger.path], { trustedKeys })).rejects.toMatchObject(code);
    const other = await lying((info) => ({
      signatures: signPathInfo({ ...info, narSize: info.narSize + 8 }, key).signatures,
    }));
    await expect(copyClosure(other.client, target, [other.path], { trustedKeys })).rejects.toMatchObject(code);
    expect(await target.pathInfos.get(other.path.digest)).toBeUndefined();
    const signed = await lying((info) => signPathInfo(info, key));
    expect((await copyClosure(signed.client, target, [signed.path], { trustedKeys })).copied).toHaveLength(1);
  });

  test("are not cut short by a server that says of a NAR what it likes: what is imported is hashed here", async () => {
    const behind = await openStore("memory:");
    const lie = new Store({
      address: "lie",
      castore: behind.castore,
      pathInfos: behind.pathInfos,
      narIndex: behind.narIndex,
      narDigest: async () => ({ digest: new Uint8Array(32), size: 5 }),
      close: () => behind.close(),
    });
    const pair = await startPair({}, lie);
    cleanups.push(pair.close);
    const info = await pair.client.importPath(import.meta.dirname, { name: "tests" });
    expect((await narDigest(behind.castore, info.root)).digest).toEqual(info.narSha256);
  });
});

describe("buckets", () => {
  let bucket: FakeBucket;
  beforeEach(async () => {
    bucket = await startBucket();
    process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";
    process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
    process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";
    cleanups.push(() => bucket.close());
  });

  /** A store in the bucket with one path, of a long file and a short one. */
  async function filled() {
    const writer = await openStore(bucket.address);
    const root = await ingestTree(writer.castore, { entries: { long: BLOB, short: "text", d: { entries: {} } } });
    const { digest, size } = await narDigest(writer.castore, root);
    const path = sourcePath({ name: "victim", narSha256: digest });
    await writer.pathInfos.put({ path, root, references: [], narSha256: digest, narSize: size, signatures: [] });
    await writer.close();
    return path;
  }
  const keyOf = (start: string, which = 0): string =>
    [...bucket.objects.keys()].filter((key) => key.startsWith(`base/${start}/`)).sort()[which] as string;

  const cases: Record<string, [() => void | Promise<void>, RegExp]> = {
    "another chunk under a chunk's name": [
      () => void bucket.objects.set(keyOf("chunks", 0), bucket.objects.get(keyOf("chunks", 1)) as Buffer),
      /^ERR_CASTORE_CORRUPT$/,
    ],
    "a chunk that is a bomb": [
      async () => void bucket.objects.set(keyOf("chunks"), Buffer.from(await compress(new Uint8Array(80 << 20)))),
      /^ERR_ZSTD$/,
    ],
    "a chunk that is cut off": [
      () => void bucket.objects.set(keyOf("chunks"), (bucket.objects.get(keyOf("chunks")) as Buffer).subarray(0, 9)),
      /^ERR_ZSTD$/,
    ],
    "a list of other chunks": [
      () =>
        void bucket.objects.set(
          keyOf("blobs"),
          Buffer.from(encodeStat([{ digest: digestOf(encodeUtf8("text")), size: 4 }])),
        ),
      /^ERR_(CASTORE_CORRUPT|STORE_NAR_MISMATCH)$/,
    ],
    "a list with sizes of its own": [
      () => {
        const chunks = decodeStat(bucket.objects.get(keyOf("blobs")) as Buffer);
        const grown = chunks.map((chunk, i) => ({ ...chunk, size: chunk.size + (i === 0 ? 1 : 0) }));
        bucket.objects.set(keyOf("blobs"), Buffer.from(encodeStat(grown)));
      },
      /^ERR_CASTORE_CORRUPT$/,
    ],
    "another closure": [
      async () => void bucket.objects.set(keyOf("dirs"), Buffer.from(await compress(Uint8Array.of(0, 0, 0, 0)))),
      /^ERR_CASTORE_CORRUPT$/,
    ],
    "a path info about another path": [
      () => {
        const [hash] = /[^/]+$/.exec(keyOf("pathinfo")) ?? [];
        const bytes = bucket.objects.get(keyOf("pathinfo")) as Buffer;
        const text = bytes.toString("latin1").replace(hash as string, `0${(hash as string).slice(1)}`);
        bucket.objects.set(keyOf("pathinfo"), Buffer.from(text, "latin1"));
      },
      /^ERR_STORE_WRONG$/,
    ],
  };
  for (const [name, [lie, code]] of Object.entries(cases)) {
    test(`with ${name}`, async () => {
      const path = await filled();
      await lie();
      const store = await openStore(bucket.address);
      const target = await openStore("memory:");
      await expect(copyClosure(store, target, [path])).rejects.toMatchObject({
        code: expect.stringMatching(code) as string,
      });
      expect(await target.pathInfos.get(path.digest)).toBeUndefined();
      await store.close();
    });
  }
});

describe("servers that are lost", () => {
  test("are an error that names them", async () => {
    const { client, close, address } = await startPair();
    await close();
    const again = await openStore(address);
    cleanups.push(() => again.close());
    await expect(again.blobs.has([DIGEST])).rejects.toMatchObject({
      code: "ERR_REMOTE_UNAVAILABLE",
      message: expect.stringContaining(address) as string,
    });
    await client.close();
  });
});
