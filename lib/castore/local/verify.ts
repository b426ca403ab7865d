// Verification: whether index, packs and digests of a local store agree, object by object; and mending what can be.
//
//   packs        each record is read and hashed; each chunk of the index must be one of the whole records
//   directories  bytes must hash to their key, and what they refer to must be there
//   blobs        chunk lists must be sealed, their chunks there, and the whole must hash to the blob's digest
//
// Memory: 48 bytes per chunk. Mending looks for another whole copy in the packs, then asks `source`.
import { equalBytes, toHex } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { displayBytes } from "../../base/text.ts";
import { Blake3 } from "../../native/blake3.ts";
import { scanPack } from "../../native/pack.ts";
import { readBlob } from "../blob/range.ts";
import type { ChunkMeta } from "../blob/service.ts";
import { asDigest, type Digest, DIGEST_LENGTH, digestText } from "../digest.ts";
import type { Directory } from "../directory.ts";
import type { OperationOptions } from "../progress.ts";
import type { Castore } from "../tree.ts";
import { decodeChunkList } from "./blobs.ts";
import { DigestSet } from "./digest-set.ts";
import type { Table } from "./index.ts";
import { decodeLocation, encodeLocation } from "./packs.ts";
import type { LocalStore } from "./store.ts";

/** One thing found to be wrong. */
export interface Damage {
  /** What is damaged; further kinds come from rooms above. */
  readonly kind: "pack" | "chunk" | "blob" | "directory" | "index" | "path-info" | "nar" | "root";
  /** Its name: `b3:…` for objects, a file name for packs, a store path for path infos. */
  readonly object: string;
  /** What is wrong with it. */
  readonly problem: string;
  /** Whether it was mended. */
  readonly repaired: boolean;
}

/** Options of {@link verify}. */
export interface VerifyOptions extends OperationOptions {
  /** Mend what can be mended. */
  readonly repair?: boolean;
  /** Where to fetch what is damaged. */
  readonly source?: Castore | undefined;
}

/** What a verification saw. */
export interface VerifySummary {
  readonly chunks: number;
  readonly bytes: number;
  readonly blobs: number;
  readonly directories: number;
  /** Records in packs that nothing refers to. */
  readonly deadRecords: number;
  readonly damage: readonly Damage[];
}

/** Verifies a local store. Damage is the result, not an error. */
export async function verify(store: LocalStore, options: VerifyOptions = {}): Promise<VerifySummary> {
  return await undisturbed(store, options.repair === true, (repair) => verifyOnce(store, { ...options, repair }));
}

/** As {@link verify}, once: what a collection moves or removes meanwhile is taken for damage. */
export async function verifyOnce(store: LocalStore, options: VerifyOptions): Promise<VerifySummary> {
  return await new Verification(store, options).run();
}

/** What a collection changes, whatever it does; an import may, too. */
async function stateOf({ index, packs }: LocalStore): Promise<string> {
  const numbers = await packs.list();
  index.refresh();
  return `${index.generation()} ${index.packNumbers()} ${numbers.join(" ")}`;
}

/** Times that a verification is begun anew because of a collection beside it. */
const ATTEMPTS = 20;

/**
 * Runs a verification until nothing was collected beside it, or it found nothing wrong. Mending comes last: what only
 * seems to be damaged must not be touched.
 */
export async function undisturbed<T extends { readonly damage: readonly Damage[] }>(
  store: LocalStore,
  repair: boolean,
  run: (repair: boolean) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const before = await stateOf(store);
    const summary = await run(false);
    if (summary.damage.length === 0) return summary;
    const isCalm = (await stateOf(store)) === before;
    if (!isCalm && attempt < ATTEMPTS) continue;
    return isCalm && repair ? await run(true) : summary;
  }
}

/** A chunk of the index, in the packs where they belong. */
interface Expected {
  readonly digest: Digest;
  readonly offset: number;
  readonly length: number;
}

