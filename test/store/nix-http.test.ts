// Substitution from ordinary binary caches: what C++ Nix wrote in every compression, and servers that mean no good.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fc } from "../property.ts";
import { beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../../lib/base/bytes.ts";
import { TvixError } from "../../lib/base/error.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { parsePublicKey } from "../../lib/formats/signature.ts";
import { compress } from "../../lib/formats/compress.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { formatPrefixedHash, nixHash } from "../../lib/formats/hash.ts";
import { formatNarInfo, type NarInfo, parseNarInfo } from "../../lib/formats/narinfo.ts";
import { generateKey, fingerprint, formatPublicKey, signText, toPublicKey } from "../../lib/formats/signature.ts";
import { StorePath } from "../../lib/formats/store-path.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { parseCacheAddress } from "../../lib/store/nix-http/address.ts";
import { openCacheStore } from "../../lib/store/nix-http/store.ts";
import { openStore } from "../../lib/store/open.ts";
import { MemoryPathInfoService } from "../../lib/store/memory.ts";
import { Store } from "../../lib/store/store.ts";
import {
  APP,
  type Answer,
  cacheFiles,
  CACHES,
  type CacheServer,
  LIB,
  PUBLIC_KEY,
  serveFiles,
  TEXT,
} from "./cache-server.ts";
import { scratch } from "./fixture.ts";

const { fresh } = scratch("nix-http");
const KEY = `trusted_public_keys=${encodeURIComponent(PUBLIC_KEY)}`;
const QUICK = { backoff: 1, idle: 200 };

/** A store over a cache that does not wait long for anything. */
function quick(url: string, query: string = KEY): Promise<Store> {
  return openCacheStore(parseCacheAddress(`nix+${url}?${query}`), undefined, QUICK);
}

async function pathsOf(store: Store): Promise<string[]> {
  const out: string[] = [];
  for await (const { path } of store.list()) out.push(path.basename);
  return out.sort();
}

/** Copies a closure out of a cache; what the copy says, and that nothing is left open. */
async function copyFrom(cache: Store, to: Store, path: string = APP) {
  try {
    return await copyClosure(cache, to, [path]);
  } finally {
    await cache.close();
  }
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("caches that C++ Nix wrote", () => {
  const compressions = ["none", "xz", "bzip2", "gzip", "br", "zstd"];
  const kinds = [() => fresh(), () => "memory:", () => `dir:${fresh()}`];
  test.each(compressions)("%s, over HTTP and as a directory", async (compression) => {
    const server = await serveFiles(cacheFiles(compression));
    for (const [i, address] of [server.url, `file://${join(CACHES, compression)}`].entries()) {
      const to = await openStore((kinds[i] as () => string)());
      const summary = await copyFrom(await openStore(`nix+${address}?${KEY}`), to);
      expect(summary.copied.map((info) => info.path.basename).sort()).toEqual([TEXT, APP, LIB].sort());
      expect(await pathsOf(to)).toEqual([TEXT, APP, LIB].sort());
      const app = await to.info(APP);
      expect(app.references.map((reference) => reference.basename)).toEqual([TEXT, APP, LIB]);
      expect(app.deriver?.basename).toBe("gbbp7wr53m06y180j3c6b5g8cvjfw97h-app.drv");
      expect(formatPrefixedHash(nixHash("sha256", app.narSha256), "nix32")).toBe(
        "sha256:1ir9g9izzh0lr097adn354ikr685kcnraj9vwb8q9c53idvrkb3h",
      );
      expect(new TextDecoder().decode(await to.readFile(`${APP}/share/refs`))).toBe(
        `/nix/store/${LIB} /nix/store/${TEXT}\n`,
      );
      expect((await to.info(TEXT)).signatures).toHaveLength(1);
      await to.close();
    }
  });

  test("a cache is a store that can be read", async () => {
    const server = await serveFiles(cacheFiles("xz"));
    const cache = await openStore(`nix+${server.url}?${KEY}`);
    expect(new TextDecoder().decode(await cache.readFile(TEXT))).toBe("plain text\n");
    expect((await collectBytes(cache.nar(LIB))).length).toBe(120);
    await expect(cache.info("00000000000000000000000000000000")).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
    await expect(cache.pathInfos.put(await cache.info(TEXT))).rejects.toMatchObject({ code: "ERR_STORE_READONLY" });
    await expect(pathsOf(cache)).rejects.toMatchObject({ code: "ERR_STORE_NO_LIST" });
    await cache.close();
  });

  test("nothing is fetched twice", async () => {
    const server = await serveFiles(cacheFiles("xz"));
    const to = await openStore("memory:");
    await copyFrom(await quick(server.url), to);
    const before = server.requests.length;
    expect(await copyFrom(await quick(server.url), to)).toMatchObject({ copied: [], present: 3 });
    expect(server.requests.length).toBe(before);
    // Another store path with a NAR that was seen: its narinfo is asked for, its NAR is not.
    const seen = new Store({
      address: "seen",
      castore: to.castore,
      pathInfos: new MemoryPathInfoService(),
      narIndex: to.narIndex,
      close: async () => {},
    });
    await copyFrom(await quick(server.url), seen);
    expect(server.requests.slice(before).filter((request) => request.includes("nar/"))).toEqual([]);
    expect(await pathsOf(seen)).toEqual([TEXT, APP, LIB].sort());
  });

  test("absence is remembered", async () => {
    const server = await serveFiles(cacheFiles("none"));
    const cache = await quick(server.url);
    const absent = StorePath.of(new Uint8Array(20), "absent");
    for (let i = 0; i < 3; i++) expect(await cache.pathInfos.get(absent.digest)).toBeUndefined();
    expect(server.requests.filter((request) => request.endsWith(".narinfo"))).toHaveLength(1);
    await cache.close();
  });
});

describe("trust", () => {
  let server: CacheServer;
  beforeAll(async () => {
    server = await serveFiles(cacheFiles("gzip"));
  });

  test("without a trusted key nothing but contents proves a path", async () => {
    const to = await openStore("memory:");
    await expect(copyFrom(await quick(server.url, ""), to)).rejects.toMatchObject({ code: "ERR_STORE_UNTRUSTED" });
    expect(await pathsOf(to)).toEqual([]);
    expect((await copyFrom(await quick(server.url, ""), to, TEXT)).copied).toHaveLength(1);
    expect((await copyFrom(await quick(server.url, "trusted=1"), to)).copied).toHaveLength(2);
  });

  test("the keys of the copy count instead, when it has some", async () => {
    const to = await openStore("memory:");
    const trustedKeys = [parsePublicKey(PUBLIC_KEY)];
    const cache = await quick(server.url, "trusted=1");
    const others = [toPublicKey(generateKey("other-1"))];
    await expect(copyClosure(cache, to, [APP], { trustedKeys: others })).rejects.toMatchObject({
      code: "ERR_STORE_UNTRUSTED",
    });
    expect((await copyClosure(cache, to, [APP], { trustedKeys })).copied).toHaveLength(3);
    await cache.close();
  });

  test("addresses are read strictly", () => {
    expect(parseCacheAddress("nix+https://u:p@h/sub?trusted=1")).toMatchObject({ unsigned: true, onlyNars: false });
    expect(parseCacheAddress("nix+https://h").root.href).toBe("https://h/");
    expect(parseCacheAddress("nix+https://h").keys[0]?.name).toBe("cache.nixos.org-1");
    const two = `trusted-public-keys=${encodeURIComponent(`${PUBLIC_KEY} ${PUBLIC_KEY}`)}&trusted_public_keys[0]=${encodeURIComponent(PUBLIC_KEY)}`;
    expect(parseCacheAddress(`nix+http://h?${two}`).keys).toHaveLength(3);
    for (const bad of ["nix+https://", "nix+https://h?trused=1", "nix+https://h?trusted=maybe", "nix+https://h#x"]) {
      expect(() => parseCacheAddress(bad), bad).toThrow(expect.objectContaining({ code: "ERR_STORE_ADDRESS" }));
    }
    expect(() => parseCacheAddress("nix+https://h?trusted_public_keys=x")).toThrow(
      expect.objectContaining({ code: "ERR_KEY_SYNTAX" }),
    );
  });
});

const key = generateKey("hostile-1");

/** A cache with one path and a narinfo of the test's making, well signed. */
function signedCache(nar: Uint8Array, changes: Partial<NarInfo> = {}, file: Answer = nar): Map<string, Answer> {
  const storePath = StorePath.of(new Uint8Array(20).fill(7), "victim");
  const narHash = nixHash("sha256", sha256(nar));
  const base: NarInfo = {
    storePath,
    url: "nar/victim.nar",
    compression: "none",
    narHash,
    narSize: nar.length,
    references: [],
    signatures: [],
    ...changes,
  };
  const signature = signText(key, fingerprint(base));
  return new Map<string, Answer>([
    ["nix-cache-info", "StoreDir: /nix/store\n"],
    [`${base.storePath.hash}.narinfo`, formatNarInfo({ ...base, signatures: [signature] })],
    [base.url, file],
  ]);
}

const VICTIM = StorePath.of(new Uint8Array(20).fill(7), "victim").basename;
const TRUST = `trusted_public_keys=${encodeURIComponent(formatPublicKey(toPublicKey(key)))}`;
const LIB_NAR = cacheFiles("none").get("nar/03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6crw241gr3.nar") as Uint8Array;

/** An endless body of `piece`, for as long as the client takes it. */
function endless(piece: Uint8Array): Answer {
  return (_request, response) => {
    response.writeHead(200);
    const write = () => {
      while (!response.destroyed && response.write(piece));
    };
    response.on("drain", write);
    write();
  };
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const source = async function* () {
    yield bytes;
  };
  return await collectBytes(compress("gzip", source()));
}

describe("servers that mean no good", () => {
  const wrongNar = LIB_NAR.slice();
  wrongNar[LIB_NAR.findIndex((_, i) => LIB_NAR[i] === 0x6c && LIB_NAR[i + 1] === 0x69 && LIB_NAR[i + 2] === 0x62)] =
    0x4c;
  const huge = new Uint8Array(32 << 20);
  const cases: Record<string, [() => Promise<Map<string, Answer>>, RegExp]> = {
    "another NAR of the same size": [async () => signedCache(LIB_NAR, {}, wrongNar), /^ERR_STORE_NAR_MISMATCH$/],
    "a NAR that is longer": [
      async () => signedCache(LIB_NAR, { narSize: 112 }, LIB_NAR),
      /^ERR_(STORE_NAR_MISMATCH|HTTP_TOO_LARGE)$/,
    ],
    "a NAR that is shorter": [async () => signedCache(LIB_NAR, { narSize: 1000 }), /^ERR_STORE_NAR_MISMATCH$/],
    "a NAR that is cut off": [
      async () => signedCache(LIB_NAR, {}, LIB_NAR.slice(0, 64)),
      /^ERR_(STORE_NAR_MISMATCH|NAR_TRUNCATED)$/,
    ],
    "no NAR": [
      async () => new Map([...signedCache(LIB_NAR)].filter(([path]) => path !== "nar/victim.nar")),
      /^ERR_CACHE_NO_NAR$/,
    ],
    "something that is no NAR": [async () => signedCache(new Uint8Array(500)), /^ERR_NAR_/],
    "an endless stream": [
      async () => signedCache(LIB_NAR, {}, endless(new Uint8Array(65536))),
      /^ERR_(NAR_|HTTP_TOO_LARGE|STORE_NAR_MISMATCH)/,
    ],
    "a bomb": [
      async () => signedCache(LIB_NAR, { compression: "gzip" }, await gzip(huge)),
      /^ERR_(NAR_|STORE_NAR_MISMATCH)/,
    ],
    "an endless stream of nothing in gzip": [
      async () => signedCache(LIB_NAR, { compression: "gzip" }, endless(await gzip(new Uint8Array(0)))),
      /^ERR_(HTTP_TOO_LARGE|COMPRESS_CORRUPT|NAR_TRUNCATED|STORE_NAR_MISMATCH)$/,
    ],
    "damaged compression": [
      async () => signedCache(LIB_NAR, { compression: "xz" }, new Uint8Array(200)),
      /^ERR_COMPRESS_CORRUPT$/,
    ],
    "a compression nobody knows": [async () => signedCache(LIB_NAR, { compression: "lz9" }), /^ERR_COMPRESS_UNKNOWN$/],
    "a file of another size": [async () => signedCache(LIB_NAR, { fileSize: 121 }), /^ERR_STORE_NAR_MISMATCH$/],
    "a file with another hash": [
      async () => signedCache(LIB_NAR, { fileHash: nixHash("sha256", new Uint8Array(32)) }),
      /^ERR_STORE_NAR_MISMATCH$/,
    ],
    "an archive on another protocol": [
      async () => signedCache(LIB_NAR, { url: "file:///etc/passwd" }),
      /^ERR_HTTP_URL$/,
    ],
    "a narinfo about another path": [
      async () => {
        const files = signedCache(LIB_NAR);
        const other = signedCache(LIB_NAR, { storePath: StorePath.of(new Uint8Array(20).fill(8), "victim") });
        const [, [, narInfo]] = [...other] as [unknown, [string, Answer]];
        return files.set(`${VICTIM.slice(0, 32)}.narinfo`, narInfo);
      },
      /^ERR_CACHE_WRONG_PATH$/,
    ],
    "an endless narinfo": [
      async () => signedCache(LIB_NAR).set(`${VICTIM.slice(0, 32)}.narinfo`, endless(new Uint8Array(65536).fill(65))),
      /^ERR_HTTP_TOO_LARGE$/,
    ],
    "a store directory of its own": [
      async () => signedCache(LIB_NAR).set("nix-cache-info", "StoreDir: /gnu/store\n"),
      /^ERR_CACHE_STORE_DIR$/,
    ],
    "no cache at all": [async () => new Map(), /^ERR_CACHE_NONE$/],
    "references in a circle": [
      async () => {
        const other = StorePath.of(new Uint8Array(20).fill(9), "other");
        const storePath = StorePath.of(new Uint8Array(20).fill(7), "victim");
        return new Map([
          ...signedCache(LIB_NAR, { storePath: other, references: [storePath] }),
          ...signedCache(LIB_NAR, { references: [other] }),
        ]);
      },
      /^ERR_STORE_CYCLE$/,
    ],
    "a reference that is not there": [
      async () => signedCache(LIB_NAR, { references: [StorePath.of(new Uint8Array(20).fill(9), "other")] }),
      /^ERR_STORE_NO_PATH$/,
    ],
    "redirects for ever": [
      async () =>
        signedCache(LIB_NAR, {}, (_request, response) => {
          response.writeHead(302, { location: "/nar/victim.nar" }).end();
        }),
      /^ERR_HTTP_REDIRECT$/,
    ],
    silence: [async () => signedCache(LIB_NAR, {}, () => {}), /^ERR_HTTP_TIMEOUT$/],
    "a content address that the contents do not have": [
      async () => {
        const files = cacheFiles("none");
        const path = `${TEXT.slice(0, 32)}.narinfo`;
        const narInfo = parseNarInfo(files.get(path) as Uint8Array);
        const evil = new Map(signedCache(LIB_NAR));
        return evil.set(`${VICTIM.slice(0, 32)}.narinfo`, new Uint8Array(0)).set(
          path,
          formatNarInfo({
            ...narInfo,
            signatures: [],
            url: "nar/victim.nar",
            compression: "none",
            narSize: LIB_NAR.length,
            narHash: nixHash("sha256", sha256(LIB_NAR)),
            ...noFile,
          }),
        );
      },
      /^ERR_STORE_CONTENT_ADDRESS$/,
    ],
  };
  const noFile = { fileHash: nixHash("sha256", sha256(LIB_NAR)), fileSize: LIB_NAR.length };

  test.each(Object.entries(cases))("%s", async (name, [files, code]) => {
    const server = await serveFiles(await files());
    for (const address of [fresh(), "memory:"]) {
      const to = await openStore(address);
      const path = name.startsWith("a content address") ? TEXT : VICTIM;
      const error = await failure(copyFrom(await quick(server.url, TRUST), to, path));
      expect(error).toBeInstanceOf(TvixError);
      expect((error as TvixError).code).toMatch(code);
      expect(await pathsOf(to)).toEqual([]);
      expect(await to.narIndex.get(sha256(LIB_NAR))).toBeUndefined();
      await to.close();
    }
  });

  test("a directory's archive may not be outside of it", async () => {
    const files = signedCache(LIB_NAR, { url: "../../../../../../../etc/passwd" });
    const root = fresh();
    mkdirSync(root);
    for (const [path, bytes] of files) if (!path.includes("..")) writeFileSync(join(root, path), bytes as Uint8Array);
    const to = await openStore("memory:");
    await expect(copyFrom(await openStore(`nix+file://${root}?${TRUST}`), to, VICTIM)).rejects.toMatchObject({
      code: "ERR_HTTP_URL",
    });
  });

  test("any narinfo ends in a path or an error with a code", async () => {
    const [path, text] = [...signedCache(LIB_NAR)][1] as [string, string];
    const server = await serveFiles(signedCache(LIB_NAR));
    const property = fc.asyncProperty(
      fc.nat(text.length - 1),
      fc.nat(20),
      fc.string({ maxLength: 20 }),
      async (at, removed, inserted) => {
        server.files.set(path, text.slice(0, at) + inserted + text.slice(at + removed));
        const to = await openStore("memory:");
        const error = await failure(copyFrom(await quick(server.url, TRUST), to, VICTIM));
        if (error === undefined) expect(toHex((await to.info(VICTIM)).narSha256)).toBe(toHex(sha256(LIB_NAR)));
        else expect(error).toBeInstanceOf(TvixError);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});

describe("servers that have a bad day", () => {
  test("come through: 503, 429 with a wait, a broken connection, a broken body", async () => {
    const files = cacheFiles("none");
    const bad = new Set<string>();
    let turn = 0;
    for (const [path, bytes] of [...files] as [string, Uint8Array][]) {
      files.set(path, (request, response) => {
        const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
        const from = range ? Number(range[1]) : 0;
        const way = bad.has(path) ? "good" : (["busy", "wait", "broken", "cut"] as const)[turn++ % 4];
        bad.add(path);
        if (way === "busy") response.writeHead(503).end();
        if (way === "wait") response.writeHead(429, { "retry-after": "0" }).end();
        if (way === "broken") request.socket.destroy();
        if (way === "cut") {
          response.writeHead(200, { "content-length": bytes.length, etag: '"x"' }).write(bytes.slice(0, 60));
          setTimeout(() => request.socket.destroy(), 20);
        }
        if (way !== "good") return;
        const headers = range ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
        response.writeHead(range ? 206 : 200, { ...headers, "content-length": bytes.length - from });
        response.end(bytes.slice(from));
      });
    }
    const server = await serveFiles(files);
    const to = await openStore("memory:");
    expect((await copyFrom(await quick(server.url), to)).copied).toHaveLength(3);
  });

  test("a broken body goes on where it stopped, or starts over where there are no ranges", async () => {
    for (const ranges of [true, false]) {
      const nar = cacheFiles("none").get("nar/1ir9g9izzh0lr097adn354ikr685kcnraj9vwb8q9c53idvrkb3h.nar") as Uint8Array;
      let sent = 0;
      const server = await serveFiles(
        signedCache(nar, {}, (request, response) => {
          const from = ranges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0) : 0;
          const range = { "content-range": `bytes ${from}-${nar.length - 1}/${nar.length}` };
          response.writeHead(from > 0 ? 206 : 200, { "content-length": nar.length - from, ...(from > 0 && range) });
          const end = ranges ? from + 700 : (sent += 700);
          response.write(nar.slice(from, end));
          if (end >= nar.length) response.end();
          else setTimeout(() => request.socket.destroy(), 20);
        }),
      );
      const to = await openStore("memory:");
      expect((await copyFrom(await quick(server.url, TRUST), to, VICTIM)).copied).toHaveLength(1);
      expect(server.requests.filter((request) => request.includes("nar/victim"))).toHaveLength(3);
    }
  });

  test("gives up in the end, and stops when told to", async () => {
    const files = signedCache(LIB_NAR, {}, (_request, response) => void response.writeHead(500).end());
    const server = await serveFiles(files);
    const to = await openStore("memory:");
    await expect(copyFrom(await quick(server.url, TRUST), to, VICTIM)).rejects.toMatchObject({
      code: "ERR_HTTP_STATUS",
    });
    expect(server.requests.filter((request) => request.includes("victim.nar"))).toHaveLength(5);
    const controller = new AbortController();
    const cache = await quick(
      (await serveFiles(signedCache(LIB_NAR, {}, () => controller.abort(new Error("enough"))))).url,
      TRUST,
    );
    await expect(copyClosure(cache, to, [VICTIM], { signal: controller.signal })).rejects.toThrow("enough");
    await cache.close();
  });

  test("nothing is left behind in the temporary directory", async () => {
    const directory = mkdtempSync(`${fresh()}-`);
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = directory;
    try {
      const server = await serveFiles(cacheFiles("none"));
      const cache = await quick(server.url);
      await cache.info(APP);
      expect(readdirSync(directory)).toHaveLength(1);
      await cache.close();
      expect(existsSync(directory)).toBe(true);
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
  });
});
