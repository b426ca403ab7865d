// A whole store in a bucket: path infos, and a closure that goes there and back.
// With TVIX_S3=http://gateway:port (and AWS credentials) a real gateway holds it; see test/servers/radosgw.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { openStore } from "../../lib/store/open.ts";
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
