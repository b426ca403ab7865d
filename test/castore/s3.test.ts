// Object storage over S3: the contracts, what it costs, and what happens when the server has enough or goes away.
// With TVIX_S3=http://gateway:port (and AWS credentials) the same is done on a real server; see test/servers/radosgw.
import { once } from "node:events";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { ObjectBlobService } from "../../lib/castore/blob/object.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import { digestOf } from "../../lib/castore/digest.ts";
import { ObjectDirectoryService } from "../../lib/castore/directory/object.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { S3ObjectStore, type S3Options } from "../../lib/castore/object/s3.ts";
import { parseS3Address } from "../../lib/castore/object/s3-address.ts";
import type { ObjectStore } from "../../lib/castore/object/service.ts";
import { blobServiceContract, directoryServiceContract, pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { type FakeBucket, startBucket } from "../servers/s3.ts";

const QUICK: S3Options = { attempts: 4, pause: 1 };
process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";

let fake: FakeBucket;
beforeAll(async () => {
  fake = await startBucket();
});
afterAll(() => fake.close());

async function freshFake(): Promise<S3ObjectStore> {
  fake.objects.clear();
  fake.requests.length = 0;
  fake.fault = undefined;
  fake.forgetful = false;
  return await S3ObjectStore.open(parseS3Address(fake.address), QUICK);
}

const subject = async <T>(store: S3ObjectStore, make: (objects: ObjectStore) => T) => ({
  service: make(store),
  close: async () => store.close(),
});

blobServiceContract("S3", { describe, test }, async () => subject(await freshFake(), (o) => new ObjectBlobService(o)));
directoryServiceContract("S3", { describe, test }, async () =>
  subject(await freshFake(), (o) => new ObjectDirectoryService(o)),
);

const gateway = process.env["TVIX_S3"];
if (gateway === undefined)
  console.log("SKIP: no S3 gateway to test with; TVIX_S3 names one (test/servers/radosgw starts one)");
else {
  const bucket = "tvix-test";
  const run = Date.now().toString(36);
  let count = 0;
  const freshReal = () => S3ObjectStore.open(parseS3Address(`s3://${bucket}/${run}/${count++}?endpoint=${gateway}`));
  beforeAll(async () => {
    const { CreateBucketCommand, S3Client } = await import("@aws-sdk/client-s3");
    const client = new S3Client({ endpoint: gateway, region: "us-east-1", forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket })).catch(() => {});
  });
  blobServiceContract("a real gateway", { describe, test }, async () =>
    subject(await freshReal(), (o) => new ObjectBlobService(o)),
  );
  directoryServiceContract("a real gateway", { describe, test }, async () =>
    subject(await freshReal(), (o) => new ObjectDirectoryService(o)),
  );
  describe("a real gateway", () => {
    test("objects are kept, replaced when that is asked for, listed and found in bulk", async () => {
      const store = await freshReal();
      await exerciseStore(store);
      store.close();
    });
    test("sets a clock that is two hours off right", async () => {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 7_200_000 });
      try {
        const store = await freshReal();
        await store.put("late", encodeUtf8("x"));
        expect(await store.get("late")).toEqual(encodeUtf8("x"));
        store.close();
      } finally {
        vi.useRealTimers();
      }
    });
    test("gone in the middle and back again: the next try sends what is missing", async () => {
      const target = new URL(gateway);
      const sockets: Socket[] = [];
      let left = 4;
      const proxy = createServer((near) => {
        const far = connectSocket(Number(target.port), target.hostname);
        sockets.push(near, far);
        for (const socket of [near, far]) socket.on("error", () => {});
        near.on("data", (piece) => {
          if (!piece.toString("latin1").startsWith("PUT") || left-- > 0) return;
          near.destroy();
          far.destroy();
        });
        near.pipe(far).pipe(near);
      });
      proxy.listen(0, "127.0.0.1");
      await once(proxy, "listening");
      const { port } = proxy.address() as { port: number };
      const address = `s3://${bucket}/${run}/${count++}?endpoint=http://127.0.0.1:${port}`;
      const store = await S3ObjectStore.open(parseS3Address(address), QUICK);
      const blobs = new ObjectBlobService(store);
      const bytes = pseudoRandomBytes(3_000_000, 11);
      await expect(blobs.put([bytes])).rejects.toMatchObject({ code: "ERR_OBJECT_UNAVAILABLE" });
      await sleep(500);
      left = 1000;
      expect(await blobs.has([digestOf(bytes)])).toEqual([false]);
      await blobs.put([bytes]);
      expect(Buffer.compare(await readBlob(blobs, digestOf(bytes)), bytes)).toBe(0);
      // Fewer than all of them, since some had arrived.
      const list = await blobs.chunks(digestOf(bytes));
      expect(1000 - left).toBeLessThan((list?.length ?? 0) + 1);
      store.close();
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    test("says no to a wrong key and to a bucket that is not there", async () => {
      const lost = await S3ObjectStore.open(parseS3Address(`s3://no-such-bucket/x?endpoint=${gateway}`));
      await expect(lost.put("a", encodeUtf8("x"))).rejects.toMatchObject({ code: "ERR_OBJECT_NO_BUCKET" });
      const secret = process.env["AWS_SECRET_ACCESS_KEY"];
      process.env["AWS_SECRET_ACCESS_KEY"] = "wrong";
      const stranger = await freshReal();
      await expect(stranger.put("a", encodeUtf8("x"))).rejects.toMatchObject({ code: "ERR_OBJECT_REFUSED" });
      process.env["AWS_SECRET_ACCESS_KEY"] = secret;
    });
  });
}

