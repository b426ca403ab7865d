// Caches that keep trees and lie about them: the archive is fetched instead, and where that lies too nothing is stored.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { formatPublicKey, generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { binaryCacheServer } from "../../lib/server/binary-cache.ts";
import { listen, parseListen } from "../../lib/server/listen.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { formatNarUrl } from "../../lib/store/nar/url.ts";
import { parseCacheAddress } from "../../lib/store/nix-http/address.ts";
import { openCacheStore } from "../../lib/store/nix-http/store.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";

const key = generateKey("cache-1");
const KEY = `trusted_public_keys=${encodeURIComponent(formatPublicKey(toPublicKey(key)))}`;
let cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
  cleanups = [];
});

/** An answer of the honest server on its way to the client, and what a test makes of it. */
type Lie = (path: string, body: Buffer) => Buffer | "endless" | "cut" | "none";

const flip = (body: Buffer, at: number): Buffer => {
  const copy = Buffer.from(body);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
};

/** A real cache with one path, and a front that lies; what was asked of it. */
async function lyingCache(lie: Lie): Promise<{ url: string; info: PathInfo; nar: Uint8Array; requests: string[] }> {
  const store = await openStore("memory:");
  const large = pseudoRandomBytes(3_000_000, 1);
  const root = await ingestTree(store.castore, { entries: { large, a: { entries: { b: "text" } }, c: "more" } });
  const { digest, size } = await store.narDigest(root);
  const path = sourcePath({ name: "victim", narSha256: digest });
  const info = await store.pathInfos.put({
    path,
    root,
    references: [],
    narSha256: digest,
    narSize: size,
    signatures: [],
  });
  const listening = await listen([parseListen("127.0.0.1:0")], () => binaryCacheServer(store, { keys: [key] }));
  cleanups.push(() => listening.close(0));
  const requests: string[] = [];
  const front = createServer((request, response) => void pass(request, response));
  const pass = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const asked = request.url ?? "/";
    requests.push(`${request.method} ${asked}`);
    const parts: Buffer[] = [];
    for await (const piece of request) parts.push(piece as Buffer);
    const method = request.method ?? "GET";
    const body = method === "POST" ? { body: Buffer.concat(parts) } : {};
    const answer = await fetch(`http://${listening.addresses[0]}${asked}`, { method, ...body });
    const honest = Buffer.from(await answer.arrayBuffer());
    const said = answer.ok ? lie(asked, honest) : honest;
    if (said === "none") return void response.writeHead(404).end();
    response.writeHead(answer.status);
    if (said === "endless") {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", more);
      more();
    } else if (said === "cut") {
      response.write(honest.subarray(0, honest.length >> 1));
      setTimeout(() => request.socket.destroy(), 10);
    } else response.end(said);
  };
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  cleanups.push(async () => {
    front.closeAllConnections();
    front.close();
  });
  const nar = await collectBytes(store.nar(path.basename));
  return { url: `http://127.0.0.1:${(front.address() as { port: number }).port}`, info, nar, requests };
}

const quick = { backoff: 1, idle: 500, attempts: 2 };
const isTree = (path: string): boolean => path.startsWith("/castore/");
const about = (kind: string, lie: (body: Buffer) => ReturnType<Lie>): Lie => {
  return (path, body) => (path.startsWith(`/castore/${kind}`) ? lie(body) : body);
};

const lies: Record<string, Lie> = {
  "other directories": about("directories", (body) => flip(body, body.length - 1)),
  "no directories": about("directories", () => Buffer.from([255, 255, 255, 255])),
  "directories that go on and on": about("directories", () => "endless"),
  "more directories than were asked for": about("directories", (body) => Buffer.concat([body, body])),
  "directories that break off": about("directories", () => "cut"),
  "other contents": about("blobs", (body) => flip(body, body.length - 1)),
  "contents of another length": about("blobs", (body) => body.subarray(0, body.length - 1)),
  "contents that go on and on": about("blobs", () => "endless"),
  "contents that break off": about("blobs", () => "cut"),
  "lists of other chunks": about("chunks", (body) => flip(body, body.length - 1)),
  "nothing that was promised": (path, body) => (isTree(path) ? "none" : body),
};

describe("a cache that gives", () => {
  test.each(Object.entries(lies))("%s: the archive comes instead, and is right", async (_name, lie) => {
    const { url, info, nar, requests } = await lyingCache(lie);
    const to = await openStore("memory:");
    const from = await openCacheStore(parseCacheAddress(`nix+${url}?${KEY}`), undefined, quick);
    cleanups.push(() => from.close());
    await copyClosure(from, to, [info.path]);
    expect(digestHex(digestOf(await collectBytes(to.nar(info.path.basename))))).toBe(digestHex(digestOf(nar)));
    expect(requests.some((request) => request.startsWith("POST /castore/"))).toBe(true);
    expect(requests.some((request) => request.startsWith("GET /nar/"))).toBe(true);
  });

  test.each(Object.entries(lies))("%s, and archives that lie as well: nothing is stored", async (_name, lie) => {
    const { url, info } = await lyingCache((path, body) =>
      path.startsWith("/nar/") ? flip(body, body.length - 100) : lie(path, body),
    );
    const to = await openStore("memory:");
    const from = await openCacheStore(parseCacheAddress(`nix+${url}?${KEY}`), undefined, quick);
    cleanups.push(() => from.close());
    const code = expect.stringMatching(/^ERR_(STORE_NAR_MISMATCH|NAR_)/) as string;
    await expect(copyClosure(from, to, [info.path])).rejects.toMatchObject({ code });
    expect(await to.pathInfos.get(info.path.digest)).toBeUndefined();
    expect(await to.narIndex.get(info.narSha256)).toBeUndefined();
  });

  test("the address of another tree: its NAR is another one, and the archive there as well", async () => {
    const { url, info } = await lyingCache((path, body) => {
      if (!path.endsWith(".narinfo")) return body;
      const other = { ...info, root: { type: "symlink", target: encodeUtf8("elsewhere") } } as const;
      return Buffer.from(body.toString().replace(/^URL: .*$/m, `URL: ${formatNarUrl(other)}`));
    });
    const to = await openStore("memory:");
    const from = await openCacheStore(parseCacheAddress(`nix+${url}?${KEY}`), undefined, quick);
    cleanups.push(() => from.close());
    await expect(copyClosure(from, to, [info.path])).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(STORE_NAR_MISMATCH|CACHE_NO_NAR|HTTP_STATUS)$/) as string,
    });
    expect(await to.pathInfos.get(info.path.digest)).toBeUndefined();
  });
});
