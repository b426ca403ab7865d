// From a cache of ours into stores far away: what was sent there is not read back to be hashed.
import { afterEach, describe, expect, test, vi } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { ingestTree, type TreeSource } from "../../lib/castore/ingest/portable.ts";
import { nixHash } from "../../lib/formats/hash.ts";
import { contentAddressedPath, sourcePath } from "../../lib/formats/store-path.ts";
import { binaryCacheServer } from "../../lib/server/binary-cache.ts";
import { serveGrpc } from "../../lib/server/grpc.ts";
import { listen, parseListen } from "../../lib/server/listen.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { importNode } from "../../lib/store/import.ts";
import { narDigest } from "../../lib/store/nar/render.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { startBucket } from "../servers/s3.ts";

process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";

let cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

async function put(
  store: Store,
  name: string,
  tree: TreeSource,
  references: readonly PathInfo[] = [],
): Promise<PathInfo> {
  const root = await ingestTree(store.castore, tree);
  const { digest, size } = await store.narDigest(root);
  const path = sourcePath({ name, narSha256: digest });
  const info = { path, root, narSha256: digest, narSize: size, signatures: [] };
  return await store.pathInfos.put({ ...info, references: references.map((other) => other.path) });
}

const large = pseudoRandomBytes(5_000_000, 3);
const small = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`f${i}`, `small ${i}`]));

/** A cache with two paths that share files, and its address. */
async function cache(): Promise<{ store: Store; address: string; infos: PathInfo[] }> {
  const store = await openStore("memory:");
  const one = await put(store, "one", { entries: { large, d: { entries: small }, link: { target: "large" } } });
  const two = await put(store, "two", { entries: { large, again: { entries: { ...small, more: "more" } } } }, [one]);
  const root = await ingestTree(store.castore, pseudoRandomBytes(300_000, 4));
  const flat = await importNode(store, root, { name: "flat", method: "flat" });
  const server = await listen([parseListen("127.0.0.1:0")], () => binaryCacheServer(store));
  cleanups.push(() => server.close(0));
  return { store, address: `nix+http://${server.addresses[0]}`, infos: [one, two, flat] };
}

async function substitute(
  address: string,
  to: Store,
  infos: readonly PathInfo[],
  trusted = "?trusted=1",
): Promise<void> {
  const from = await openStore(`${address}${trusted}`);
  try {
    await copyClosure(
      from,
      to,
      infos.map(({ path }) => path),
    );
  } finally {
    await from.close();
  }
}

describe("into a bucket", () => {
  test("nothing is read back, and all hashes are right", async () => {
    const { address, infos } = await cache();
    const bucket = await startBucket();
    const to = await openStore(bucket.address);
    cleanups.push(bucket.close, () => to.close());
    const reads = () => bucket.requests.filter((request) => /^GET .*(chunks|blobs|dirs)\//.test(request));
    await substitute(address, to, infos);
    expect(reads().length).toBe(0);
    for (const info of infos) {
      expect(await to.pathInfos.get(info.path.digest)).toMatchObject({ narSha256: info.narSha256 });
      expect(await narDigest(to.castore, info.root)).toEqual({ digest: info.narSha256, size: info.narSize });
    }
  });

  test("of a next version only what was there before is read", async () => {
    const { store, address, infos } = await cache();
    const bucket = await startBucket();
    const to = await openStore(bucket.address);
    cleanups.push(bucket.close, () => to.close());
    await substitute(address, to, infos);
    const fresh = pseudoRandomBytes(3_000_000, 5);
    const next = await put(store, "next", { entries: { fresh, old: "small 7", d: { entries: { x: "new" } } } });
    bucket.requests.length = 0;
    await substitute(address, to, [next]);
    const reads = bucket.requests.filter((request) => /^GET .*(chunks|blobs|dirs)\//.test(request));
    expect(reads.length).toBeLessThanOrEqual(2);
    expect(await narDigest(to.castore, next.root)).toEqual({ digest: next.narSha256, size: next.narSize });
  });

  test("a wrong NAR hash is found, whatever was kept", async () => {
    const { store, address, infos } = await cache();
    const [one] = infos as [PathInfo];
    await store.pathInfos.put({ ...one, narSha256: new Uint8Array(32) });
    const bucket = await startBucket();
    const to = await openStore(bucket.address);
    cleanups.push(bucket.close, () => to.close());
    await expect(substitute(address, to, [one])).rejects.toMatchObject({ code: "ERR_STORE_NAR_MISMATCH" });
    expect(await to.pathInfos.get(one.path.digest)).toBeUndefined();
  });

  test("content addresses are checked without reading back", async () => {
    const { store, address, infos } = await cache();
    const flat = infos[2] as PathInfo;
    const hash = nixHash("sha256", new Uint8Array(32));
    const wrong = contentAddressedPath({ name: "flat", address: { method: "flat", hash } });
    await store.pathInfos.put({ ...flat, path: wrong, ca: { method: "flat", hash } });
    const bucket = await startBucket();
    const to = await openStore(bucket.address);
    cleanups.push(bucket.close, () => to.close());
    await substitute(address, to, [flat], "");
    const reads = bucket.requests.filter((request) => /^GET .*(chunks|blobs|dirs)\//.test(request));
    expect(reads.length).toBe(0);
    await expect(substitute(address, to, [{ ...flat, path: wrong }], "")).rejects.toMatchObject({
      code: "ERR_STORE_CONTENT_ADDRESS",
    });
    expect(await to.pathInfos.get(wrong.digest)).toBeUndefined();
  });
});

test("into a daemon: it hashes what it was sent itself", async () => {
  const { address, infos } = await cache();
  const behind = await openStore("memory:");
  const calls: string[] = [];
  const server = await serveGrpc(behind, [parseListen("127.0.0.1:0")], { onCall: ({ method }) => calls.push(method) });
  const to = await openStore(`grpc+http://${server.addresses[0]}`);
  cleanups.push(
    () => server.close(0),
    () => to.close(),
  );
  const openRead = vi.spyOn(to.castore.blobs, "openRead");
  await substitute(address, to, infos);
  for (const info of infos) {
    expect(await narDigest(behind.castore, info.root)).toEqual({ digest: info.narSha256, size: info.narSize });
  }
  expect(openRead.mock.calls.length).toBe(0);
  expect(calls.filter((call) => call.endsWith("BlobService/Read"))).toEqual([]);
});
