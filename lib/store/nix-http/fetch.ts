// Fetching from a binary cache: HTTP with retries, timeouts, redirects and limits, or a directory with the same files.
//
// Whatever a server does ends in bytes or in a `TvixError`: nothing waits for ever, nothing grows without a limit, and
// a download that breaks goes on where it stopped.
import { setMaxListeners } from "node:events";
import { createReadStream } from "node:fs";
import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type RequestOptions,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TvixError } from "../../base/error.ts";
import { isUntrusted } from "../../base/network.ts";
import { collectBytes } from "../../castore/blob/range.ts";
import { type Compression, decompress } from "../../formats/compress.ts";

/** Where the files of a cache come from. Paths are relative to the cache's root; absolute URLs are taken as they are. */
export interface Fetcher {
  /** A whole file of at most `limit` bytes; `undefined` when there is none. */
  get(path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /** A file in pieces, at most `limit` bytes; `undefined` when there is none. */
  stream(path: string, limit: number, signal?: AbortSignal): Promise<AsyncGenerator<Uint8Array> | undefined>;
  /** The answer to `body`, as {@link stream}; `undefined` also where there is nothing that answers. */
  post(path: string, body: Uint8Array, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  close(): void;
}

/** How patient a {@link Fetcher} is. */
export interface FetchOptions {
  /** Milliseconds without a byte after which a connection is given up. Default: 30 000. */
  readonly idle?: number;
  /** How often a request is made before it has failed. Default: 5. */
  readonly attempts?: number;
  /** Milliseconds before the second attempt, doubled for each further one. Default: 200. */
  readonly backoff?: number;
  /** Authorities (PEM) that may vouch for https servers, instead of those of the system. */
  readonly ca?: Uint8Array | undefined;
}

const REDIRECTS_MAX = 5;
/** Longest wait that a server may ask for with Retry-After, in milliseconds. */
const RETRY_AFTER_MAX = 60_000;
const BACKOFF_MAX = 10_000;
/** How often one download may break altogether, even when every part of it brings some bytes. */
const BREAKS_MAX = 50;
const CONNECTIONS = 16;
/** "Not here": caches in buckets say 403 for what does not exist. */
const ABSENT: ReadonlySet<number> = new Set([403, 404, 410]);
const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
const ENCODINGS: Readonly<Record<string, Compression>> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  br: "br",
  zstd: "zstd",
  xz: "xz",
  bzip2: "bzip2",
};

/** A failure that may be over the next time. */
class TransientError extends TvixError {
  /** Milliseconds that the server asked to wait. */
  readonly wait: number | undefined;

  constructor(code: string, message: string, options: { cause?: unknown; wait?: number | undefined } = {}) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.wait = options.wait;
  }
}

/** Opens the fetcher for a root URL: `http:`, `https:` or `file:`. */
export function openFetcher(root: URL, options: FetchOptions = {}): Fetcher {
  return root.protocol === "file:" ? new FileFetcher(root) : new HttpFetcher(root, options);
}

class HttpFetcher implements Fetcher {
  readonly #root: URL;
  readonly #authorization: string | undefined;
  readonly #options: Required<Omit<FetchOptions, "ca">>;
  readonly #agents: { readonly "http:": HttpAgent; readonly "https:": HttpsAgent };

