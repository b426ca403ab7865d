// Objects in a bucket of S3 or whatever speaks its protocol.
//
// Credentials come as for all AWS tools: environment, profile, instance role. An object is written only where there is
// none (`If-None-Match: *`), so writers need no locks and repeating is harmless.
//
// What is paid for. A LIST answers for a thousand keys at the price of a dozen HEADs and the time of one. Keys are
// spread evenly, since they are digests; so one LIST from the first key on shows how many of the keys asked for a page
// holds, and the cheaper way is taken for all. Small blobs are one object each, not packed into larger ones: the layout
// is shared with other implementations, any writer can add to it without knowing the others, and an object is named by
// its contents alone. What would cost most is avoided otherwise: a directory closure is one object, a blob of one chunk
// needs no chunk list, and what is there is not sent.
import { setTimeout as sleep } from "node:timers/promises";
import type { S3Client } from "@aws-sdk/client-s3";
import { concatBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import type { S3Address } from "./s3-address.ts";
import { checkKey, mapBounded, type ObjectStore } from "./service.ts";

/** How requests are repeated; the defaults fit use, others are for tests. */
export interface S3Options {
  /** Times a request is made before it fails. Default 6. */
  readonly attempts?: number;
  /** Milliseconds of the first pause; it doubles each time. Default 200. */
  readonly pause?: number;
}

type Sdk = typeof import("@aws-sdk/client-s3");

const HEADS = 32;
const LONGEST_PAUSE = 20_000;
/** Longest pause that a server may ask for and get. */
const LONGEST_WISH = 120_000;
/** Longest object accepted: that of a closure of directories, uncompressed. A chunk has 64 MiB at most. */
const OBJECT_LIMIT = 2 ** 30;
/** Below so many keys a page that holds one is no better than a HEAD. */
const WORTH_A_LIST = 12;

/** Each object is one in a bucket, at its key below the prefix. */
export class S3ObjectStore implements ObjectStore {
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #address: S3Address;
  readonly #attempts: number;
  readonly #pause: number;
  /** Whether this server knows writing on a condition; some refuse it. */
  #conditional = true;
  #received = 0;

  private constructor(sdk: Sdk, client: S3Client, address: S3Address, options: S3Options) {
    this.#sdk = sdk;
    this.#client = client;
    this.#address = address;
    this.#attempts = options.attempts ?? 6;
    this.#pause = options.pause ?? 200;
  }

  /** Makes a client; nothing is asked of the server yet. The library is loaded by this alone. */
  static async open(address: S3Address, options: S3Options = {}): Promise<S3ObjectStore> {
    const sdk = await import("@aws-sdk/client-s3");
    const { endpoint, region, profile, pathStyle } = address;
    const client = new sdk.S3Client({
      // Repeated here, where the pause that a server asks for is kept.
      maxAttempts: 1,
      forcePathStyle: pathStyle ?? endpoint !== undefined,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      ...(endpoint === undefined ? {} : { endpoint, region: region ?? "us-east-1" }),
      ...(region === undefined ? {} : { region }),
      ...(profile === undefined ? {} : { profile }),
    });
    return new S3ObjectStore(sdk, client, address, options);
  }

  #place(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#address.bucket, Key: this.#address.prefix + checkKey(key) };
  }

  /** Bytes of all objects fetched so far, as they are in the bucket. */
  get received(): number {
    return this.#received;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return await this.#request(async () => {
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand(this.#place(key)));
      const bytes = await bodyOf((answer.Body ?? []) as AsyncIterable<Uint8Array>, key);
      if (bytes.length < (answer.ContentLength ?? 0)) throw new Error("the answer was cut off");
      this.#received += bytes.length;
      return bytes;
    });
  }

  async has(keys: readonly string[]): Promise<boolean[]> {
    const sorted = [...new Set(keys)].sort();
    const found = sorted.length >= WORTH_A_LIST ? await this.#scan(sorted) : await this.#ask(sorted);
    return keys.map((key) => found.has(key));
  }

  /** One HEAD for each key. */
  async #ask(keys: readonly string[]): Promise<Set<string>> {
    const answers = await mapBounded(keys, HEADS, (key) =>
      this.#request(() => this.#client.send(new this.#sdk.HeadObjectCommand(this.#place(key)))),
    );
    return new Set(keys.filter((_, i) => answers[i] !== undefined));
  }

  /** Pages of keys from each of the sorted keys on that no page has answered for yet, while that is worth it. */
  async #scan(keys: readonly string[]): Promise<Set<string>> {
    const found = new Set<string>();
    let at = 0;
    while (at < keys.length) {
      const first = keys[at] as string;
      const { listed, complete } = await this.#page(first);
      // "~" is behind all keys: a page that nothing follows answers for the rest.
      const last = complete ? "~" : (listed.at(-1) as string);
      const there = new Set(listed);
      const before = at;
      for (; at < keys.length && (keys[at] as string) <= last; at++) {
        if (there.has(keys[at] as string)) found.add(keys[at] as string);
      }
      if (at - before >= WORTH_A_LIST || at === keys.length) continue;
      for (const key of await this.#ask(keys.slice(at))) found.add(key);
      return found;
    }
    return found;
  }

  /** The keys from `first` on: a thousand, or all that there are under its first component. */
  async #page(first: string): Promise<{ listed: string[]; complete: boolean }> {
    const { bucket, prefix } = this.#address;
    // What comes right before the key: its last character lowered by one, and the highest there is behind it.
    const before = `${first.slice(0, -1)}${String.fromCharCode(first.charCodeAt(first.length - 1) - 1)}~`;
    const answer = await this.#request(() =>
      this.#client.send(
        new this.#sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, StartAfter: prefix + before }),
      ),
    );
    const listed = (answer?.Contents ?? []).map(({ Key }) => (Key ?? "").slice(prefix.length));
    return { listed, complete: answer?.IsTruncated !== true };
  }

  async put(key: string, value: Uint8Array, options: { readonly replace?: boolean } = {}): Promise<void> {
    const onlyNew = options.replace !== true && this.#conditional;
    try {
      await this.#request(() =>
        this.#client.send(
          new this.#sdk.PutObjectCommand({
            ...this.#place(key),
            Body: value,
            ...(onlyNew ? { IfNoneMatch: "*" } : {}),
          }),
        ),
      );
    } catch (error) {
      const status = statusOf((error as TvixError).cause);
      // It is there, or another writer is putting the same bytes there.
      if (onlyNew && (status === 412 || status === 409)) return;
      if (!onlyNew || status !== 501) throw error;
      this.#conditional = false;
      await this.put(key, value, options);
    }
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const { bucket, prefix: base } = this.#address;
    let token: string | undefined;
    let last = "";
    do {
      const before = last;
      const answer = await this.#request(() =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: bucket,
            Prefix: base + prefix,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key = "" } of answer?.Contents ?? []) {
        if (Key <= last || !Key.startsWith(base + prefix)) throw endless(prefix);
        last = Key;
        yield Key.slice(base.length);
      }
      token = answer?.NextContinuationToken;
      if (token !== undefined && last === before) throw endless(prefix);
    } while (token !== undefined);
  }

  /** Lets go of connections. */
  close(): void {
    this.#client.destroy();
  }

  /** One request, repeated while that may help; `undefined` where there is no such object. */
  async #request<T>(send: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send();
      } catch (error) {
        if (error instanceof TvixError) throw error;
        if (statusOf(error) === 404 && nameOf(error) !== "NoSuchBucket") return undefined;
        if (attempt >= this.#attempts || !mayPass(error)) throw this.#explain(error);
        const pause = Math.min(LONGEST_PAUSE, this.#pause * 2 ** (attempt - 1)) * (0.5 + Math.random());
        await sleep(Math.max(pause, Math.min(LONGEST_WISH, wishOf(error))));
      }
    }
  }

  #explain(error: unknown): TvixError {
    const { bucket, endpoint } = this.#address;
    const where = endpoint === undefined ? `the bucket ${bucket}` : `the bucket ${bucket} at ${endpoint}`;
    const name = nameOf(error);
    const status = statusOf(error);
    const say = (code: string, what: string, ...notes: string[]): TvixError =>
      new TvixError(code, `${what} ${where}: ${name}${messageOf(error)}`, { cause: error, notes });
    if (name === "NoSuchBucket") return say("ERR_OBJECT_NO_BUCKET", "there is no", "make it first, or name another");
    if (name === "RequestTimeTooSkewed") {
      return say("ERR_OBJECT_CLOCK", "this machine's clock is wrong, says", "set the clock; signatures carry the time");
    }
    if (name.startsWith("Credentials")) return say("ERR_OBJECT_REFUSED", "there are no credentials for", CREDENTIALS);
    if (status === 401 || status === 403) return say("ERR_OBJECT_REFUSED", "not allowed to use", CREDENTIALS);
    if (status === 429 || status === 503) return say("ERR_OBJECT_BUSY", "too many requests for", "try again later");
    if (status === undefined || status >= 500) return say("ERR_OBJECT_UNAVAILABLE", "cannot reach");
    return say("ERR_OBJECT_IO", "cannot use");
  }
}

