// The binary cache over HTTP: byte for byte, against stock Nix in both directions, and against clients that mean no good.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fc } from "../property.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import type { FileNode } from "../../lib/castore/node.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { type Compression, compress, decompress } from "../../lib/formats/compress.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { nixHash } from "../../lib/formats/hash.ts";
import { parseListing } from "../../lib/formats/nar/listing.ts";
import { packNar } from "../../lib/formats/nar/tree.ts";
import { formatNarInfo, type NarInfo, parseNarInfo } from "../../lib/formats/narinfo.ts";
import * as base32 from "../../lib/formats/nixbase32.ts";
import { formatPublicKey, generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { sourcePath, StorePath } from "../../lib/formats/store-path.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { binaryCacheServer, type BinaryCacheOptions } from "../../lib/server/binary-cache.ts";
import { listen, type Listening, parseListen } from "../../lib/server/listen.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { importBytes } from "../../lib/store/import.ts";
import { formatNarUrl, parseNarUrl } from "../../lib/store/nar/url.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { PROGRAM } from "../cli/tvix.ts";
import { APP, cacheFiles, LIB, PUBLIC_KEY, TEXT } from "../store/cache-server.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { clients } from "./nix.ts";

const { base, fresh } = scratch("binary-cache");
const tree = makeTree(join(base, "tree"));
const FIXTURE = `nix+file://${join(import.meta.dirname, "../data/store/caches/none")}?trusted_public_keys=${encodeURIComponent(PUBLIC_KEY)}`;
const key = generateKey("server-1");

interface Served {
  readonly store: Store;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly errors: unknown[];
}

const open: { listening: Listening; store: Store }[] = [];
afterAll(async () => {
  for (const { listening, store } of open) {
    await listening.close(0);
    await store.close();
  }
});

async function serve(options: BinaryCacheOptions = {}, address: string = fresh()): Promise<Served> {
  const store = await openStore(address);
  const errors: unknown[] = [];
  const create = () => binaryCacheServer(store, { onError: (error) => errors.push(error), ...options });
  const listening = await listen([parseListen("127.0.0.1:0")], create);
  open.push({ listening, store });
  return { store, url: `http://${listening.addresses[0]}`, errors };
}

async function fixtureInto(store: Store): Promise<void> {
  const from = await openStore(FIXTURE);
  await copyClosure(from, store, [APP]);
  await from.close();
}

/** Long byte strings are compared by digest: told apart byte by byte they keep a test busy for minutes. */
const hex = (bytes: Uint8Array) => digestHex(digestOf(bytes));
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

describe.each([
  ["a local store", () => fresh()],
  ["a store in memory", () => "memory:"],
])("reading from %s", (_, address) => {
  let served: Served;
  let info: PathInfo;
  beforeAll(async () => {
    served = await serve({ keys: [key], priority: 7 }, address());
    await fixtureInto(served.store);
    info = await served.store.importPath(tree);
  });

  test("what it says of itself and of paths", async () => {
    const get = (path: string) => fetch(`${served.url}/${path}`);
    expect(await (await get("nix-cache-info")).text()).toBe("StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 7\n");
    const response = await get(`${APP.slice(0, 32)}.narinfo`);
    expect(response.headers.get("content-type")).toBe("text/x-nix-narinfo");
    const ours = parseNarInfo(await response.text());
    const theirs = parseNarInfo(cacheFiles("none").get(`${APP.slice(0, 32)}.narinfo`) as Uint8Array);
    expect({ ...ours, url: "", fileSize: 0, signatures: [] }).toEqual({
      ...theirs,
      url: "",
      fileSize: 0,
      signatures: [],
      fileHash: undefined,
    });
    expect(ours.signatures.map((signature) => signature.name)).toEqual(["tvix-test-1", "server-1"]);
    expect((await get("00000000000000000000000000000000.narinfo")).status).toBe(404);
    expect((await get("log/x.drv")).status).toBe(404);
    expect((await get("metrics")).status).toBe(200);
  });

  test("NARs under all their names, whole and in parts", async () => {
    const nar = await collectBytes(served.store.nar(info.path.basename));
    const url = formatNarUrl(info);
    const names = [url, url.replace("snix", "tvix"), `nar/${base32.encode(info.narSha256)}.nar`];
    for (const name of names) {
      const whole = await fetch(`${served.url}/${name}`);
      expect(whole.headers.get("content-length")).toBe(String(nar.length));
      expect(whole.headers.get("content-type")).toBe("application/x-nix-nar");
      expect(hex(await bytesOf(whole))).toBe(hex(nar));
      const head = await fetch(`${served.url}/${name}`, { method: "HEAD" });
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(nar.length)]);
    }
    const ranges: [string, number, number][] = [
      ["bytes=0-0", 0, 1],
      ["bytes=100-", 100, nar.length],
      ["bytes=700000-800000", 700000, 800001],
      ["bytes=-10", nar.length - 10, nar.length],
      ["bytes=5-99999999999", 5, nar.length],
    ];
    for (const [range, start, end] of ranges) {
      const part = await fetch(`${served.url}/${url}`, { headers: { range } });
      expect(part.status).toBe(206);
      expect(part.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${nar.length}`);
      expect(hex(await bytesOf(part))).toBe(hex(nar.slice(start, end)));
    }
    const beyond = await fetch(`${served.url}/${url}`, { headers: { range: `bytes=${nar.length}-` } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, `bytes */${nar.length}`]);
    const etag = (await fetch(`${served.url}/${url}`, { method: "HEAD" })).headers.get("etag") as string;
    for (const [condition, status] of [
      [etag, 206],
      ['"other"', 200],
    ] as const) {
      const headers = { range: "bytes=1-2", "if-range": condition };
      expect((await fetch(`${served.url}/${url}`, { headers })).status).toBe(status);
    }
  });

  test("addresses of NARs are read strictly", async () => {
    const url = formatNarUrl(info);
    const statuses = {
      [url.replace(/\?.*/, "")]: 400,
      [url.replace(/=\d+$/, "=5")]: 400,
      "nar/snix-castore/AAAA?narsize=5": 404,
    };
    for (const [path, status] of Object.entries(statuses)) {
      expect((await fetch(`${served.url}/${path}`)).status, path).toBe(status);
    }
    const absent = { type: "file", digest: digestOf(encodeUtf8("absent")), size: 6, executable: false } as const;
    const missing = formatNarUrl({ root: absent, narSize: 120 });
    expect((await fetch(`${served.url}/${missing}`)).status).toBe(404);
    expect(parseNarUrl(missing)).toEqual({ root: absent, narSize: 120 });
    expect(
      formatNarUrl({ root: { type: "symlink", target: encodeUtf8("/nix/store/somewhereelse") }, narSize: 1 }),
    ).toBe("nar/snix-castore/GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ?narsize=1");
  });

  test("listings say where contents are in the NAR", async () => {
    const { path } = await served.store.info(APP);
    const listing = parseListing(await (await fetch(`${served.url}/${path.hash}.ls`)).text());
    const nar = await collectBytes(served.store.nar(APP));
    const share = listing.type === "directory" ? listing.entries.get("share") : undefined;
    const refs = share?.type === "directory" ? share.entries.get("refs") : undefined;
    if (refs?.type !== "regular" || refs.narOffset === undefined) throw new Error("share/refs is not listed as a file");
    const contents = nar.slice(refs.narOffset, refs.narOffset + refs.size);
    expect(new TextDecoder().decode(contents)).toBe(`/nix/store/${LIB} /nix/store/${TEXT}\n`);
    // Names that are not UTF-8 cannot be listed.
    expect((await fetch(`${served.url}/${info.path.hash}.ls`)).status).toBe(500);
  });

  test("our own clients fetch trees, and of a second version what has changed", async () => {
    const query = `trusted_public_keys=${encodeURIComponent(formatPublicKey(toPublicKey(key)))}`;
    const large = pseudoRandomBytes(6_000_000, 3);
    const first = await importBytes(served.store, "large", large, { method: "flat" });
    large.fill(7, 3_000_000, 3_000_100);
    const second = await importBytes(served.store, "large", large, { method: "flat" });
    for (const target of [fresh(), "memory:"]) {
      const from = await openStore(`nix+${served.url}?${query}`);
      const to = await openStore(target);
      const summary = await copyClosure(from, to, [APP, info.path, first.path]);
      expect(summary.copied).toHaveLength(5);
      expect(hex(await collectBytes(to.nar(info.path.basename)))).toBe(
        hex(await collectBytes(served.store.nar(info.path.basename))),
      );
      const { bytes } = await copyClosure(from, to, [second.path]);
      // A store in memory does not cut blobs.
      if (target !== "memory:" && served.store.local) expect(bytes).toBeLessThan(1_200_000);
      expect(digestHex(((await to.info(second.path)).root as FileNode).digest)).toBe(digestHex(digestOf(large)));
      await to.close();
      await from.close();
    }
    expect(served.errors.filter((error) => (error as { code?: string }).code !== "ERR_LISTING_NOT_UTF8")).toEqual([]);
  });
});

describe("metrics", () => {
  test("count requests by what they are for, and bytes both ways", async () => {
    const { store, url } = await serve({ anonymousWrites: true });
    const info = await importBytes(store, "text", encodeUtf8("x".repeat(100_000)));
    const nar = await bytesOf(await fetch(`${url}/${formatNarUrl(info)}`));
    for (let i = 0; i < 3; i++) await (await fetch(`${url}/${info.path.hash}.narinfo`)).text();
    await (await fetch(`${url}/00000000000000000000000000000000.narinfo`)).text();
    await fetch(`${url}/nar/${base32.encode(sha256(NAR))}.nar`, { method: "PUT", body: NAR });
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    const text = await response.text();
    const value = (name: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${name} `))
          ?.split(" ")[1],
      );
    const requests = (route: string, method: string, status: number) =>
      value(`tvix_cache_requests_total{route="${route}",method="${method}",status="${status}"}`);
    expect(requests("narinfo", "GET", 200)).toBe(3);
    expect(requests("narinfo", "GET", 404)).toBe(1);
    expect(requests("nar", "GET", 200)).toBe(1);
    expect(requests("nar", "PUT", 201)).toBe(1);
    expect(value('tvix_cache_request_duration_seconds_bucket{route="narinfo",le="+Inf"}')).toBe(4);
    expect(value("tvix_cache_sent_bytes_total")).toBeGreaterThan(nar.length);
    expect(value("tvix_cache_received_bytes_total")).toBeGreaterThan(NAR.length);
    expect(value("tvix_cache_requests_in_flight")).toBe(1);
  });
});