  constructor(root: URL, options: FetchOptions) {
    this.#root = new URL(root);
    const { username, password } = root;
    if (username !== "" || password !== "") {
      const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      this.#authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
    }
    this.#root.username = "";
    this.#root.password = "";
    const { ca, ...rest } = options;
    this.#options = { idle: 30_000, attempts: 5, backoff: 200, ...rest };
    const common = { keepAlive: true, maxSockets: CONNECTIONS };
    this.#agents = {
      "http:": new HttpAgent(common),
      "https:": new HttpsAgent({ ...common, ...(ca && { ca: Buffer.from(ca) }) }),
    };
  }

  get(path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#whole({ method: "GET" }, path, limit, signal);
  }

  post(path: string, body: Uint8Array, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#whole({ method: "POST", body }, path, limit, signal);
  }

  async #whole(ask: Ask, path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const url = this.#url(path);
    for (let failures = 1; ; failures++) {
      try {
        const response = await this.#ask(ask, url, signal);
        if (response === undefined) return undefined;
        return await collectBytes(limited(contentsOf(response, url), limit, url));
      } catch (error) {
        await this.#pause(error, failures, signal);
      }
    }
  }

  async stream(path: string, limit: number, signal?: AbortSignal): Promise<AsyncGenerator<Uint8Array> | undefined> {
    const url = this.#url(path);
    for (let failures = 1; ; failures++) {
      try {
        const response = await this.#ask({ method: "GET" }, url, signal);
        return response && this.#resumed(response, url, limit, signal);
      } catch (error) {
        await this.#pause(error, failures, signal);
      }
    }
  }

  /** The body of a response; when the connection breaks, the rest from another one. */
  async *#resumed(first: IncomingMessage, url: URL, limit: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const encoded = encodingOf(first) !== undefined;
    const validator = first.headers.etag?.startsWith('"') ? first.headers.etag : undefined;
    let response: IncomingMessage | undefined = first;
    let done = 0;
    let skip = 0;
    let failures = 0;
    for (let breaks = 0; ; breaks++) {
      try {
        if (response === undefined) {
          const range = { range: `bytes=${done}-`, ...(validator && { "if-range": validator }) };
          response = await this.#ask({ method: "GET", headers: range }, url, signal);
          if (response === undefined) throw httpError("ERR_HTTP_STATUS", url, "it has gone while it was read");
          skip = restOf(response, done, url);
        }
        for await (const piece of limited(contentsOf(response, url), limit, url, done - skip)) {
          const fresh = piece.subarray(Math.min(skip, piece.length));
          skip -= piece.length - fresh.length;
          if (fresh.length === 0) continue;
          done += fresh.length;
          failures = 0;
          yield fresh;
        }
        return;
      } catch (error) {
        if (encoded || breaks === BREAKS_MAX) throw error;
        response = undefined;
        await this.#pause(error, ++failures, signal);
      }
    }
  }

  #url(path: string): URL {
    try {
      const url = new URL(path, this.#root);
      if (url.protocol === "http:" || url.protocol === "https:") return url;
    } catch {
      // Said below.
    }
    throw new TvixError(
      "ERR_HTTP_URL",
      `the cache ${this.#root.href} refers to ${JSON.stringify(path.slice(0, 200))}`,
      {
        notes: ["a cache may refer to what is below it and to other http and https URLs"],
      },
    );
  }

  /** One request, redirects followed; `undefined` when the server says that there is nothing. */
  async #ask(ask: Ask, url: URL, signal?: AbortSignal): Promise<IncomingMessage | undefined> {
    let at = url;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const response = await this.#send(ask, at, signal);
      const { statusCode: status = 0, headers } = response;
      if (status === 200 || status === 206) return response;
      response.destroy();
      if (ABSENT.has(status) || (ask.method === "POST" && (status === 405 || status === 501))) return undefined;
      if (TRANSIENT.has(status)) {
        throw new TransientError("ERR_HTTP_STATUS", `${shown(at)} answers with status ${status}`, {
          wait: retryAfter(headers),
        });
      }
      if (status < 300 || status > 399 || headers.location === undefined) {
        throw httpError("ERR_HTTP_STATUS", at, `the answer has status ${status}`);
      }
      at = redirected(at, headers.location);
    }
    throw httpError("ERR_HTTP_REDIRECT", url, `it leads to another place more than ${REDIRECTS_MAX} times`);
  }

  #send(ask: Ask, url: URL, signal?: AbortSignal): Promise<IncomingMessage> {
    const protocol = url.protocol as "http:" | "https:";
    // As many requests as there are connections may listen to one signal.
    if (signal) setMaxListeners(4 * CONNECTIONS, signal);
    const { idle } = this.#options;
    const options: RequestOptions = {
      method: ask.method,
      agent: this.#agents[protocol],
      timeout: idle,
      headers: {
        "user-agent": "tvix",
        "accept-encoding": "identity",
        ...ask.headers,
        ...(ask.body && { "content-length": ask.body.length }),
        // Only to the host that they are for.
        ...(this.#authorization && url.origin === this.#root.origin && { authorization: this.#authorization }),
      },
      ...(signal && { signal }),
    };
    return new Promise((resolve, reject) => {
      let response: IncomingMessage | undefined;
      const request = (protocol === "http:" ? httpRequest : httpsRequest)(url, options, (answer) => {
        response = answer;
        // Whoever reads it meets its errors; when nobody does any more, they are nobody's.
        answer.on("error", () => {});
        resolve(answer);
      });
      request.on("timeout", () => {
        const text = `${shown(url)} has sent nothing for ${idle / 1000} s`;
        (response ?? request).destroy(new TransientError("ERR_HTTP_TIMEOUT", text));
      });
      request.on("error", (error) => reject(signal?.aborted ? signal.reason : networkError(url, error)));
      request.end(ask.body);
    });
  }

  /** Waits before the next attempt, or throws what cannot be mended by one. */
  async #pause(error: unknown, failures: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!(error instanceof TransientError) || failures >= this.#options.attempts) throw error;
    if (error.wait !== undefined && error.wait > RETRY_AFTER_MAX) throw error;
    const backoff = Math.min(BACKOFF_MAX, this.#options.backoff * 2 ** (failures - 1));
    // Clients that failed together shall not come back together.
    const wait = error.wait ?? backoff * (0.5 + Math.random() / 2);
    try {
      await sleep(wait, undefined, signal ? { signal } : {});
    } finally {
      signal?.throwIfAborted();
    }
  }

  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }
}