async function exerciseStore(store: ObjectStore): Promise<void> {
  const keys = Array.from({ length: 60 }, (_, i) => `chunks/b3/${(i * 997).toString(16).padStart(4, "0")}/x${i}`);
  for (const [i, key] of keys.entries()) if (i % 3 === 0) await store.put(key, encodeUtf8(key));
  expect(await store.has(keys)).toEqual(keys.map((_, i) => i % 3 === 0));
  expect(await store.has(keys.slice(0, 4))).toEqual([true, false, false, true]);
  expect(await store.has([])).toEqual([]);
  const [first = ""] = keys;
  await store.put(first, encodeUtf8("other"));
  expect(await store.get(first)).toEqual(encodeUtf8(first));
  await store.put(first, encodeUtf8("other"), { replace: true });
  expect(await store.get(first)).toEqual(encodeUtf8("other"));
  expect(await store.get("chunks/none")).toBeUndefined();
  const listed: string[] = [];
  for await (const key of store.list("chunks/")) listed.push(key);
  expect(listed.sort()).toEqual(keys.filter((_, i) => i % 3 === 0).sort());
}

describe("addresses", () => {
  test("are read, and what is wrong with them is said", () => {
    expect(parseS3Address("s3://bucket/a/b/?endpoint=http://h:1&region=eu&path-style=0&profile=p")).toMatchObject({
      bucket: "bucket",
      prefix: "a/b/",
      endpoint: "http://h:1",
      region: "eu",
      profile: "p",
      pathStyle: false,
    });
    expect(parseS3Address("s3://bucket")).toEqual({ text: "s3://bucket", bucket: "bucket", prefix: "" });
    for (const text of ["s3://", "s3://UPPER/x", "s3://bucket?what=1", "s3://bucket?endpoint=h:1", "s3://b/../x"]) {
      expect(() => parseS3Address(text)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_/) }));
    }
  });
});

describe("what it costs", () => {
  test("objects are kept, replaced when that is asked for, listed and found in bulk", async () => {
    await exerciseStore(await freshFake());
  });

  test("a LIST answers for many keys where they are dense, HEADs where they are not", async () => {
    const store = await freshFake();
    const key = (i: number) => `chunks/b3/${i.toString(16).padStart(6, "0")}`;
    const keys = Array.from({ length: 6000 }, (_, i) => key(i));
    for (const one of keys) fake.objects.set(`base/${one}`, Buffer.from(""));
    expect((await store.has(keys)).every(Boolean)).toBe(true);
    expect(fake.requests.length).toBeLessThanOrEqual(7);
    fake.requests.length = 0;
    const sparse = keys.filter((_, i) => i % 200 === 0);
    expect((await store.has(sparse)).every(Boolean)).toBe(true);
    expect(fake.requests.filter((request) => request.endsWith("LIST"))).toHaveLength(1);
    expect(fake.requests.length).toBeLessThanOrEqual(1 + sparse.length);
  });

  test("a tree of many files is few requests beyond its files, and none the second time but the questions", async () => {
    const store = await freshFake();
    const castore = { blobs: new ObjectBlobService(store), directories: new ObjectDirectoryService(store) };
    const files = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, `text ${i}`.repeat(100)]));
    await ingestTree(castore, { entries: { a: { entries: files }, b: { entries: files } } });
    const puts = fake.requests.filter((request) => request.startsWith("PUT"));
    expect(puts).toHaveLength(101);
    expect(fake.requests.length).toBeLessThanOrEqual(103);
    fake.requests.length = 0;
    await ingestTree(castore, { entries: { a: { entries: files }, b: { entries: files } } });
    expect(fake.requests.filter((request) => request.startsWith("PUT"))).toHaveLength(1);
    const stored = [...fake.objects.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    expect(stored).toBeLessThan(100 * 100);
  });
});

