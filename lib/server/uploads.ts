// Uploads to a binary cache: who may, and how a NAR and a narinfo become a path.
//
// A client sends the NAR first, in any compression, under the hash of what it sends; it is stored and remembered by its
// own hash (the store's NAR index), and means nothing yet. The narinfo then names that hash and makes it a path. Both
// are checked as if they came from a stranger, because with a token they may still come from a broken client.
import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Hono } from "hono";
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { type Compression, compressionExtension, decompress, detectCompression } from "../formats/compress.ts";
import { sha256, startDigest } from "../formats/digest.ts";
import { type NarInfo, parseNarInfo } from "../formats/narinfo.ts";
import * as base32 from "../formats/nixbase32.ts";
import { encodeUtf8 } from "../base/text.ts";
import { type PathInfo, sortedPaths } from "../store/path-info.ts";
import { putPaths } from "../store/put.ts";
import type { NarEntry } from "../store/service.ts";
import type { Store } from "../store/store.ts";
import type { CacheBindings } from "./binary-cache.ts";
import { bodyOf, readSmall } from "./body.ts";
import type { Metrics } from "./metrics.ts";

/** Who may upload, and how much. */
export interface UploadOptions {
  /** Any of these, as a Bearer token or as the password of Basic, allows writing. Default: none. */
  readonly tokens?: readonly string[];
  /** Everybody may write who can reach the server. Default false. */
  readonly anonymousWrites?: boolean;
  /** Largest NAR taken, in bytes. Default: 64 GiB. */
  readonly maxNarSize?: number;
  /** Uploads of NARs at once; more are told to come back. Default: 32. */
  readonly maxUploads?: number;
}

const NARINFO_MAX = 4 << 20;
const COMPRESSIONS: readonly Compression[] = ["none", "xz", "bzip2", "gzip", "br", "zstd"];

/** Adds the routes of uploads. @param onChange called when a path has been stored */
export function uploadRoutes(
  app: Hono<CacheBindings>,
  store: Store,
  options: UploadOptions,
  metrics: Metrics,
  onChange: () => void,
): void {
  const { maxUploads = 32 } = options;
  let uploads = 0;
  app.use("*", async (c, next) => {
    if (c.req.method === "PUT") requireWriter(c.req.header("authorization"), options);
    await next();
  });
  app.put("/nar/:name", async (c) => {
    const { hash, compression } = parseNarName(c.req.param("name"));
    if (uploads >= maxUploads) throw new TvixError("ERR_SERVER_BUSY", `${uploads} uploads are under way`);
    uploads++;
    try {
      const { narSize } = await storeNar(store, c.env.incoming, hash, compression, options);
      metrics.add("uploaded_nar_bytes_total", narSize, "Bytes of NARs stored by uploads, decompressed.");
      return c.body(null, 201);
    } finally {
      uploads--;
    }
  });
  app.put("/:name{[0-9a-df-np-sv-z]{32}\\.narinfo}", async (c) => {
    const bytes = await readSmall(c.env.incoming, NARINFO_MAX);
    await storePath(store, c.req.param("name").slice(0, 32), parseNarInfo(bytes, { storeDir: store.storeDir }));
    onChange();
    metrics.add("uploaded_paths_total", 1, "Paths stored by uploads.");
    return c.body(null, 201);
  });
  // Listings are made from the trees; what clients send of their own is taken and not kept.
  app.put("/:name{[0-9a-df-np-sv-z]{32}\\.ls}", async (c) => {
    for await (const _ of bodyOf(c.env.incoming));
    return c.body(null, 200);
  });
  // Logs, realisations, debug information: not kept, and the client is told so.
  app.put("*", (c) => c.text("this cache keeps NARs and narinfos only\n", 405, { allow: "GET, HEAD" }));
}

/** Refuses who may not write. @throws TvixError `ERR_SERVER_UNAUTHORIZED`, `ERR_SERVER_FORBIDDEN` */
function requireWriter(
  authorization: string | undefined,
  { tokens = [], anonymousWrites = false }: UploadOptions,
): void {
  if (tokens.length === 0) {
    if (anonymousWrites) return;
    throw new TvixError("ERR_SERVER_FORBIDDEN", "this cache cannot be written to");
  }
  const given = tokenOf(authorization);
  if (given === undefined) throw new TvixError("ERR_SERVER_UNAUTHORIZED", "writing needs a token");
  // Digests have one length whatever the tokens have, so that nothing can be learned from how long this takes.
  const digest = sha256(encodeUtf8(given));
  const known = tokens.map((token) => timingSafeEqual(sha256(encodeUtf8(token)), digest));
  if (!known.includes(true)) throw new TvixError("ERR_SERVER_UNAUTHORIZED", "this token is not known");
}

