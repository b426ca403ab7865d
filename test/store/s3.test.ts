// A whole store in a bucket: path infos, and a closure that goes there and back.
// With TVIX_S3=http://gateway:port (and AWS credentials) a real gateway holds it; see test/servers/radosgw.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { digestOf } from "../../lib/castore/digest.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { addStream } from "../../lib/store/add.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { importBytes } from "../../lib/store/import.ts";
import { narDigest, narStream } from "../../lib/store/nar/render.ts";
import { Spool } from "../../lib/store/nar/spool.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { pathInfoServiceContract } from "../../lib/store/testing.ts";
import { type FakeBucket, startBucket } from "../servers/s3.ts";

process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";

const gateway = process.env["TVIX_S3"];
let fake: FakeBucket;
let count = 0;
beforeAll(async () => {
  fake = await startBucket();
  if (gateway === undefined) return;
  const { CreateBucketCommand, S3Client } = await import("@aws-sdk/client-s3");
  const client = new S3Client({ endpoint: gateway, region: "us-east-1", forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: "tvix-test" })).catch(() => {});
});
afterAll(() => fake.close());

function freshAddress(): string {
  fake.objects.clear();
  const prefix = `store-${Date.now().toString(36)}-${count++}`;
  return gateway === undefined ? fake.address : `s3://tvix-test/${prefix}?endpoint=${gateway}`;
}

pathInfoServiceContract("S3", { describe, test }, async () => {
  const store = await openStore(freshAddress());
  return { service: store, close: () => store.close() };
});

