// Servers that lie: each lie is a typed error, and nothing of it is stored.
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { OutboardBuilder } from "../../lib/castore/blob/outboard.ts";
import { collectBytes, readBlob } from "../../lib/castore/blob/range.ts";
import { type Digest, digestOf } from "../../lib/castore/digest.ts";
import { Directory } from "../../lib/castore/directory.ts";
import { BlobService, DirectoryService } from "../../lib/castore/gen/snix/castore/v1/castore_pb.ts";
import { TransferService } from "../../lib/castore/gen/tvix/transfer/v1/transfer_pb.ts";
import { toDirectoryMessage } from "../../lib/castore/grpc/services.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { copyTree } from "../../lib/store/copy.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";
import { PathInfoService } from "../../lib/store/gen/snix/store/v1/store_pb.ts";
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
    const { sourcePath } = await import("../../lib/formats/store-path.ts");
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
