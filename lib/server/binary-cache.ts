// A store as a Nix binary cache over HTTP: what stock clients read and write, and the trees themselves for our own.
//
//   nix-cache-info                    what this cache is
//   <hash>.narinfo                    a path; signed as it leaves when there are keys
//   <hash>.ls                         what is in its NAR, as JSON
//   nar/snix-castore/<root>?narsize=  its NAR: the address holds the root, so that nothing has to be remembered
//   nar/<hash>.nar                    a NAR by its own hash, as far as the store has seen it
//   castore/…                         trees in parts (trees.ts)
//   metrics                           counters for Prometheus
//
// Reading keeps no state: any number of these may serve one store. Writing is what `nix copy --to http://…` does: the
// NAR first, under the hash of its file, then the narinfo, which finds the tree by the hash of the NAR (uploads.ts).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import type { Socket } from "node:net";
import { finished } from "node:stream/promises";
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { TvixError } from "../base/error.ts";
import type { Node } from "../castore/node.ts";
import { missingBlob } from "../castore/blob/range.ts";
import { encodeNode } from "../castore/canonical.ts";
import { sha256 } from "../formats/digest.ts";
import { CACHE_INFO_TYPE, formatCacheInfo } from "../formats/cache-info.ts";
import { nixHash } from "../formats/hash.ts";
import { formatListing } from "../formats/nar/listing.ts";
import { formatNarInfo, NARINFO_TYPE } from "../formats/narinfo.ts";
import * as base32 from "../formats/nixbase32.ts";
import type { SecretKey } from "../formats/signature.ts";
import { listNar } from "../store/nar/listing.ts";
import { openNar, SeekableNar } from "../store/nar/render.ts";
import { formatNarUrl, parseNarRoot } from "../store/nar/url.ts";
import type { PathInfo } from "../store/path-info.ts";
import { signPathInfo } from "../store/sign.ts";
import type { Store } from "../store/store.ts";
import { type Body, errorAnswer, type Exchange, sendBody, sendText, statusOf } from "./answer.ts";
import { Metrics } from "./metrics.ts";
import { type ServerTls, tlsOptions } from "./tls.ts";
import { treeRoutes } from "./trees.ts";
import { uploadRoutes, type UploadOptions } from "./uploads.ts";

/** How a cache is served. */
export interface BinaryCacheOptions extends UploadOptions {
  /** What clients of several caches go by; lower is asked first. Default: 40, as of cache.nixos.org. */
  readonly priority?: number;
  /** Every narinfo carries a signature by each of these. */
  readonly keys?: readonly SecretKey[];
  /**
   * Compress answers for clients that take it (zstd, br, gzip). Default false: between machines that are near each
   * other compressing takes longer than sending.
   */
  readonly compress?: boolean;
  /** Speak TLS; without it everything is in the clear. */
  readonly tls?: ServerTls | undefined;
  /** Told of failures that are not the client's. */
  readonly onError?: (error: unknown) => void;
}

export type CacheBindings = { Bindings: Exchange };

const HASH = "[0-9a-df-np-sv-z]{32}";
/** Milliseconds without a byte in either direction after which a connection is closed. */
const IDLE = 120_000;
/** Milliseconds that a body may go on coming after it was refused. */
const LINGER = 2000;
const FOREVER = "max-age=31536000, immutable";
const CONNECTIONS_MAX = 4096;
/** Milliseconds that a narinfo may be old, and how many are kept for so long. */
const RECENT = 2000;
const RECENT_MAX = 10_000;

/**
 * A server for a store, for `listen` (listen.ts) to be given a place. Closing it leaves the store open.
 */
export function binaryCacheServer(store: Store, options: BinaryCacheOptions = {}): Server | SecureServer {
  const metrics = new Metrics("tvix_cache");
  const recent = new RecentTexts();
  const app = binaryCacheApp(store, options, metrics, recent);
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    watch(metrics, incoming, outgoing);
    const text = incoming.method === "GET" ? recent.get(incoming.url ?? "") : undefined;
    if (text === undefined) void listener(incoming, outgoing);
    else sendText({ incoming, outgoing }, text, NARINFO_TYPE);
  };
  const times = { keepAliveTimeout: 75_000, headersTimeout: 20_000, requestTimeout: 0 };
  const { tls } = options;
  const server = tls ? createSecureServer({ ...times, ...tlsOptions(tls) }, serve) : createServer(times, serve);
  server.timeout = IDLE;
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

