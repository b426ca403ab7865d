// Batches: chunks on their way into a local store, made durable and visible together.
//
// The order of durability is append → sync of the pack → commit of the index → success. Batches that end at about the
// same time share one sync and one commit. A batch that relied on chunks it found in the index checks, should a
// collection have run since, that they are still there: the check and the commit are one transaction.
import { TvixError } from "../../base/error.ts";
import { type Digest, asDigest, digestKey, DIGEST_LENGTH } from "../digest.ts";
import type { LocalIndex } from "./index.ts";
import { encodeLocation, type OpenPack, packFailure, type Packs } from "./packs.ts";

/** Thrown at commit when a collection has removed what the batch found in the index: do it again. */
export class CollectedError extends TvixError {
  constructor() {
    super("ERR_STORE_COLLECTED", "a collection removed what this import relied on while it ran", {
      notes: ["nothing was lost; run it again"],
    });
  }
}

/** Digests in one growing byte array: 32 bytes each and no object per digest. */
export class DigestList {
  #bytes = new Uint8Array(64 * DIGEST_LENGTH);
  #count = 0;

  get length(): number {
    return this.#count;
  }

  push(digest: Uint8Array): void {
    const at = this.#count * DIGEST_LENGTH;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(at * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(digest, at);
    this.#count++;
  }

  /** Digest `i`, a view. */
  at(i: number): Digest {
    return asDigest(this.#bytes.subarray(i * DIGEST_LENGTH, (i + 1) * DIGEST_LENGTH));
  }
}

interface Waiting {
  readonly batch: Batch;
  readonly change: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Ends batches: one sync and one commit for all that wait. */
export class Commits {
  readonly index: LocalIndex;
  readonly packs: Packs;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(index: LocalIndex, packs: Packs) {
    this.index = index;
    this.packs = packs;
  }

  /** Syncs what `batch` appended, then runs `change` and the batch's own entries in one transaction. */
  submit(batch: Batch, change: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, change, resolve, reject });
      if (!this.#running) {
        this.#running = true;
        queueMicrotask(() => void this.#run());
      }
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      const synced = await Promise.all(group.map((waiting) => this.#sync(waiting)));
      this.#commit(group.filter((_, i) => synced[i]));
    }
    this.#running = false;
  }

  async #sync({ batch, reject }: Waiting): Promise<boolean> {
    try {
      await batch.sync();
      return true;
    } catch (error) {
      reject(error);
      return false;
    }
  }

  /** All in one transaction; when that fails, each by itself, so that one's failure is not another's. */
  #commit(group: readonly Waiting[]): void {
    if (group.length === 0) return;
    try {
      this.index.write(() => {
        for (const { batch, change } of group) batch.apply(change);
      });
    } catch (error) {
      const [only] = group;
      if (group.length === 1) only?.reject(error);
      else for (const waiting of group) this.#commit([waiting]);
      return;
    }
    for (const { resolve } of group) resolve();
  }
}

/**
 * Chunks appended and not yet indexed, and chunks found in the index. Ends with {@link Batch.commit} or
 * {@link Batch.abort}; {@link Batch.flush} makes the chunks so far durable without ending it.
 */
export class Batch {
  readonly #commits: Commits;
  readonly #generation: number;
  readonly #relied = new DigestList();
  #fresh = new DigestList();
  #places: number[] = [];
  readonly #appended = new Set<string>();
  readonly #packs = new Set<OpenPack>();
  #ended = false;

  constructor(commits: Commits) {
    this.#commits = commits;
    this.#generation = commits.index.generation();
  }

  /** Whether a chunk has to be stored: neither in the index nor appended by this batch. Relies on it otherwise. */
  lacks(digest: Digest): boolean {
    if (this.#commits.index.chunks.has(digest)) {
      this.#relied.push(digest);
      return false;
    }
    return !this.#appended.has(digestKey(digest));
  }

