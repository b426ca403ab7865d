// Downloads: http, https and file URLs as streams of bytes, with retries, redirects, validators and netrc.
//
// A failed download is repeated from its start, with growing pauses, where repeating can help: the connection broke,
// the server was busy or failed. Whoever consumes the bytes is therefore called again for each attempt. A server that
// sends nothing for five minutes counts as a broken connection.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TvixError } from "../../base/error.ts";
import { findCredentials } from "./netrc.ts";

/** What came. */
export interface Download {
  readonly body: AsyncIterable<Uint8Array>;
  /** The URL that answered in the end. */
  readonly url: string;
  readonly etag: string | undefined;
  /** A URL for what will always be this, by the server's `Link: <…>; rel="immutable"`. */
  readonly immutableUrl: string | undefined;
}

/** How to download. */
export interface DownloadOptions {
  /** Of a former answer: the server may say that it still holds. */
  readonly etag?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: 5. */
  readonly attempts?: number;
  /** The first pause between attempts, in milliseconds; each further one is twice as long. Default: 250. */
  readonly pause?: number;
}

const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]);
const REDIRECTS = 20;

/** A failure that may not happen again. */
class Transient extends TvixError {}

/**
 * Downloads a URL and gives what comes to `consume`; `undefined` when what `etag` stands for still holds.
 *
 * @throws TvixError `ERR_FETCH_URL` for a URL of another kind, `ERR_FETCH_STATUS`, `ERR_FETCH_NETWORK`,
 *   `ERR_FETCH_FILE`, or what `consume` throws
 */
export async function download<T>(
  url: string,
  options: DownloadOptions,
  consume: (download: Download) => Promise<T>,
): Promise<T | undefined> {
  const parsed = parseUrl(url);
  if (parsed.protocol === "file:") return await consume(await openFile(url, parsed));
  const { attempts = 5, pause = 250 } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await request(url, parsed, options);
      return answer && (await consume(answer));
    } catch (error) {
      if (!(error instanceof Transient) || attempt >= attempts) throw error;
    }
    await setTimeout(pause * 2 ** (attempt - 1) * (0.75 + Math.random() / 2));
  }
}

function parseUrl(url: string): URL {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new TvixError("ERR_FETCH_URL", `'${url}' is not a URL`, { cause });
  }
  if (["http:", "https:", "file:"].includes(parsed.protocol)) return parsed;
  throw new TvixError("ERR_FETCH_URL", `cannot download '${url}': ${parsed.protocol} is not supported`, {
    notes: ["http:, https: and file: are"],
  });
}

async function openFile(url: string, parsed: URL): Promise<Download> {
  try {
    const path = fileURLToPath(parsed);
    if (!(await stat(path)).isFile()) throw new Error(`${path} is not a regular file`);
    return { body: createReadStream(path, { highWaterMark: 1 << 18 }), url, etag: undefined, immutableUrl: undefined };
  } catch (cause) {
    throw new TvixError("ERR_FETCH_FILE", `unable to download '${url}': ${messageOf(cause)}`, { cause });
  }
}

async function request(url: string, parsed: URL, options: DownloadOptions): Promise<Download | undefined> {
  const headers: Record<string, string> = { "user-agent": "tvix", ...options.headers };
  if (options.etag !== undefined) headers["if-none-match"] = options.etag;
  let at = parsed;
  for (let redirects = 0; ; redirects++) {
    const response = await send(url, at, headers);
    const { status } = response;
    const location = response.headers.get("location");
    if (status >= 300 && status < 400 && status !== 304 && location !== null) {
      await response.body?.cancel();
      if (redirects === REDIRECTS) throw failed(url, `more than ${REDIRECTS} redirections`);
      at = redirected(url, at, location);
      continue;
    }
    if (status === 304 && options.etag !== undefined) return undefined;
    if (!response.ok) throw await refused(url, response);
    return {
      body: watched(url, response),
      url: at.href,
      etag: response.headers.get("etag") ?? undefined,
      immutableUrl: immutableLink(response.headers.get("link"), at),
    };
  }
}

/** Credentials are those of the host asked, so a redirection to another host does not get them. */
async function send(url: string, at: URL, headers: Record<string, string>): Promise<Response> {
  const bare = new URL(at);
  bare.username = "";
  bare.password = "";
  const credentials = await findCredentials(at);
  const authorization = credentials && `Basic ${Buffer.from(credentials).toString("base64")}`;
  try {
    return await fetch(bare, {
      redirect: "manual",
      headers: authorization === undefined ? headers : { ...headers, authorization },
    });
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

function redirected(url: string, from: URL, location: string): URL {
  try {
    const to = new URL(location, from);
    // A server may send us anywhere on the network, but not into our own files.
    if (to.protocol === "http:" || to.protocol === "https:") return to;
  } catch {
    // Said below.
  }
  throw failed(url, `a redirection to '${location.slice(0, 200)}'`);
}

async function refused(url: string, response: Response): Promise<TvixError> {
  await response.body?.cancel();
  const Kind = RETRIED_STATUS.has(response.status) ? Transient : TvixError;
  const message = `unable to download '${url}': HTTP error ${response.status}`;
  const notes = response.statusText === "" ? [] : [`the server says: ${response.statusText.slice(0, 200)}`];
  return new Kind("ERR_FETCH_STATUS", message, { notes });
}

/** The body; whatever breaks it off is a network failure. */
async function* watched(url: string, response: Response): AsyncGenerator<Uint8Array, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw unreachable(url, cause);
      });
      if (done) return;
      yield value;
    }
  } finally {
    // An error here is that of the failed read again.
    await reader.cancel().catch(() => {});
  }
}

/** The target of `Link: <target>; rel="immutable"`. */
function immutableLink(header: string | null, base: URL): string | undefined {
  for (const [, target = "", parameters = ""] of (header ?? "").matchAll(/<([^>]*)>((?:\s*;[^,<]*)*)/g)) {
    if (!/;\s*rel\s*=\s*"?immutable"?\s*(;|$)/.test(parameters)) continue;
    try {
      return new URL(target, base).href;
    } catch {
      return undefined;
    }
  }
  return undefined;
}

function unreachable(url: string, cause: unknown): Transient {
  return new Transient("ERR_FETCH_NETWORK", `unable to download '${url}': ${reasonOf(cause)}`, { cause });
}

function failed(url: string, why: string): TvixError {
  return new TvixError("ERR_FETCH_NETWORK", `unable to download '${url}': ${why}`);
}

/** What is behind fetch's "fetch failed". */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? reasonOf(cause) : messageOf(error);
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  const code = (error as { code?: unknown }).code;
  return text === "" && typeof code === "string" ? code : text;
}
