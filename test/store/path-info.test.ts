import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { LocalStore } from "../../lib/castore/local/store.ts";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { ObjectBlobService } from "../../lib/castore/blob/object.ts";
import { DirObjectStore } from "../../lib/castore/object/dir.ts";
import { asDigest } from "../../lib/castore/digest.ts";
import { nixHash } from "../../lib/formats/hash.ts";
import { StorePath } from "../../lib/formats/store-path.ts";
import { LocalNarIndex, LocalPathInfoService } from "../../lib/store/local.ts";
import { MemoryNarIndex, MemoryPathInfoService } from "../../lib/store/memory.ts";
import { ObjectNarIndex, ObjectPathInfoService } from "../../lib/store/object.ts";
import { decodePathInfo, encodePathInfo, type PathInfo, sortedPaths } from "../../lib/store/path-info.ts";
import { pathInfoServiceContract } from "../../lib/store/testing.ts";
import { scratch } from "./fixture.ts";

const { fresh } = scratch("path-info");

pathInfoServiceContract("memory", { describe, test }, async () => ({
  service: {
    blobs: new MemoryBlobService(),
    pathInfos: new MemoryPathInfoService(),
    narIndex: new MemoryNarIndex(),
  },
  close: async () => {},
}));
pathInfoServiceContract("local", { describe, test }, async () => {
  const local = await LocalStore.open(fresh());
  return {
    service: { blobs: local.blobs, pathInfos: new LocalPathInfoService(local), narIndex: new LocalNarIndex(local) },
    close: () => local.close(),
  };
});
pathInfoServiceContract("objects in a directory", { describe, test }, async () => {
  const objects = await DirObjectStore.open(fresh());
  return {
    service: {
      blobs: new ObjectBlobService(objects),
      pathInfos: new ObjectPathInfoService(objects),
      narIndex: new ObjectNarIndex(objects),
    },
    close: async () => {},
  };
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const names = fc.stringMatching(/^[a-zA-Z0-9+_?=][a-zA-Z0-9+._?=-]{0,20}$/);
const paths = fc.tuple(bytes(20), names).map(([digest, name]) => StorePath.of(digest, name));
const infos: fc.Arbitrary<PathInfo> = fc.record({
  path: paths,
  root: fc.oneof(
    fc.record({
      type: fc.constant("file" as const),
      digest: bytes(32).map(asDigest),
      size: fc.maxSafeNat(),
      executable: fc.boolean(),
    }),
    fc.record({ type: fc.constant("directory" as const), digest: bytes(32).map(asDigest), size: fc.maxSafeNat() }),
    fc.record({ type: fc.constant("symlink" as const), target: fc.uint8Array({ min: 1, minLength: 1 }) }),
  ),
  references: fc.array(paths, { maxLength: 5 }).map(sortedPaths),
  narSha256: bytes(32),
  narSize: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  deriver: fc.option(
    fc.tuple(bytes(20), names).map(([digest, name]) => StorePath.of(digest, `${name}.drv`)),
    { nil: undefined },
  ),
  ca: fc.option(
    bytes(32).map((digest) => ({ method: "text" as const, hash: nixHash("sha256", digest) })),
    { nil: undefined },
  ),
  signatures: fc.array(fc.record({ name: names, bytes: bytes(64) }), { maxLength: 3 }),
});

describe("path infos", () => {
  test("round trip through their bytes", () => {
    fc.assert(
      fc.property(infos, (info) => {
        const again = decodePathInfo(encodePathInfo(info));
        expect(again).toEqual(info);
      }),
    );
  });
  test("any bytes are a path info or an error with a code", () => {
    fc.assert(
      fc.property(infos, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), (info, changes) => {
        const encoded = encodePathInfo(info);
        for (const [at, value] of changes) encoded[at % encoded.length] = value;
        try {
          decodePathInfo(encoded);
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^ERR_/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