/** The body of an answer, which may say nothing of its length and have no end. */
/** Listings are in order, so one that goes back, or on without a key, would have no end. */
function endless(prefix: string): TvixError {
  return new TvixError("ERR_OBJECT_IO", `the bucket's listing of '${prefix}' is out of order`);
}

async function bodyOf(pieces: AsyncIterable<Uint8Array>, key: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    parts.push(piece);
    length += piece.length;
    if (length > OBJECT_LIMIT)
      throw new TvixError("ERR_OBJECT_IO", `the object ${key} has more than ${OBJECT_LIMIT} bytes`);
  }
  return concatBytes(parts);
}

const CREDENTIALS = "credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role";

interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const nameOf = (error: unknown): string => (error as SdkError).name ?? "error";
const statusOf = (error: unknown): number | undefined => (error as SdkError | undefined)?.$metadata?.httpStatusCode;

function messageOf(error: unknown): string {
  const { message } = error as SdkError;
  return message === undefined || message === "" || message === nameOf(error) ? "" : `: ${message}`;
}

/** Whether the same request may succeed later. The library sets its clock right after a refusal for that reason. */
function mayPass(error: unknown): boolean {
  const status = statusOf(error);
  if (nameOf(error) === "RequestTimeTooSkewed") return true;
  if (nameOf(error).startsWith("Credentials")) return false;
  return status === undefined || status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/** The pause in milliseconds that the server asks for; 0 when it does not. */
function wishOf(error: unknown): number {
  const wish = (error as SdkError).$response?.headers?.["retry-after"];
  if (wish === undefined) return 0;
  const milliseconds = /^\d+$/.test(wish) ? Number(wish) * 1000 : Date.parse(wish) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : 0;
}