  /** Notes that chunk `digest` was appended to `pack`, which {@link pack} gave. */
  note(digest: Uint8Array, pack: OpenPack, offset: number, length: number): void {
    this.#fresh.push(digest);
    this.#places.push(pack.number, offset, length);
  }

  /** Gives up a pack that failed under the pipeline, as this batch does when it fails under itself. */
  async fail(pack: OpenPack, error: unknown): Promise<never> {
    await this.#commits.packs.abandon(pack);
    throw packFailure(error, this.#commits.index.directory);
  }

  /** A pack to append to, held by this batch until it ends. */
  async pack(): Promise<OpenPack> {
    const pack = await this.#take();
    if (this.#packs.has(pack)) await pack.release();
    else this.#packs.add(pack);
    return pack;
  }

  async #take(): Promise<OpenPack> {
    try {
      return await this.#commits.packs.take();
    } catch (error) {
      throw packFailure(error, this.#commits.index.directory);
    }
  }

  /** Appends the chunks that are not there; `chunks[i]` has digest `digests[i]`. Not durable before a commit. */
  async add(chunks: readonly Uint8Array[], digests: readonly Digest[]): Promise<void> {
    const wanted: number[] = [];
    for (const [i, digest] of digests.entries()) {
      if ((chunks[i] as Uint8Array).length === 0 || !this.lacks(digest)) continue;
      this.#appended.add(digestKey(digest));
      wanted.push(i);
    }
    if (wanted.length === 0) return;
    const pack = await this.pack();
    const bytes = wanted.map((i) => chunks[i] as Uint8Array);
    const joined = new Uint8Array(wanted.length * DIGEST_LENGTH);
    for (const [to, i] of wanted.entries()) joined.set(digests[i] as Digest, to * DIGEST_LENGTH);
    try {
      const offsets = await pack.writer.append(bytes, joined);
      for (const [to, i] of wanted.entries()) {
        this.note(digests[i] as Digest, pack, offsets[to] as number, (bytes[to] as Uint8Array).length);
      }
    } catch (error) {
      await this.#commits.packs.abandon(pack);
      throw packFailure(error, this.#commits.index.directory);
    }
  }

  /** Makes what was appended durable. */
  async sync(): Promise<void> {
    for (const pack of this.#packs) {
      try {
        await pack.sync();
      } catch (error) {
        await this.#commits.packs.abandon(pack);
        throw packFailure(error, this.#commits.index.directory);
      }
    }
  }

  /** Inside a transaction: checks what was relied on, then writes the entries and whatever `change` writes. */
  apply(change: () => void): void {
    const { chunks } = this.#commits.index;
    if (this.#relied.length > 0 && this.#commits.index.generation() !== this.#generation) {
      for (let i = 0; i < this.#relied.length; i++) if (!chunks.has(this.#relied.at(i))) throw new CollectedError();
    }
    const places = this.#places;
    for (let i = 0, at = 0; i < this.#fresh.length; i++, at += 3) {
      const location = encodeLocation(places[at] as number, places[at + 1] as number, places[at + 2] as number);
      chunks.put(this.#fresh.at(i), location);
    }
    change();
  }

  /** Makes the chunks so far durable and visible and goes on. They are safe from collection until the batch ends. */
  async flush(): Promise<void> {
    if (this.#fresh.length === 0) return;
    await this.#commits.submit(this, () => {});
    this.#fresh = new DigestList();
    this.#places = [];
    this.#appended.clear();
  }

  /** Chunks appended since the last flush. */
  get pending(): number {
    return this.#fresh.length;
  }

  /** Makes all of it durable and visible, together with the entries that `change` writes; ends the batch. */
  async commit(change: () => void = () => {}): Promise<void> {
    try {
      await this.#commits.submit(this, change);
    } finally {
      await this.abort();
    }
  }

  /** Gives up what is not committed; ends the batch. Idempotent. */
  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    for (const pack of this.#packs) await pack.release();
  }
}
