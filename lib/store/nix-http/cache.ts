// A binary cache seen by a client: what it says about paths, whether that is to be believed, and the archives.
//
// A cache is a place with `nix-cache-info`, a `<hash>.narinfo` for each path and archives wherever those say; anybody
// may run one. So nothing it says counts before a trusted key has signed it or the path itself proves it, and nothing
// it sends counts before it has the hash that was signed.
import { equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { type CacheInfo, parseCacheInfo } from "../../formats/cache-info.ts";
import { decompress, parseCompression } from "../../formats/compress.ts";
import { startDigest } from "../../formats/digest.ts";
import { formatHash } from "../../formats/hash.ts";
import { type NarInfo, parseNarInfo } from "../../formats/narinfo.ts";
import * as base32 from "../../formats/nixbase32.ts";
import type { PublicKey } from "../../formats/signature.ts";
import { STORE_DIR } from "../../formats/store-path.ts";
import { narMismatch } from "../nar/check.ts";
import { type PathClaim, sortedPaths } from "../path-info.ts";
import { trustOf } from "../sign.ts";
import type { Fetcher } from "./fetch.ts";

const CACHE_INFO_MAX = 64 << 10;
const NARINFO_MAX = 4 << 20;
/** How long a path that a cache does not have is taken not to be there, in milliseconds; Nix waits as long. */
const NEGATIVE_TTL = 3600_000;
const REMEMBERED = 50_000;

/** Whom a client of a cache believes. */
export interface CacheTrust {
  /** Accept what one of these has signed, and paths that follow from their contents. */
  readonly keys: readonly PublicKey[];
  /** Accept everything. */
  readonly unsigned?: boolean;
}

/** What a cache says of a path, and where it has the archive. */
export interface CacheEntry {
  readonly claim: PathClaim;
  /** Where the archive is: relative to the cache's root, or absolute. */
  readonly url: string;
  readonly narInfo: NarInfo;
}

/** A binary cache. */
export class BinaryCache {
  readonly address: string;
  readonly fetcher: Fetcher;
  readonly trust: CacheTrust;
  readonly storeDir: string;
  #info: Promise<CacheInfo> | undefined;
  /** By hash part: what was found, or until when nothing is. */
  readonly #seen = new Map<string, CacheEntry | { readonly absentUntil: number }>();

  constructor(address: string, fetcher: Fetcher, trust: CacheTrust, storeDir: string = STORE_DIR) {
    this.address = address;
    this.fetcher = fetcher;
    this.trust = trust;
    this.storeDir = storeDir;
  }

  /**
   * What the cache says about itself; asked once.
   * @throws TvixError `ERR_CACHE_NONE` when there is no binary cache, `ERR_CACHE_STORE_DIR` when it is for another store
   *   directory, `ERR_HTTP_…`, `ERR_CACHE_INFO_…`
   */
  info(): Promise<CacheInfo> {
    this.#info ??= this.#fetchInfo().catch((error: unknown) => {
      this.#info = undefined;
      throw error;
    });
    return this.#info;
  }

  async #fetchInfo(): Promise<CacheInfo> {
    const bytes = await this.fetcher.get("nix-cache-info", CACHE_INFO_MAX);
    if (bytes === undefined) {
      throw new TvixError("ERR_CACHE_NONE", `there is no binary cache at ${this.address}`, {
        notes: ["a binary cache has a file nix-cache-info at its root"],
      });
    }
    const info = parseCacheInfo(bytes);
    if (info.storeDir === this.storeDir) return info;
    throw new TvixError("ERR_CACHE_STORE_DIR", `${this.address} is a cache for ${info.storeDir}, not ${this.storeDir}`);
  }

  /**
   * What the cache says about the path with a hash part (20 bytes); `undefined` when it has none.
   * @throws TvixError `ERR_CACHE_WRONG_PATH` when the answer is about another path, `ERR_NARINFO_…`, `ERR_HTTP_…`
   */
  async entry(hash: Uint8Array, signal?: AbortSignal): Promise<CacheEntry | undefined> {
    const part = base32.encode(hash);
    const seen = this.#seen.get(part);
    if (seen !== undefined) {
      if ("claim" in seen) return seen;
      if (seen.absentUntil > Date.now()) return undefined;
    }
    await this.info();
    const bytes = await this.fetcher.get(`${part}.narinfo`, NARINFO_MAX, signal);
    const entry = bytes && this.#read(part, bytes);
    this.#remember(part, entry ?? { absentUntil: Date.now() + NEGATIVE_TTL });
    return entry;
  }

  #read(part: string, bytes: Uint8Array): CacheEntry {
    const narInfo = parseNarInfo(bytes, { storeDir: this.storeDir, lenient: true });
    const { storePath, narHash, narSize, references, deriver, signatures, ca, url } = narInfo;
    if (storePath.hash !== part) {
      throw new TvixError("ERR_CACHE_WRONG_PATH", `${this.address} answers for ${part} with ${storePath.basename}`);
    }
    const claim: PathClaim = {
      path: storePath,
      references: sortedPaths(references),
      narSha256: narHash.digest,
      narSize,
      deriver: deriver?.isDerivation() ? deriver : undefined,
      ca,
      signatures,
    };
    return { claim, url, narInfo };
  }

  #remember(part: string, what: CacheEntry | { readonly absentUntil: number }): void {
    this.#seen.delete(part);
    this.#seen.set(part, what);
    if (this.#seen.size <= REMEMBERED) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#seen.delete(oldest);
  }

  /**
   * Refuses what nobody trusted vouches for. What is left to check when the path is to prove itself is said by the
   * result: whether its contents have its content address.
   * @throws TvixError `ERR_STORE_UNTRUSTED`
   */
  requireTrust(claim: PathClaim, keys?: readonly PublicKey[]): { readonly checkContents: boolean } {
    const trust = trustOf(claim, keys ?? this.trust.keys, this.storeDir);
    if (trust.trusted) return { checkContents: trust.by === "content" };
    if (keys === undefined && this.trust.unsigned === true) return { checkContents: false };
    const path = claim.path.absolute(this.storeDir);
    const signers = claim.signatures.map((signature) => signature.name).join(", ");
    const trusted = (keys ?? this.trust.keys).map((key) => key.name).join(", ");
    throw new TvixError("ERR_STORE_UNTRUSTED", `no trusted key has signed ${path} in ${this.address}`, {
      notes: [
        `it carries signatures by: ${signers || "nobody"}; trusted are: ${trusted || "none"}`,
        "trust its key with ?trusted_public_keys=NAME:BASE64, or everything in this cache with ?trusted=1",
      ],
    });
  }

  /**
   * The archive of an entry, decompressed. Ends only when the archive has as many bytes as was claimed, and the file
   * that it was in the hash and size that were.
   * @throws TvixError `ERR_CACHE_NO_NAR`, `ERR_STORE_NAR_MISMATCH`, `ERR_HTTP_…`, `ERR_COMPRESS_…`
   */
  async *nar({ claim, url, narInfo }: CacheEntry, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const compression = parseCompression(narInfo.compression);
    const { fileHash, fileSize } = narInfo;
    // Nothing sensible grows when it is compressed.
    const limit = fileSize ?? 2 * claim.narSize + (1 << 20);
    const file = await this.fetcher.stream(url, limit, signal);
    if (file === undefined) {
      throw new TvixError(
        "ERR_CACHE_NO_NAR",
        `${this.address} says that it has ${claim.path.basename}, but not ${url}`,
      );
    }
    // Of the file's own hash nothing depends; what counts is the archive's.
    const hash = fileHash && startDigest(fileHash.algo);
    let read = 0;
    const watched = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of file) {
        hash?.update(piece);
        read += piece.length;
        yield piece;
      }
    };
    let size = 0;
    for await (const piece of decompress(compression, watched())) {
      size += piece.length;
      if (size > claim.narSize)
        throw narMismatch(claim, `its NAR is longer than the ${claim.narSize} bytes it should have`);
      yield piece;
    }
    if (size !== claim.narSize) throw narMismatch(claim, `its NAR has ${size} bytes and should have ${claim.narSize}`);
    if (fileSize !== undefined && read !== fileSize) {
      throw narMismatch(claim, `its file has ${read} bytes and should have ${fileSize}`);
    }
    if (hash && fileHash && !equalBytes(hash.finish(), fileHash.digest)) {
      throw narMismatch(claim, `its file does not have the hash ${formatHash(fileHash, "sri")}`);
    }
  }

  close(): void {
    this.fetcher.close();
  }
}