describe("content encodings", () => {
  test("are what the client takes, where they are on", async () => {
    const { store, url } = await serve({ compress: true });
    const info = await importBytes(store, "text", encodeUtf8("compress me ".repeat(10_000)));
    const nar = await collectBytes(store.nar(info.path.basename));
    const cases: [string, Compression | null][] = [
      ["gzip", "gzip"],
      ["gzip, br, zstd", "zstd"],
      ["zstd;q=0, br", "br"],
      ["identity", null],
      ["*", "zstd"],
    ];
    for (const [accepted, encoding] of cases) {
      const { bytes, headers } = await raw(url, formatNarUrl(info), accepted);
      expect(headers.get("content-encoding") ?? null, accepted).toBe(encoding);
      if (encoding === null) expect(hex(bytes)).toBe(hex(nar));
      else {
        expect(bytes.length).toBeLessThan(nar.length / 4);
        const source = async function* () {
          yield bytes;
        };
        expect(hex(await collectBytes(decompress(encoding, source())))).toBe(hex(nar));
      }
    }
  });
});

/** A request whose answer is not decoded, as fetch would. */
async function raw(
  url: string,
  path: string,
  accepted: string,
): Promise<{ bytes: Uint8Array; headers: Map<string, string> }> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /${path} HTTP/1.0\r\nHost: x\r\nAccept-Encoding: ${accepted}\r\n\r\n`);
  const all = Buffer.from(await collectBytes(socket as AsyncIterable<Uint8Array>));
  const end = all.indexOf("\r\n\r\n");
  const lines = all.toString("latin1", 0, end).split("\r\n").slice(1);
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
  );
  return { bytes: new Uint8Array(all.subarray(end + 4)), headers };
}

const CONTENTS = encodeUtf8("uploaded");
const NAR = packNar({ type: "regular", executable: false, size: CONTENTS.length, contents: CONTENTS });
const PATH = sourcePath({ name: "uploaded", narSha256: sha256(NAR) });

function narInfoOf(changes: Partial<NarInfo> = {}): string {
  const narHash = nixHash("sha256", sha256(NAR));
  const url = `nar/${base32.encode(sha256(NAR))}.nar`;
  return formatNarInfo({
    storePath: PATH,
    url,
    compression: "none",
    narHash,
    narSize: NAR.length,
    references: [],
    signatures: [],
    ...changes,
  });
}

describe("uploads", () => {
  const put = (url: string, path: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
    fetch(`${url}/${path}`, { method: "PUT", body, headers });
  const narName = `nar/${base32.encode(sha256(NAR))}.nar`;

  test("need what the server wants for them", async () => {
    const closed = await serve();
    expect((await put(closed.url, narName, NAR)).status).toBe(403);
    const { url, store } = await serve({ tokens: ["secret", "other"], anonymousWrites: true });
    const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;
    for (const authorization of [
      "",
      "Bearer wrong",
      "Bearer secre",
      "Bearer secrett",
      basic("secret:x"),
      basic("secret"),
      "Digest secret",
    ]) {
      const headers: Record<string, string> = authorization === "" ? {} : { authorization };
      const expected = authorization === basic("secret") ? 201 : 401;
      expect((await put(url, narName, NAR, headers)).status, authorization).toBe(expected);
    }
    expect((await put(url, `${PATH.hash}.narinfo`, narInfoOf())).status).toBe(401);
    expect((await put(url, narName, NAR, { authorization: basic("any:secret") })).status).toBe(201);
    const put2 = await put(url, `${PATH.hash}.narinfo`, narInfoOf(), { authorization: "Bearer other" });
    expect(put2.status).toBe(201);
    expect((await store.info(PATH)).narSize).toBe(NAR.length);
    expect((await put(url, "log/x.drv", "log", { authorization: "Bearer other" })).status).toBe(405);
    expect((await put(url, `${PATH.hash}.ls`, "{}", { authorization: "Bearer other" })).status).toBe(200);
  });

  test("that are not what they claim store no path", async () => {
    const { url, store, errors } = await serve({ anonymousWrites: true, maxNarSize: 1000, maxUploads: 1 });
    const other = packNar({ type: "symlink", target: encodeUtf8("x") });
    const bomb = await collectBytes(
      compress(
        "gzip",
        (async function* () {
          yield new Uint8Array(1 << 20);
        })(),
      ),
    );
    const refused: [string, Uint8Array | string, number][] = [
      [narName, other, 400],
      [narName, NAR.slice(0, 50), 400],
      [narName, "no nar", 400],
      [narName, "", 400],
      [`nar/${base32.encode(sha256(bomb))}.nar.gz`, bomb, 413],
      [`${narName}.xz`, NAR, 400],
      [`${narName}.rar`, NAR, 400],
      ["nar/short.nar", NAR, 400],
      [`${PATH.hash}.narinfo`, narInfoOf(), 400],
      [`${PATH.hash}.narinfo`, "no narinfo", 400],
      [`${PATH.hash}.narinfo`, "x".repeat(5 << 20), 413],
    ];
    for (const [path, body, status] of refused) expect((await put(url, path, body)).status, path).toBe(status);
    expect((await put(url, narName, NAR)).status).toBe(201);
    const elsewhere = StorePath.of(new Uint8Array(20), "elsewhere");
    for (const changes of [
      { storePath: elsewhere },
      { narSize: 5 },
      { references: [elsewhere] },
      { narHash: nixHash("sha256", new Uint8Array(32)) },
    ]) {
      expect((await put(url, `${PATH.hash}.narinfo`, narInfoOf(changes))).status).toBe(400);
    }
    expect(await store.pathInfos.get(PATH.digest)).toBeUndefined();
    expect((await put(url, `${PATH.hash}.narinfo`, narInfoOf({ references: [PATH] }))).status).toBe(201);
    expect(errors).toEqual([]);
  });

  test("that are refused before they were read are told that the connection ends", async () => {
    const { url } = await serve({ tokens: ["secret"] });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write(`PUT /${narName} HTTP/1.1\r\nHost: x\r\nContent-Length: ${NAR.length}\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    expect(answer.toString()).toMatch(/^HTTP\/1.1 401 /);
    expect(answer.toString()).toMatch(/^connection: close\r$/im);
  });

  test("that are refused get their answer, also a client that sends all before it looks for one", async () => {
    const { url } = await serve({ tokens: ["secret"] });
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const errors: Error[] = [];
    socket.on("error", (error) => errors.push(error));
    socket.write(`PUT /${narName} HTTP/1.1\r\nHost: x\r\nContent-Length: ${32 << 16}\r\n\r\n`);
    for (let i = 0; i < 32; i++) {
      socket.write(new Uint8Array(1 << 16));
      await sleep(10);
    }
    const answer = Buffer.concat(await socket.toArray().catch(() => []));
    expect(errors).toEqual([]);
    expect(answer.toString()).toMatch(/^HTTP\/1.1 401 [^]*ERR_SERVER_UNAUTHORIZED/);
  });

  test("that break off, hang or come too many at once leave nothing", async () => {
    const { url, store } = await serve({ anonymousWrites: true, maxUploads: 2 });
    const { port } = new URL(url);
    const sockets = [1, 2].map(() => {
      const socket = connect(Number(port), "127.0.0.1");
      socket.write(`PUT /${narName} HTTP/1.1\r\nHost: x\r\nContent-Length: ${NAR.length}\r\n\r\n`);
      socket.write(NAR.slice(0, 64));
      return socket.on("error", () => {});
    });
    const status = async () => (await put(url, narName, NAR)).status;
    for (let i = 0; i < 100 && (await status()) !== 503; i++) await new Promise((done) => setTimeout(done, 10));
    expect(await status()).toBe(503);
    for (const socket of sockets) socket.destroy();
    for (let i = 0; i < 100 && (await status()) === 503; i++) await new Promise((done) => setTimeout(done, 10));
    expect(await status()).toBe(201);
    expect(await store.pathInfos.get(PATH.digest)).toBeUndefined();
  });

  test("anything at all gets an answer", async () => {
    const { url, errors } = await serve({ anonymousWrites: true });
    const methods = fc.constantFrom("GET", "PUT", "POST", "HEAD", "DELETE");
    const paths = fc.oneof(
      fc.webPath(),
      fc.constantFrom(
        "/castore/blobs",
        "/castore/chunks",
        "/castore/directories",
        `/${narName}`,
        `/${PATH.hash}.narinfo`,
      ),
      fc.string().map((text) => `/nar/snix-castore/${encodeURIComponent(text)}?narsize=5`),
      fc.string().map((text) => `/nar/${encodeURIComponent(text)}`),
    );
    await fc.assert(
      fc.asyncProperty(methods, paths, fc.uint8Array({ maxLength: 100 }), async (method, path, body) => {
        const response = await fetch(url + path, { method, ...(method.startsWith("P") && { body }) });
        await response.arrayBuffer();
        expect(response.status).not.toBe(500);
      }),
      { numRuns: 200 },
    );
    expect(errors).toEqual([]);
  });
});