class Verification {
  readonly #store: LocalStore;
  readonly #options: VerifyOptions;
  readonly #damage: Damage[] = [];
  /** Chunks that cannot be read. */
  readonly #lost = new DigestSet();
  /** Digests that are lost or missing, with what to say about them. */
  readonly #wanted = new Map<string, { digest: Digest; problem: string }>();
  readonly #badKeys = new Set<string>();
  #chunks = 0;
  #bytes = 0;
  #deadRecords = 0;

  constructor(store: LocalStore, options: VerifyOptions) {
    this.#store = store;
    this.#options = options;
  }

  async run(): Promise<VerifySummary> {
    const { index } = this.#store;
    this.#verifyMeta();
    await this.#verifyPacks();
    this.#findMissing();
    await this.#mendChunks();
    const blobs = await this.#verifyBlobs();
    const directories = await this.#verifyDirectories();
    return {
      chunks: index.chunks.count,
      bytes: this.#bytes,
      blobs,
      directories,
      deadRecords: this.#deadRecords,
      damage: this.#damage,
    };
  }

  #report(kind: Damage["kind"], object: string, problem: string, repaired: boolean): void {
    this.#damage.push({ kind, object, problem, repaired });
  }

  #lose(digest: Digest, problem: string): void {
    this.#lost.add(digest);
    this.#wanted.set(toHex(digest), { digest: asDigest(digest.slice()), problem });
  }

  /** Entries whose keys can be digests; the others are damage, told once. */
  *#digestEntries(table: Table): Generator<{ key: Uint8Array; value: Uint8Array }> {
    for (const entry of table.entries()) {
      if (entry.key.length === DIGEST_LENGTH) yield entry;
      else if (!this.#badKeys.has(toHex(entry.key))) {
        this.#badKeys.add(toHex(entry.key));
        this.#report("index", `${table.name} ${toHex(entry.key)}`, "its key is no digest", false);
      }
    }
  }

  #verifyMeta(): void {
    const meta = this.#store.index.table("meta");
    for (const { key, value } of meta.entries()) {
      try {
        meta.unseal(key, value);
      } catch (error) {
        if (!(error instanceof TvixError)) throw error;
        this.#report("index", `meta ${displayBytes(key)}`, error.message, false);
      }
    }
  }

  async #verifyPacks(): Promise<void> {
    const { index, packs } = this.#store;
    const byPack = new Map<number, Expected[]>();
    for (const { key, value } of this.#digestEntries(index.chunks)) {
      const location = decodeLocation(value);
      if (location === undefined) this.#lose(asDigest(key), "its entry in the index is malformed");
      else {
        const list = byPack.get(location.pack);
        const expected = { digest: asDigest(key), offset: location.offset, length: location.length };
        if (list) list.push(expected);
        else byPack.set(location.pack, [expected]);
      }
    }
    const there = new Set(await packs.list());
    for (const number of there) await this.#verifyPack(number, byPack.get(number) ?? []);
    for (const [number, list] of byPack) {
      if (there.has(number)) continue;
      for (const { digest } of list) this.#lose(digest, `pack ${number}, which should hold it, is missing`);
    }
  }

  /** Every chunk expected in a pack must be one of its whole records. */
  async #verifyPack(number: number, expected: Expected[]): Promise<void> {
    const { packs } = this.#store;
    const at = new Map(expected.map((chunk) => [chunk.offset, chunk]));
    const missed = new Set(expected);
    try {
      for await (const scan of scanPack(packs.path(number))) {
        this.#options.signal?.throwIfAborted();
        for (const [i, offset] of scan.offsets.entries()) {
          const chunk = at.get(offset);
          const digest = scan.digests.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH);
          if (!chunk || !equalBytes(chunk.digest, digest) || chunk.length !== scan.lengths[i]) this.#deadRecords++;
          else if (scan.intact[i] === 1) {
            missed.delete(chunk);
            this.#chunks++;
            this.#bytes += chunk.length;
          }
        }
        this.#options.onProgress?.({ phase: "verify", done: this.#chunks, bytes: this.#bytes });
      }
    } catch (error) {
      if (!(error instanceof TvixError) || !error.code.startsWith("ERR_PACK_")) throw error;
      // A kill while a pack is made leaves a file that is none yet and holds nothing; the next writer completes it.
      if (expected.length > 0) this.#report("pack", packs.path(number), error.message, false);
    }
    for (const chunk of missed) {
      this.#lose(chunk.digest, `pack ${number} does not hold it whole at ${chunk.offset}`);
    }
  }

  /** Chunks that blobs and directories refer to and the index does not have: perhaps a pack does. */
  #findMissing(): void {
    const { index, blobs } = this.#store;
    for (const { key, value } of this.#digestEntries(index.blobs)) {
      try {
        for (const chunk of decodeChunkList(index.blobs.unseal(key, value))) {
          if (!index.chunks.has(chunk.digest)) this.#lose(chunk.digest, "a blob refers to it, and it is missing");
        }
      } catch {
        // The list itself is damaged, which verifying blobs will say.
      }
    }
    for (const { key } of this.#digestEntries(index.directories)) {
      for (const entry of this.#directory(asDigest(key))?.entries ?? []) {
        const { node } = entry;
        if (node.type === "file" && !blobs.hasSync(node.digest)) {
          this.#lose(node.digest, "a directory refers to this blob, and it is missing");
        }
      }
    }
  }

  #directory(digest: Digest): Directory | undefined {
    try {
      return this.#store.directories.getSync(digest);
    } catch {
      return undefined;
    }
  }

  /** Looks for the lost in the packs and in the source; reports each. */
  async #mendChunks(): Promise<void> {
    if (this.#options.repair === true && this.#wanted.size > 0) {
      await this.#mendFromPacks();
      await this.#mendFromSource();
    }
    for (const { digest, problem } of this.#wanted.values()) this.#report("chunk", digestText(digest), problem, false);
  }

  #mended(hex: string): void {
    const wanted = this.#wanted.get(hex);
    if (!wanted) return;
    this.#wanted.delete(hex);
    this.#report("chunk", digestText(wanted.digest), wanted.problem, true);
  }

  async #mendFromPacks(): Promise<void> {
    const { index, packs } = this.#store;
    for (const number of await packs.list()) {
      try {
        for await (const scan of scanPack(packs.path(number))) {
          for (const [i, offset] of scan.offsets.entries()) {
            const digest = asDigest(scan.digests.slice(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
            if (scan.intact[i] !== 1 || !this.#wanted.has(toHex(digest))) continue;
            index.write(() => index.chunks.put(digest, encodeLocation(number, offset, scan.lengths[i] as number)));
            this.#mended(toHex(digest));
          }
        }
      } catch (error) {
        if (!(error instanceof TvixError) || !error.code.startsWith("ERR_PACK_")) throw error;
      }
    }
  }

  async #mendFromSource(): Promise<void> {
    const { source } = this.#options;
    if (source === undefined) return;
    for (const [hex, { digest }] of this.#wanted) {
      const bytes = await fetchFrom(source, digest);
      if (bytes === undefined) continue;
      // The entry leads nowhere; without it the chunk is stored anew.
      this.#store.index.write(() => this.#store.index.chunks.remove(digest));
      await this.#store.blobs.put([bytes]);
      this.#mended(hex);
    }
    await this.#mendWholeBlobs(source);
  }

  /** A source that cuts blobs otherwise does not have the chunk, but it may have the blobs that it is part of. */
  async #mendWholeBlobs(source: Castore): Promise<void> {
    const { index, blobs } = this.#store;
    for (const { key, value } of this.#digestEntries(index.blobs)) {
      if (this.#wanted.size === 0) return;
      const lost = this.#lostChunks(key, value);
      const bytes = lost.length > 0 ? await fetchFrom(source, asDigest(key)) : undefined;
      if (bytes === undefined) continue;
      index.write(() => {
        for (const { digest } of lost) index.chunks.remove(digest);
        index.blobs.remove(key);
      });
      await blobs.put([bytes]);
      for (const { digest } of lost) this.#mended(toHex(digest));
    }
  }

  /** The chunks of a blob that are lost; none when its list cannot be read. */
  #lostChunks(key: Uint8Array, value: Uint8Array): ChunkMeta[] {
    try {
      const list = decodeChunkList(this.#store.index.blobs.unseal(key, value));
      return list.filter((chunk) => this.#wanted.has(toHex(chunk.digest)));
    } catch {
      return [];
    }
  }

  /** Hashes every blob of more than one chunk as a whole. */
  async #verifyBlobs(): Promise<number> {
    const { index } = this.#store;
    let count = 0;
    for (const { key } of this.#digestEntries(index.blobs)) {
      this.#options.signal?.throwIfAborted();
      count++;
      const digest = asDigest(key);
      const problem = await this.#blobProblem(digest);
      if (problem === undefined) continue;
      this.#report("blob", digestText(digest), problem, await this.#mendBlob(digest));
    }
    return count;
  }

  async #blobProblem(digest: Digest): Promise<string | undefined> {
    const { index, blobs } = this.#store;
    try {
      const list = decodeChunkList(index.blobs.getSealed(digest) ?? new Uint8Array(0));
      if (list.some((chunk) => this.#wanted.has(toHex(chunk.digest)))) return "some of its chunks are lost";
      const hash = new Blake3();
      const reader = blobs.openReadSync(digest);
      for await (const piece of reader?.stream(0, reader.size, true) ?? []) hash.update(piece);
      return equalBytes(hash.digest(), digest) ? undefined : "its chunks do not make it up";
    } catch (error) {
      if (error instanceof TvixError) return error.message;
      throw error;
    }
  }

  async #mendBlob(digest: Digest): Promise<boolean> {
    const { source, repair } = this.#options;
    const bytes = repair === true && source ? await fetchFrom(source, digest) : undefined;
    if (bytes === undefined) return false;
    this.#store.index.write(() => this.#store.index.blobs.remove(digest));
    await this.#store.blobs.put([bytes]);
    return (await this.#blobProblem(digest)) === undefined;
  }

  async #verifyDirectories(): Promise<number> {
    const { index, directories } = this.#store;
    let count = 0;
    for (const { key } of this.#digestEntries(index.directories)) {
      count++;
      const digest = asDigest(key);
      try {
        for (const child of directories.getSync(digest)?.directories() ?? []) {
          if (index.directories.has(child.digest)) continue;
          const mended = await this.#mendDirectory(child.digest);
          this.#report(
            "directory",
            digestText(child.digest),
            `${digestText(digest)} refers to it, it is missing`,
            mended,
          );
        }
      } catch (error) {
        if (!(error instanceof TvixError)) throw error;
        this.#report("directory", digestText(digest), error.message, await this.#mendDirectory(digest));
      }
    }
    return count;
  }

  async #mendDirectory(digest: Digest): Promise<boolean> {
    const { source, repair } = this.#options;
    if (repair !== true || !source) return false;
    const directory = await source.directories.get(digest).catch(() => undefined);
    if (!directory || !equalBytes(directory.digest(), digest)) return false;
    this.#store.index.write(() => this.#store.index.directories.put(digest, directory.encode()));
    return true;
  }
}

async function fetchFrom(source: Castore, digest: Digest): Promise<Uint8Array | undefined> {
  try {
    const [there] = await source.blobs.has([digest]);
    return there ? await readBlob(source.blobs, digest) : undefined;
  } catch (error) {
    if (error instanceof TvixError) return undefined;
    throw error;
  }
}
