// The gRPC server with our client: the contracts, over our own server and over one with nothing but the old names.
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { digestOf } from "../../lib/castore/digest.ts";
import { BlobService, DirectoryService } from "../../lib/castore/gen/tvix/castore/v1/castore_pb.ts";
import { EMPTY_DIRECTORY } from "../../lib/castore/directory.ts";
import { parseGrpcAddress } from "../../lib/castore/grpc/address.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { serveGrpc } from "../../lib/server/grpc.ts";
import type { CallReport } from "../../lib/server/grpc-calls.ts";
import { parseListen } from "../../lib/server/listen.ts";
import { blobMethods, directoryMethods } from "../../lib/server/grpc-castore.ts";
import { pathInfoMethods } from "../../lib/server/grpc-store.ts";
import { Outboards } from "../../lib/server/outboards.ts";
import { copyClosure, copyTree } from "../../lib/store/copy.ts";
import { PathInfoService } from "../../lib/store/gen/tvix/store/v1/store_pb.ts";
import { openGrpcStore } from "../../lib/store/grpc.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";
import { pathInfoServiceContract } from "../../lib/store/testing.ts";
import { freshPath, startPair, startPeer } from "./peers.ts";

/** A server that knows the tvix.* names alone and none of our additions, as the first daemons of this protocol. */
async function startPlain(behind?: Store) {
  const store = behind ?? (await openStore("memory:"));
  const { blobs, directories } = store.castore;
  const peer = await startPeer((router) => {
    const ofBlobs = blobMethods(blobs, new Outboards(blobs), false);
    router.service(BlobService, {
      ...ofBlobs,
      // Those daemons send chunks always and outboards never.
      stat: (request) => ofBlobs.stat({ ...request, sendChunks: true, sendBao: false }),
    });
    router.service(DirectoryService, directoryMethods(directories, DirectoryService.method.get.output, false));
    const { get, calculateNAR } = PathInfoService.method;
    router.service(PathInfoService, pathInfoMethods(store, get.output, calculateNAR.input, false));
  });
  return {
    ...peer,
    close: async () => {
      await peer.close();
      await store.close();
    },
  };
}