/** `TVIX_SOAK=1` does this for five minutes. */
const SOAK = process.env["TVIX_SOAK"] === "1" ? 1000 * Number(process.env["TVIX_SOAK_SECONDS"] ?? 300) : 2_000;

/** A server in a process of its own, whose memory is its own. */
async function startServer(directory: string): Promise<{ url: string; server: ChildProcess; said: () => string }> {
  const args = [PROGRAM, "cache", "serve", "--listen", "127.0.0.1:0", "--store", directory];
  const server = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  server.stderr.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  await once(server.stderr, "data");
  return { url: `http://${/127\.0\.0\.1:\d+/.exec(text)?.[0]}`, server, said: () => text };
}

describe("64 clients that come and go", () => {
  test(
    "get no wrong byte and leave nothing behind",
    async () => {
      const directory = fresh();
      const { url, server, said } = await startServer(directory);
      const until = performance.now() + SOAK;
      const done = { uploads: 0, downloads: 0, aborted: 0 };
      /** One upload and, when it was not broken off, the same downloaded again. */
      const visit = async (client: number, turn: number): Promise<void> => {
        const size = 1000 + ((client * 7919 + turn * 104_729) % 1_500_000);
        const contents = pseudoRandomBytes(size, client * 1000 + turn);
        const nar = packNar({ type: "regular", executable: turn % 2 === 0, size, contents });
        const digest = sha256(nar);
        const storePath = sourcePath({ name: `soak-${client}`, narSha256: digest });
        const controller = new AbortController();
        const isBroken = (client + turn) % 3 === 0;
        if (isBroken) setTimeout(() => controller.abort(), (client * 13 + turn * 7) % 40);
        const { signal } = controller;
        const put = async (path: string, body: Uint8Array | string) => {
          for (;;) {
            const { status } = await fetch(`${url}/${path}`, { method: "PUT", body, signal });
            // More at once than it takes: as Nix does, later again.
            if (status !== 503) return expect(status).toBe(201);
            await sleep(20);
          }
        };
        await put(`nar/${base32.encode(digest)}.nar`, nar);
        const narHash = nixHash("sha256", digest);
        await put(`${storePath.hash}.narinfo`, narInfoOf({ storePath, narHash, narSize: nar.length }));
        done.uploads++;
        const info = parseNarInfo(await (await fetch(`${url}/${storePath.hash}.narinfo`, { signal })).text());
        const got = await bytesOf(await fetch(`${url}/${info.url}`, { signal }));
        expect(hex(got)).toBe(hex(nar));
        done.downloads++;
      };
      const client = async (_: unknown, id: number): Promise<void> => {
        for (let turn = 0; performance.now() < until; turn++) {
          try {
            await visit(id, turn);
          } catch (error) {
            if ((error as Error).name !== "AbortError") throw error;
            done.aborted++;
          }
        }
      };
      await Promise.all(Array.from({ length: 64 }, client));
      expect(done.uploads).toBeGreaterThan(20);
      expect(done.aborted).toBeGreaterThan(5);
      const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
      const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1000;
      if (SOAK > 10_000) console.log(done, `the server had at most ${peak.toFixed(0)} MB`);
      expect(peak).toBeLessThan(600);
      server.kill("SIGTERM");
      await once(server, "exit");
      expect(said().trim().split("\n")).toHaveLength(1);
      const store = await openStore(directory);
      expect((await verifyStore(store)).damage).toEqual([]);
      await store.close();
      expect(existsSync(join(directory, "tmp")) ? readdirSync(join(directory, "tmp")) : []).toEqual([]);
    },
    3 * SOAK + 120_000,
  );
});