describe("servers in trouble", () => {
  test("a listing that begins anew with every page ends in an error", async () => {
    const store = await freshFake();
    for (let i = 0; i < 1500; i++) fake.objects.set(`base/chunks/${i}`, Buffer.from(""));
    const count = async (): Promise<number> => {
      let keys = 0;
      for await (const _ of store.list("chunks/")) keys++;
      return keys;
    };
    expect(await count()).toBe(1500);
    fake.forgetful = true;
    await expect(count()).rejects.toMatchObject({ code: "ERR_OBJECT_IO" });
  });

  const bytes = pseudoRandomBytes(3_000_000, 5);

  test("429 and 503 are waited for, as long as the server asks", async () => {
    const store = await freshFake();
    const seen = new Map<string, number>();
    fake.fault = ({ method, key }) => {
      const times = seen.get(`${method}${key}`) ?? 0;
      seen.set(`${method}${key}`, times + 1);
      if (times >= 2) return undefined;
      return { status: times === 0 ? 503 : 429, code: "SlowDown", headers: { "retry-after": times === 0 ? "0" : "1" } };
    };
    const start = performance.now();
    await store.put("a", encodeUtf8("x"));
    expect(performance.now() - start).toBeGreaterThan(900);
    fake.fault = () => ({ status: 503, code: "SlowDown" });
    await expect(store.get("a")).rejects.toMatchObject({ code: "ERR_OBJECT_BUSY" });
  });

  test.each([
    [{ status: 403, code: "AccessDenied" }, "ERR_OBJECT_REFUSED"],
    [{ status: 403, code: "SignatureDoesNotMatch" }, "ERR_OBJECT_REFUSED"],
    [{ status: 403, code: "RequestTimeTooSkewed" }, "ERR_OBJECT_CLOCK"],
    [{ status: 404, code: "NoSuchBucket" }, "ERR_OBJECT_NO_BUCKET"],
    [{ status: 500, code: "InternalError" }, "ERR_OBJECT_UNAVAILABLE"],
    [{ status: 400, code: "InvalidRequest" }, "ERR_OBJECT_IO"],
    ["drop", "ERR_OBJECT_UNAVAILABLE"],
  ] as const)("%j is %s", async (fault, code) => {
    const store = await freshFake();
    fake.fault = () => fault;
    await expect(store.put("a", encodeUtf8("x"))).rejects.toMatchObject({ code });
    await expect(store.get("a")).rejects.toMatchObject({ code });
    fake.fault = undefined;
    await store.put("a", encodeUtf8("x"));
  });

  test("a clock that is wrong is set right by what the server says", async () => {
    const store = await freshFake();
    let refused = 0;
    const now = new Date(Date.now() + 3_600_000).toUTCString();
    fake.fault = () =>
      refused++ === 0 ? { status: 403, code: "RequestTimeTooSkewed", headers: { date: now } } : undefined;
    await store.put("a", encodeUtf8("x"));
    expect(refused).toBe(2);
  });

  test("gone in the middle: the blob is not there, and the next try sends only what is missing", async () => {
    const blobs = new ObjectBlobService(await freshFake());
    let puts = 0;
    fake.fault = ({ method }) => (method === "PUT" && ++puts > 4 ? "drop" : undefined);
    await expect(blobs.put([bytes])).rejects.toMatchObject({ code: "ERR_OBJECT_UNAVAILABLE" });
    fake.fault = undefined;
    expect(await blobs.has([digestOf(bytes)])).toEqual([false]);
    expect(fake.objects.size).toBeGreaterThan(0);
    fake.requests.length = 0;
    await blobs.put([bytes]);
    const list = await blobs.chunks(digestOf(bytes));
    const sent = fake.requests.filter((request) => request.startsWith("PUT")).length;
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan((list?.length ?? 0) + 1);
    expect(Buffer.compare(await readBlob(blobs, digestOf(bytes)), bytes)).toBe(0);
  });

  test("a server without conditional writes is written to without conditions", async () => {
    const store = await freshFake();
    let refused = 0;
    fake.fault = ({ method }) =>
      method === "PUT" && refused++ === 0 ? { status: 501, code: "NotImplemented" } : undefined;
    await store.put("a", encodeUtf8("x"));
    await store.put("b", encodeUtf8("y"));
    expect(refused).toBe(3);
    expect(await store.get("b")).toEqual(encodeUtf8("y"));
  });
});