interface Ask {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** A cache that is a directory, as `nix copy --to file:///…` makes it. */
class FileFetcher implements Fetcher {
  readonly #root: URL;

  constructor(root: URL) {
    this.#root = root;
  }

  async get(path: string, limit: number): Promise<Uint8Array | undefined> {
    const stream = await this.stream(path, limit);
    return stream && (await collectBytes(stream));
  }

  async stream(path: string, limit: number): Promise<AsyncGenerator<Uint8Array> | undefined> {
    const url = new URL(path, this.#root);
    if (!url.href.startsWith(this.#root.href)) {
      throw httpError("ERR_HTTP_URL", this.#root, `it refers to ${JSON.stringify(path.slice(0, 200))}, outside of it`);
    }
    const file = createReadStream(fileURLToPath(new URL(url.pathname, this.#root)), { highWaterMark: 1 << 20 });
    const opened = await new Promise<boolean>((resolve, reject) => {
      file.on("ready", () => resolve(true));
      file.on("error", (cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT" || cause.code === "ENOTDIR") resolve(false);
        else reject(new TvixError("ERR_HTTP_FILE", `${shown(url)} cannot be read: ${cause.message}`, { cause }));
      });
    });
    return opened ? limited(file as AsyncIterable<Uint8Array>, limit, url) : undefined;
  }

  async post(): Promise<undefined> {
    return undefined;
  }

  close(): void {}
}

/** The bytes of a response, without its content encoding. */
async function* contentsOf(response: IncomingMessage, url: URL): AsyncGenerator<Uint8Array> {
  const body = bodyOf(response, url);
  const encoding = encodingOf(response);
  if (encoding === undefined) {
    yield* body;
    return;
  }
  const compression = ENCODINGS[encoding];
  if (compression === undefined) throw httpError("ERR_HTTP_ENCODING", url, `its encoding "${encoding}" is not known`);
  yield* decompress(compression, body);
}

async function* bodyOf(response: IncomingMessage, url: URL): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      yield new Uint8Array(piece.buffer, piece.byteOffset, piece.length);
    }
  } catch (error) {
    throw networkError(url, error as Error);
  }
}

function encodingOf({ headers }: IncomingMessage): string | undefined {
  const encoding = headers["content-encoding"]?.trim().toLowerCase();
  return encoding === "" || encoding === "identity" ? undefined : encoding;
}

/** How many bytes of a response to a range from `done` on are known already. */
function restOf(response: IncomingMessage, done: number, url: URL): number {
  if (response.statusCode === 200) return done;
  if (response.headers["content-range"]?.startsWith(`bytes ${done}-`)) return 0;
  throw httpError("ERR_HTTP_STATUS", url, "the answer has another range than was asked for");
}

async function* limited(
  pieces: AsyncIterable<Uint8Array>,
  limit: number,
  url: URL,
  before = 0,
): AsyncGenerator<Uint8Array> {
  let size = before;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > limit) throw httpError("ERR_HTTP_TOO_LARGE", url, `it is larger than the ${limit} bytes it may have`);
    yield piece;
  }
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:")) return to;
  throw httpError("ERR_HTTP_REDIRECT", from, `it leads to ${JSON.stringify(location.slice(0, 200))}`);
}

function retryAfter(headers: IncomingHttpHeaders): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

function networkError(url: URL, cause: Error): Error {
  if (cause instanceof TvixError) return cause;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const text = `${shown(url)} cannot be reached: ${message}`;
  // A name that does not exist, a certificate that is wrong and what is no HTTP stay so.
  const lasting = code === "ENOTFOUND" || code.startsWith("HPE_") || isUntrusted(cause);
  return lasting
    ? new TvixError("ERR_HTTP_NETWORK", text, { cause })
    : new TransientError("ERR_HTTP_NETWORK", text, { cause });
}

function httpError(code: string, url: URL, why: string): TvixError {
  return new TvixError(code, `${shown(url)}: ${why}`);
}

/** A URL for people, without credentials. */
function shown(url: URL): string {
  return `${url.origin === "null" ? `${url.protocol}//` : url.origin}${url.pathname}`;
}
