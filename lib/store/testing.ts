// The contract of path-info services as a suite that any backend can be put through; see lib/castore/testing.ts.
import assert from "node:assert/strict";
import { encodeUtf8 } from "../base/text.ts";
import { digestOf } from "../castore/digest.ts";
import type { BlobService } from "../castore/blob/service.ts";
import { type Subject, suite, type TestRunner } from "../castore/testing.ts";
import { nixHash } from "../formats/hash.ts";
import { packNar } from "../formats/nar/tree.ts";
import { sha256 } from "../formats/digest.ts";
import { sourcePath, StorePath } from "../formats/store-path.ts";
import { encodePathInfo, type PathInfo } from "./path-info.ts";
import type { NarIndex, PathInfoService } from "./service.ts";

/** What a path-info service is tested with: the services of one store, whose blobs the path infos refer to. */
export interface PathInfoSubject {
  readonly blobs: BlobService;
  readonly pathInfos: PathInfoService;
  readonly narIndex: NarIndex;
}

const CONTENTS = encodeUtf8("Hello World!");

function sample(name: string, changes: Partial<PathInfo> = {}): PathInfo {
  const narBytes = packNar({ type: "regular", executable: false, size: CONTENTS.length, contents: CONTENTS });
  const narSha256 = sha256(narBytes);
  return {
    path: sourcePath({ name, narSha256 }),
    root: { type: "file", digest: digestOf(CONTENTS), size: CONTENTS.length, executable: false },
    references: [],
    narSha256,
    narSize: narBytes.length,
    deriver: undefined,
    ca: { method: "nar", hash: nixHash("sha256", narSha256) },
    signatures: [],
    ...changes,
  };
}

const same = (actual: PathInfo | undefined, expected: PathInfo) => {
  assert.ok(actual, "the path info is there");
  assert.deepEqual(encodePathInfo(actual), encodePathInfo(expected));
};

const pathInfoTests: Record<string, (subject: PathInfoSubject) => Promise<void>> = {
  "gives back what was put": async ({ blobs, pathInfos }) => {
    await blobs.put([CONTENTS]);
    const info = sample("hello");
    assert.equal(await pathInfos.get(info.path.digest), undefined);
    same(await pathInfos.put(info), info);
    same(await pathInfos.get(info.path.digest), info);
  },
  "keeps everything a path info says": async ({ blobs, pathInfos }) => {
    await blobs.put([CONTENTS]);
    const references = [StorePath.of(new Uint8Array(20).fill(3), "b"), StorePath.of(new Uint8Array(20).fill(9), "a")];
    const info = sample("full", {
      references,
      deriver: StorePath.of(new Uint8Array(20).fill(7), "x.drv"),
      ca: undefined,
      signatures: [
        { name: "k-1", bytes: new Uint8Array(64).fill(1) },
        { name: "k-2", bytes: new Uint8Array(64).fill(2) },
      ],
    });
    await pathInfos.put(info);
    same(await pathInfos.get(info.path.digest), info);
  },
  "replaces an earlier one for the same path": async ({ blobs, pathInfos }) => {
    await blobs.put([CONTENTS]);
    const info = sample("hello");
    await pathInfos.put(info);
    const signed = { ...info, signatures: [{ name: "k", bytes: new Uint8Array(64) }] };
    await pathInfos.put(signed);
    same(await pathInfos.get(info.path.digest), signed);
  },
  "lists all": async ({ blobs, pathInfos }) => {
    await blobs.put([CONTENTS]);
    const infos = Array.from({ length: 20 }, (_, i) => sample(`n${i}`));
    for (const info of infos) await pathInfos.put(info);
    const listed: string[] = [];
    for await (const info of pathInfos.list()) listed.push(info.path.basename);
    assert.deepEqual(listed.sort(), infos.map((info) => info.path.basename).sort());
  },
  "refuses path infos that make no sense": async ({ blobs, pathInfos }) => {
    await blobs.put([CONTENTS]);
    for (const changes of [
      { narSha256: new Uint8Array(31) },
      { narSize: 0 },
      { narSize: 1.5 },
      { signatures: [{ name: "k", bytes: new Uint8Array(63) }] },
      { deriver: StorePath.of(new Uint8Array(20), "not-a-derivation") },
    ]) {
      await assert.rejects(pathInfos.put(sample("bad", changes)), { code: "ERR_PATH_INFO" });
    }
    assert.equal(await pathInfos.get(sample("bad").path.digest), undefined);
  },
  "remembers the trees of NARs": async ({ blobs, narIndex }) => {
    await blobs.put([CONTENTS]);
    const { narSha256, root, narSize } = sample("hello");
    assert.equal(await narIndex.get(narSha256), undefined);
    await narIndex.put(narSha256, { root, narSize });
    assert.deepEqual(await narIndex.get(narSha256), { root, narSize });
  },
};

/** The contract of a {@link PathInfoService} and its {@link NarIndex}. `open` gives fresh services for each test. */
export function pathInfoServiceContract(
  name: string,
  runner: TestRunner,
  open: () => Promise<Subject<PathInfoSubject>>,
): void {
  suite(`path-info service: ${name}`, runner, open, pathInfoTests);
}