if (clients.length === 0) console.warn("no Nix is installed: its clients are not tested against the binary cache");

describe.each(clients.map((client) => [client.name, client] as const))("%s", (_, nix) => {
  test("uploads in every compression, downloads with its signatures checked", async () => {
    const source = fresh();
    const from = `file://${join(import.meta.dirname, "../data/store/caches/none")}`;
    const trust = (text: string) => ["--option", "trusted-public-keys", text];
    await nix("nix", "copy", "--from", from, "--to", source, ...trust(PUBLIC_KEY), `/nix/store/${APP}`);
    for (const compression of ["none", "xz", "gzip", "bzip2", "br", "zstd"]) {
      const { url, store, errors } = await serve({ anonymousWrites: true, keys: [key] });
      await nix(
        "nix",
        "copy",
        "--from",
        source,
        "--to",
        `${url}?compression=${compression}&write-nar-listing=1`,
        `/nix/store/${APP}`,
      );
      expect((await store.info(APP)).references).toHaveLength(3);
      expect((await store.info(TEXT)).ca).toBeDefined();
      const signed = formatPublicKey(toPublicKey(key));
      if (compression !== "none" && compression !== "zstd") continue;
      const target = fresh();
      const command = ["copy", "--refresh", "--from", url, "--to", target, `/nix/store/${APP}`];
      const other = formatPublicKey(toPublicKey(generateKey("server-1")));
      await expect(nix("nix", ...command, ...trust(other))).rejects.toThrow(/signature/);
      await nix("nix", ...command, ...trust(signed));
      expect(readFileSync(join(target, "nix/store", APP, "share/refs"), "utf8")).toContain(LIB);
      expect(existsSync(join(target, "nix/store", TEXT))).toBe(true);
      expect(await nix("nix", "path-info", "--refresh", "--store", url, "-r", `/nix/store/${APP}`)).toContain(LIB);
      expect(errors).toEqual([]);
    }
  });
});
