// The gRPC server with our client: the contracts, over our own server and over one with nothing but the old names.
import { describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { digestOf } from "../../lib/castore/digest.ts";
import { BlobService, DirectoryService } from "../../lib/castore/gen/tvix/castore/v1/castore_pb.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { blobMethods, directoryMethods } from "../../lib/server/grpc-castore.ts";
import { pathInfoMethods } from "../../lib/server/grpc-store.ts";
import { Outboards } from "../../lib/server/outboards.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { PathInfoService } from "../../lib/store/gen/tvix/store/v1/store_pb.ts";
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
});

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

async function putInfo(store: Store, root: Awaited<ReturnType<typeof ingestTree>>, name: string) {
  const { digest, size } = await store.narDigest(root);
  const { sourcePath } = await import("../../lib/formats/store-path.ts");
  return await store.pathInfos.put({
    path: sourcePath({ name, narSha256: digest }),
    root,
    references: [],
    narSha256: digest,
    narSize: size,
    signatures: [],
  });
}

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