/**
 * Narinfos sent a moment ago, by URL. Clients ask for them by the thousand, most of them for the same ones; for as long
 * as this remembers one, what another process changes is not seen.
 */
class RecentTexts {
  #texts = new Map<string, string>();
  #until = 0;

  get(url: string): string | undefined {
    if (performance.now() > this.#until) this.clear();
    return this.#texts.get(url);
  }

  set(url: string, text: string): void {
    if (this.#texts.size === 0) this.#until = performance.now() + RECENT;
    if (this.#texts.size < RECENT_MAX) this.#texts.set(url, text);
  }

  clear(): void {
    if (this.#texts.size > 0) this.#texts = new Map();
  }
}

/** Bytes of connections that have been counted. A request has come, in part or whole, before anybody is told of it. */
const counted = new WeakMap<Socket, { readonly read: number; readonly written: number }>();

/** Counts an exchange when it is over. */
function watch(metrics: Metrics, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const start = process.hrtime.bigint();
  const { socket, method = "" } = incoming;
  const route = routeOf(incoming.url ?? "");
  metrics.add("requests_in_flight", 1, "Requests under way.", "gauge");
  outgoing.once("close", () => {
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    const { bytesRead: read, bytesWritten: written } = socket;
    const before = counted.get(socket) ?? { read: 0, written: 0 };
    counted.set(socket, { read, written });
    metrics.add("requests_in_flight", -1, "Requests under way.", "gauge");
    metrics.request(route, method, outgoing.writableFinished ? outgoing.statusCode : 499, seconds);
    metrics.add("received_bytes_total", read - before.read, "Bytes received, headers included.");
    metrics.add("sent_bytes_total", written - before.written, "Bytes sent, headers included.");
  });
}

/**
 * An answer that comes before its request's body was taken says that the connection ends with it: the rest of the body is
 * not waited for, and a client that kept the connection would find it closed under its next request. The connection
 * stays for a moment all the same: closed on bytes that are still coming, it would be reset, and the answer lost with it.
 */
async function closeUnread(c: Context<CacheBindings>, next: () => Promise<void>): Promise<void> {
  await next();
  const { incoming, outgoing } = c.env;
  const hasBody = incoming.headers["content-length"] !== undefined || "transfer-encoding" in incoming.headers;
  if (!hasBody || incoming.complete || outgoing.headersSent) return;
  const body = Buffer.from(await c.res.arrayBuffer());
  const headers = { ...Object.fromEntries(c.res.headers), "content-length": body.length, connection: "close" };
  outgoing.writeHead(c.res.status, headers);
  outgoing.write(body);
  await drained(incoming);
  outgoing.end();
  c.res = RESPONSE_ALREADY_SENT;
}

/** Lets what is still coming of a body go by: to its end, or until the client has had its time to read the answer. */
async function drained(incoming: IncomingMessage): Promise<void> {
  const done = new AbortController();
  const timer = setTimeout(() => done.abort(), LINGER);
  try {
    await finished(incoming.resume(), { signal: done.signal });
  } catch {
    // The client has gone, or goes on sending: either way it was told.
  } finally {
    clearTimeout(timer);
  }
}

/** What kind of thing a URL names: few, so that the metrics stay few. */
function routeOf(url: string): string {
  const match = /^\/(?:(castore\/\w+|nar|metrics|nix-cache-info)(?![^/?])|[^/]*\.(narinfo|ls)$)/.exec(url);
  return match?.[1] ?? match?.[2] ?? "other";
}

function binaryCacheApp(
  store: Store,
  options: BinaryCacheOptions,
  metrics: Metrics,
  recent: RecentTexts,
): Hono<CacheBindings> {
  const app = new Hono<CacheBindings>();
  const { priority = 40, keys = [], compress = false, onError } = options;
  app.onError((error, c) => {
    // Once a body is on its way, ending the connection (answer.ts) was the only way to tell the client.
    const isLate = c.env.outgoing.headersSent;
    if (isLate || statusOf(error) === 500) onError?.(error);
    return isLate ? RESPONSE_ALREADY_SENT : errorAnswer(error);
  });
  app.use(closeUnread);
  app.notFound(() => errorAnswer(new TvixError("ERR_SERVER_NOT_FOUND", "there is nothing here")));
  app.get("/", (c) => c.text("a Nix binary cache, served by tvix\n"));
  const cacheInfo = formatCacheInfo({ storeDir: store.storeDir, wantMassQuery: true, priority });
  app.get("/nix-cache-info", (c) => sendText(c.env, cacheInfo, CACHE_INFO_TYPE));
  app.get("/metrics", (c) => sendText(c.env, metrics.render(), "text/plain; version=0.0.4"));
  app.get(`/:name{${HASH}\\.narinfo}`, async (c) => {
    const info = await pathInfo(store, c.req.param("name"));
    const signed = keys.reduce((so, key) => (isSignedBy(so, key) ? so : signPathInfo(so, key, store.storeDir)), info);
    const text = narInfoText(signed, store.storeDir);
    recent.set(c.env.incoming.url ?? "", text);
    return sendText(c.env, text, NARINFO_TYPE);
  });
  app.get(`/:name{${HASH}\\.ls}`, async (c) => {
    const { root } = await pathInfo(store, c.req.param("name"));
    return sendText(c.env, formatListing(await listNar(store.castore, root)), "application/json");
  });
  const nar = (c: Context<CacheBindings>, root: Node, size: number | undefined) =>
    sendNar(store, c.env, root, size, compress);
  for (const form of ["snix-castore", "tvix-castore"]) {
    app.get(`/nar/${form}/:root`, async (c) => {
      const narSize = /^\d{1,15}$/.exec(c.req.query("narsize") ?? "")?.[0];
      if (narSize === undefined) throw new TvixError("ERR_SERVER_REQUEST", "narsize is missing");
      return await nar(c, parseNarRoot(c.req.param("root")), Number(narSize));
    });
  }
  app.get("/nar/:name{[0-9a-df-np-sv-z]{52}\\.nar}", async (c) => {
    const entry = await store.narIndex.get(base32.decode(c.req.param("name").slice(0, 52)));
    if (entry === undefined) throw new TvixError("ERR_SERVER_NOT_FOUND", "this NAR was never seen here");
    return await nar(c, entry.root, entry.narSize);
  });
  treeRoutes(app, store);
  uploadRoutes(app, store, options, metrics, () => recent.clear());
  return app;
}

async function pathInfo(store: Store, name: string): Promise<PathInfo> {
  const info = await store.pathInfos.get(base32.decode(name.slice(0, 32)));
  if (info === undefined) throw new TvixError("ERR_STORE_NO_PATH", `${name.slice(0, 32)} is not in this cache`);
  return info;
}

function isSignedBy({ signatures }: PathInfo, key: SecretKey): boolean {
  return signatures.some((signature) => signature.name === key.name);
}

function narInfoText(info: PathInfo, storeDir: string): string {
  const { path, narSha256, narSize, references, deriver, signatures, ca } = info;
  const narHash = nixHash("sha256", narSha256);
  return formatNarInfo(
    {
      storePath: path,
      url: formatNarUrl({ root: info.root, narSize }),
      compression: "none",
      // The same as of the NAR; clients show their progress by it.
      fileSize: narSize,
      narHash,
      narSize,
      references,
      signatures,
      ...(deriver && { deriver }),
      ...(ca && { ca }),
    },
    storeDir,
  );
}

async function sendNar(
  store: Store,
  exchange: Exchange,
  root: Node,
  expected: number | undefined,
  compress: boolean,
): Promise<Response> {
  if (root.type === "file" && !(await store.blobs.has([root.digest]))[0]) throw missingBlob(root.digest);
  const source = await openNar(store.castore, root);
  try {
    const { size } = source;
    if (expected !== undefined && expected !== size) {
      throw new TvixError("ERR_SERVER_REQUEST", `the NAR has ${size} bytes, not ${expected}`);
    }
    const body: Body = {
      size,
      stream: (start, end, recycle) =>
        start === 0 && end === size ? source.stream(recycle) : part(store, root, start, end),
    };
    const headers = {
      "content-type": "application/x-nix-nar",
      "cache-control": FOREVER,
      etag: `"${base32.encode(sha256(encodeNode(root)))}"`,
    };
    return await sendBody(exchange, body, headers, compress);
  } finally {
    source.close();
  }
}

async function* part(store: Store, root: Node, start: number, end: number): AsyncGenerator<Uint8Array> {
  yield* (await SeekableNar.open(store.castore, root)).stream(start, end);
}