function tokenOf(authorization = ""): string | undefined {
  const [, scheme = "", value = ""] = /^(\w+) +(\S+)$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const pair = Buffer.from(value, "base64").toString("utf8");
  return pair.slice(pair.indexOf(":") + 1);
}

function parseNarName(name: string): { hash: Uint8Array; compression: Compression } {
  const match = /^([0-9a-df-np-sv-z]{52})\.nar(\.\w+)?$/.exec(name);
  const extension = match?.[2] ?? "";
  const compression = COMPRESSIONS.find((each) => compressionExtension(each) === extension);
  if (match === null || compression === undefined) {
    throw new TvixError("ERR_SERVER_UPLOAD", `${name.slice(0, 100)} is not the name of a NAR`, {
      notes: [
        "a NAR is uploaded as nar/<SHA-256 of the file in base-32>.nar, with .xz, .bz2, .gz, .br or .zst behind it",
      ],
    });
  }
  return { hash: base32.decode(match[1] as string), compression };
}

/** Stores the tree of an uploaded NAR and remembers it by the NAR's hash. */
async function storeNar(
  store: Store,
  incoming: IncomingMessage,
  hash: Uint8Array,
  named: Compression,
  { maxNarSize = 64 * 2 ** 30 }: UploadOptions,
): Promise<NarEntry> {
  const digest = startDigest("sha256");
  const received = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of bodyOf(incoming)) {
      digest.update(piece);
      yield piece;
    }
  };
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const piece of unpacked(named, received())) {
      size += piece.length;
      if (size > maxNarSize) throw new TvixError("ERR_SERVER_TOO_LARGE", `a NAR may have ${maxNarSize} bytes here`);
      yield piece;
    }
    if (!equalBytes(digest.finish(), hash)) {
      throw new TvixError("ERR_SERVER_UPLOAD", "what was uploaded does not have the hash in its name");
    }
  };
  const { root, narSha256, narSize } = await store.ingestNar(checked(), {
    change: (found) => store.local?.narIndex.putSync(found.narSha256, found),
  });
  if (!store.local) await store.narIndex.put(narSha256, { root, narSize });
  return { root, narSize };
}

/** C++ Nix names gzip files as if they were not compressed; an archive does not begin as a gzip file does. */
async function* unpacked(named: Compression, source: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const first = await source.next();
  if (first.done === true) throw new TvixError("ERR_SERVER_UPLOAD", "the upload is empty");
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield first.value;
    yield* source;
  };
  const compression = named === "none" && detectCompression(first.value) === "gzip" ? "gzip" : named;
  yield* decompress(compression, whole());
}

/** Makes a NAR that was uploaded a path. */
async function storePath(store: Store, hash: string, narInfo: NarInfo): Promise<void> {
  const { storePath: path, narHash, narSize, deriver, ca, signatures } = narInfo;
  if (path.hash !== hash) throw new TvixError("ERR_SERVER_UPLOAD", `the narinfo of ${hash} is about ${path.basename}`);
  const entry = await store.narIndex.get(narHash.digest);
  if (entry === undefined) {
    throw new TvixError("ERR_SERVER_UPLOAD", `the NAR of ${path.basename} is not here; it has to be uploaded first`);
  }
  if (entry.narSize !== narSize) {
    throw new TvixError("ERR_SERVER_UPLOAD", `the NAR of ${path.basename} has ${entry.narSize} bytes, not ${narSize}`);
  }
  const references = sortedPaths(narInfo.references);
  for (const reference of references) {
    if (reference.basename === path.basename || (await store.pathInfos.get(reference.digest))) continue;
    throw new TvixError("ERR_SERVER_UPLOAD", `${path.basename} refers to ${reference.basename}, which is not here`);
  }
  const info: PathInfo = {
    path,
    root: entry.root,
    references,
    narSha256: narHash.digest,
    narSize,
    deriver,
    ca,
    signatures,
  };
  const known = await store.pathInfos.get(path.digest);
  const same = known && equalBytes(known.narSha256, info.narSha256) ? known.signatures : [];
  const others = same.filter((old) => !signatures.some((one) => one.name === old.name));
  await putPaths(store, [{ ...info, signatures: [...signatures, ...others] }]);
}