describe("a store in a bucket", () => {
  test("takes a closure and gives it back; a second version costs what has changed", async () => {
    const [here, there, back] = await Promise.all([
      openStore("memory:"),
      openStore(freshAddress()),
      openStore("memory:"),
    ]);
    const large = pseudoRandomBytes(8_000_000, 1);
    const put = async (name: string, bytes: Uint8Array) => {
      const root = await ingestTree(here.castore, { entries: { large: bytes, text: "the same" } });
      const { digest, size } = await here.narDigest(root);
      const path = sourcePath({ name, narSha256: digest });
      return await here.pathInfos.put({ path, root, references: [], narSha256: digest, narSize: size, signatures: [] });
    };
    const first = await put("one", large);
    await copyClosure(here, there, [first.path]);
    const stored = () => [...fake.objects.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const before = stored();
    const changed = large.slice();
    changed.fill(7, 4_000_000, 4_010_000);
    const second = await put("two", changed);
    await copyClosure(here, there, [second.path]);
    if (gateway === undefined) expect(stored() - before).toBeLessThan(0.2 * before);
    await copyClosure(there, back, [first.path, second.path]);
    expect(Buffer.compare(await back.readFile(`${second.path.basename}/large`), changed)).toBe(0);
    await there.close();
  });
});

describe("what is stored in a bucket", () => {
  const tree = join(import.meta.dirname, "../castore");
  const reads = () => fake.requests.filter((request) => /^GET .*(chunks|blobs|dirs)\//.test(request));
  const puts = () => fake.requests.filter((request) => /^PUT .*(chunks|blobs)\//.test(request));
  const once = async function* (...pieces: Uint8Array[]) {
    yield* pieces;
  };
  const large = pseudoRandomBytes(5_000_000, 2);

  test.runIf(gateway === undefined)("is hashed on its way there, and never read back", async () => {
    const [here, there] = await Promise.all([openStore("memory:"), openStore(freshAddress())]);
    const host = mkdtempSync(join(tmpdir(), "tvix-s3-"));
    writeFileSync(join(host, "large"), large);
    const ways: Record<string, (store: Store) => Promise<PathInfo>> = {
      tree: (store) => store.importPath(tree),
      "tree by SHA-1": (store) => store.importPath(tree, { algo: "sha1" }),
      "large file": (store) => store.importPath(join(host, "large"), { name: "large" }),
      "flat file": (store) => store.importPath(join(host, "large"), { name: "flat", method: "flat", algo: "sha512" }),
      text: (store) => importBytes(store, "text", encodeUtf8("some text")),
      "NAR stream": (store) => addStream(store, narStream(here.castore, known.root), { ...nar, name: "streamed" }),
      "flat stream": (store) =>
        addStream(store, once(large.subarray(0, 9), large.subarray(9)), { ...nar, method: "flat", name: "streamed" }),
    };
    const nar = { method: "nar", algo: "sha256" } as const;
    const known = await here.importPath(tree);
    for (const [name, way] of Object.entries(ways)) {
      fake.requests.length = 0;
      const info = await way(there);
      expect(reads(), name).toEqual([]);
      expect({ ...info, registrationTime: 0 }, name).toEqual({ ...(await way(here)), registrationTime: 0 });
      expect(await narDigest(there.castore, info.root), name).toEqual({ digest: info.narSha256, size: info.narSize });
      // The same again sends nothing of it.
      fake.requests.length = 0;
      await way(there);
      expect(puts(), name).toEqual([]);
    }
    rmSync(host, { recursive: true });
    await there.close();
  });

  test.runIf(gateway === undefined)("is copied from a store on this machine without being read back", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tvix-s3-"));
    const [here, there] = await Promise.all([openStore(join(directory, "store")), openStore(freshAddress())]);
    const info = await here.importPath(tree);
    fake.requests.length = 0;
    expect((await copyClosure(here, there, [info.path])).copied).toHaveLength(1);
    expect(reads()).toEqual([]);
    await here.pathInfos.put({ ...info, narSha256: new Uint8Array(32) });
    const other = await openStore(freshAddress());
    await expect(copyClosure(here, other, [info.path])).rejects.toMatchObject({ code: "ERR_STORE_NAR_MISMATCH" });
    for (const store of [here, there, other]) await store.close();
    rmSync(directory, { recursive: true });
  });

  test("has the hash of the bytes that were stored, whatever happens to the files meanwhile", async () => {
    const host = mkdtempSync(join(tmpdir(), "tvix-s3-"));
    for (const name of ["a", "b", "c"]) writeFileSync(join(host, name), pseudoRandomBytes(200_000, 1));
    writeFileSync(join(host, "d"), large);
    const store = await openStore("memory:");
    let seed = 10;
    const scribble = () => {
      for (const name of ["a", "b", "c"]) writeFileSync(join(host, name), pseudoRandomBytes(200_000, seed++));
      const bytes = pseudoRandomBytes(large.length, seed++);
      writeFileSync(join(host, "d"), bytes);
    };
    const { blobs } = store;
    const put = blobs.put.bind(blobs);
    blobs.put = async (all) => (scribble(), await put(all));
    const openWrite = blobs.openWrite.bind(blobs);
    blobs.openWrite = () => {
      const writer = openWrite();
      return {
        write: async (bytes) => {
          await writer.write(bytes);
          scribble();
        },
        close: () => writer.close(),
        abort: () => writer.abort(),
      };
    };
    for (let i = 0; i < 5; i++) {
      const info = await store.importPath(host, { name: "moving" });
      expect(await narDigest(store.castore, info.root)).toEqual({ digest: info.narSha256, size: info.narSize });
    }
    rmSync(host, { recursive: true });
  });

  test("long streams of unknown length go through a file that leaves nothing", async () => {
    const spool = new Spool(100_000);
    for (let at = 0; at < large.length; at += 70_001) await spool.write(large.subarray(at, at + 70_001));
    expect(spool.size).toBe(large.length);
    for (let i = 0; i < 2; i++) expect(digestOf(await collectBytes(copied(spool.stream())))).toEqual(digestOf(large));
    await spool.close();
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith("tvix-spool-"))).toEqual([]);
  });

  async function* copied(pieces: AsyncIterable<Uint8Array>) {
    for await (const piece of pieces) yield piece.slice();
  }
});