const kinds = {
  "gRPC over a store in memory": () => startPair(),
  "gRPC over a local store": async () => startPair({}, await openStore(freshPath("store"))),
  "gRPC with a plain server": () => startPlain(),
};
for (const [name, start] of Object.entries(kinds)) {
  const open = async <T>(pick: (store: Store) => T) => {
    const { client, close } = await start();
    return { service: pick(client), close };
  };
  blobServiceContract(name, { describe, test }, () => open((store) => store.blobs));
  directoryServiceContract(name, { describe, test }, () => open((store) => store.directories));
  pathInfoServiceContract(name, { describe, test }, () => open((store) => store));
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

async function putInfo(store: Store, root: Awaited<ReturnType<typeof ingestTree>>, name: string) {
  const { digest, size } = await store.narDigest(root);
  return await store.pathInfos.put({
    path: sourcePath({ name, narSha256: digest }),
    root,
    references: [],
    narSha256: digest,
    narSize: size,
    signatures: [],
  });
}

describe("copying", () => {
  test("a closure goes up, comes down, and nothing is sent twice", async () => {
    const { client, behind, close } = await startPair();
    const here = await openStore("memory:");
    const large = pseudoRandomBytes(9_000_000, 3);
    const root = await ingestTree(here.castore, {
      entries: {
        large,
        small: "x",
        dir: { entries: Object.fromEntries(range(300).map((i) => [`f${i}`, `text ${i}`])) },
      },
    });
    const info = await putInfo(here, root, "tree");
    const up = await copyClosure(here, client, [info.path]);
    expect(up.copied).toHaveLength(1);
    expect(up.bytes).toBeGreaterThan(9_000_000);
    expect((await copyClosure(here, client, [info.path])).copied).toHaveLength(0);
    expect((await behind.info(info.path)).narSize).toBe(info.narSize);
    const there = await openStore("memory:");
    expect((await copyClosure(client, there, [info.path])).copied).toHaveLength(1);
    expect(Buffer.compare(await there.readFile(`${info.path.basename}/large`), large)).toBe(0);
    await close();
  });

  test("of a second version only the chunks that are missing come, and only they go", async () => {
    const calls: CallReport[] = [];
    const { client, behind, close } = await startPair(
      { onCall: (report) => calls.push(report) },
      await openStore(freshPath("s")),
    );
    const first = pseudoRandomBytes(9_000_000, 3);
    const second = first.slice();
    second.fill(1, 4_000_000, 4_001_000);
    await behind.blobs.put([second]);
    const here = await openStore(freshPath("s"));
    await here.blobs.put([first]);
    const file = { type: "file", digest: digestOf(second), size: second.length, executable: false } as const;
    await copyTree(client.castore, here.castore, file);
    expect(await here.blobs.has([file.digest])).toEqual([true]);
    expect(calls.filter(({ method }) => method.endsWith("BlobService/Read")).length).toBeLessThanOrEqual(3);
    await here.close();
    await close();
  });
});

describe("a server's limits", () => {
  test("calls wait for a place, and too many are refused", async () => {
    const { client, close } = await startPair({ maxCalls: 1, maxWaiting: 100 });
    const absent = Array.from({ length: 40 }, (_, i) => digestOf(encodeUtf8(`absent ${i}`)));
    const found = await Promise.all(absent.map((digest) => client.blobs.chunks(digest)));
    expect(found.every((one) => one === undefined)).toBe(true);
    await close();
    const slow = await openStore("memory:");
    slow.blobs.chunks = () => new Promise((answer) => setTimeout(answer, 50, undefined));
    const strict = await startPair({ maxCalls: 1, maxWaiting: 0 }, slow);
    const impatient = await openGrpcStore(parseGrpcAddress(strict.address), undefined, { attempts: 1 });
    const outcomes = await Promise.allSettled(absent.map((digest) => impatient.blobs.chunks(digest)));
    const refused = outcomes.filter((one) => one.status === "rejected").map((one) => one.reason as { code: string });
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["ERR_REMOTE_BUSY"]));
    await impatient.close();
    await strict.close();
  });

  test("long messages and, where it only reads, writes are refused", async () => {
    const small = await startPair({ maxMessage: 1000 });
    await expect(small.client.blobs.put([pseudoRandomBytes(5000, 1)])).rejects.toMatchObject({
      code: "ERR_REMOTE_BUSY",
    });
    await small.close();
    const { client, close } = await startPair({ readOnly: true });
    const code = { code: "ERR_REMOTE_REFUSED" };
    await expect(client.blobs.put([encodeUtf8("x")])).rejects.toMatchObject(code);
    await expect(client.directories.putClosure([EMPTY_DIRECTORY])).rejects.toMatchObject(code);
    await close();
  });

  test("told to stop it lets calls end, and takes no new ones", async () => {
    const behind = await openStore(freshPath("s"));
    const large = pseudoRandomBytes(20_000_000, 8);
    await behind.blobs.put([large]);
    const socket = freshPath("drain");
    const server = await serveGrpc(behind, [parseListen(socket)]);
    const client = await openGrpcStore(parseGrpcAddress(`grpc+unix://${socket}`), undefined, { attempts: 1 });
    const reader = await client.blobs.openRead(digestOf(large));
    const pieces: Uint8Array[] = [];
    let closed: Promise<void> | undefined;
    for await (const piece of reader?.stream() ?? []) {
      pieces.push(piece);
      closed ??= server.close(20_000);
    }
    expect(Buffer.compare(concatBytes(pieces), large)).toBe(0);
    await closed;
    await expect(client.blobs.has([digestOf(large)])).rejects.toMatchObject({ code: "ERR_REMOTE_UNAVAILABLE" });
    await client.close();
    await behind.close();
  });
});

describe("ranges", () => {
  test.each(["ours", "plain"])("of a long blob are right (%s server)", async (kind) => {
    const { client, close } =
      kind === "ours" ? await startPair({}, await openStore(freshPath("s"))) : await startPlain();
    const large = pseudoRandomBytes(5_000_003, 9);
    const digest = digestOf(large);
    await client.blobs.put([large, encodeUtf8("small")]);
    const reader = await client.blobs.openRead(digest);
    expect(reader?.size).toBe(large.length);
    for (const [at, length] of [
      [0, 10],
      [16_384, 16_384],
      [4_999_999, 100],
      [1_234_567, 2_000_000],
    ] as const) {
      expect(Buffer.compare((await reader?.read(at, length)) as Uint8Array, large.subarray(at, at + length))).toBe(0);
    }
    await close();
  });
});
