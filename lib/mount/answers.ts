// Answers: what the native side of a mount asks, looked up in the castore's services.
//
// A local store is answered in the call: bytes of directories as they are in the index, and the places of files in the
// packs, from which the native side reads by itself. Any other service is asked, by as many questions at a time as come;
// directories that will be wanted next, the children of one just given, are fetched along.
import { concatBytes, equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { displayBytes } from "../base/text.ts";
import { encodeNode } from "../castore/canonical.ts";
import { asDigest, type Digest, digestKey, digestText } from "../castore/digest.ts";
import { Directory, type Entry } from "../castore/directory.ts";
import { missingDirectory } from "../castore/directory/closure.ts";
import { blobChunks } from "../castore/local/plan.ts";
import { LocalStore } from "../castore/local/store.ts";
import type { Castore } from "../castore/tree.ts";
import { QUESTION, type NativeMount, type Question } from "../native/fuse.ts";
import { AheadReaders } from "./ahead.ts";
import type { RootView } from "./root.ts";

/** Child directories fetched along with one: from the index of a local store, and from a service. */
const LOCAL_CHILDREN = 256;
const REMOTE_CHILDREN = 64;
/** Files of the same directory whose places are looked up along with one. */
const SIBLINGS = 64;
/** Directories fetched along at a time; more questions for them are dropped, not queued. */
const MAX_FETCHING = 16;
/** Times a place is looked up again because a collection replaced the pack. */
const ATTEMPTS = 100;

const EIO = 5;
const ENOENT = 2;

/** Answers one mount's questions. */
export class Answers {
  readonly #native: NativeMount;
  readonly #castore: Castore;
  readonly #local: LocalStore | undefined;
  readonly #view: RootView;
  readonly #log: (line: string) => void;
  readonly #readers: AheadReaders;
  /** Directories on their way from the service. */
  readonly #fetching = new Map<string, Promise<void>>();

  constructor(native: NativeMount, castore: Castore, view: RootView, log: (line: string) => void) {
    this.#native = native;
    this.#castore = castore;
    this.#local = castore instanceof LocalStore ? castore : undefined;
    this.#view = view;
    this.#log = log;
    this.#readers = new AheadReaders(castore.blobs);
  }

  /** Answers each question, now or later, once. */
  answer(questions: readonly Question[]): void {
    for (const question of questions) {
      this.#answer(question).catch((error: unknown) => {
        this.#log(`${describe(question)}: ${error instanceof Error ? error.message : String(error)}`);
        const { question: kind, key, offset, size } = question;
        this.#native.fail(kind, key, offset, size, EIO);
      });
    }
  }

  async #answer({ question, key, offset, size, directory }: Question): Promise<void> {
    switch (question) {
      case QUESTION.directory:
        return this.#local ? this.#giveLocal(this.#local, asDigest(key)) : await this.#give(asDigest(key));
      case QUESTION.name:
        return await this.#giveName(key);
      case QUESTION.root:
        return await this.#giveRoot();
      case QUESTION.blob:
        if (!this.#local) return await this.#giveReader(asDigest(key));
        this.#giveExtents(this.#local, asDigest(key));
        if (directory) this.#giveSiblings(this.#local, directory, key);
        return;
      case QUESTION.read: {
        const reader = await this.#readers.open(asDigest(key));
        this.#native.bytes(key, offset, size, await reader.read(offset, size));
        return;
      }
      case QUESTION.copy:
        if (this.#local) this.#giveExtents(this.#local, asDigest(key));
        return await this.#native.copy(key);
      default:
        throw new TvixError("ERR_MOUNT_QUESTION", `the native side asks question ${question}, which is unknown`);
    }
  }

  // ——— directories

  #take(digest: Digest, bytes: Uint8Array): void {
    const problem = this.#native.directory(digest, bytes);
    if (problem === undefined) return;
    throw new TvixError("ERR_CASTORE_CORRUPT", `directory ${digestText(digest)} is damaged: ${problem}`);
  }

  #isRoot(digest: Digest): Directory | undefined {
    const view = this.#view;
    return view.kind === "made" && equalBytes(view.node.digest, digest) ? view.directory : undefined;
  }

  #giveLocal({ index }: LocalStore, digest: Digest): void {
    const bytes = this.#isRoot(digest)?.encode() ?? index.directories.get(digest);
    if (bytes === undefined) throw missingDirectory(digest);
    this.#take(digest, bytes);
    const children = this.#native.children(digest, LOCAL_CHILDREN);
    for (let at = 0; at < children.length; at += 32) {
      const child = asDigest(children.slice(at, at + 32));
      const known = index.directories.get(child);
      // What is wrong with it is said when it is asked for.
      if (known) this.#native.directory(child, known);
    }
  }

  async #give(digest: Digest): Promise<void> {
    await this.#fetch(digest);
    const children = this.#native.children(digest, REMOTE_CHILDREN);
    for (let at = 0; at < children.length && this.#fetching.size < MAX_FETCHING; at += 32) {
      this.#fetch(asDigest(children.slice(at, at + 32))).catch(() => {});
    }
  }

  /** Fetches a directory that is not being fetched already. */
  #fetch(digest: Digest): Promise<void> {
    const key = digestKey(digest);
    const known = this.#fetching.get(key);
    if (known) return known;
    const fetching = this.#fetchOne(digest).finally(() => this.#fetching.delete(key));
    this.#fetching.set(key, fetching);
    return fetching;
  }

  async #fetchOne(digest: Digest): Promise<void> {
    const directory = this.#isRoot(digest) ?? (await this.#castore.directories.get(digest));
    if (directory === undefined) throw missingDirectory(digest);
    this.#take(digest, directory.encode());
  }

  // ——— the root

  async #giveName(name: Uint8Array): Promise<void> {
    if (this.#view.kind !== "names") throw new TvixError("ERR_MOUNT_ROOT", "this mount's root has no names of its own");
    const node = await this.#view.names.find(name);
    this.#takeNames(name, node ? encodeNode(node, name) : new Uint8Array(0));
  }

  async #giveRoot(): Promise<void> {
    if (this.#view.kind !== "names" || !this.#view.names.list) {
      throw new TvixError("ERR_MOUNT_ROOT", "this mount's root is not to be listed");
    }
    const entries: Entry[] = [];
    for await (const entry of this.#view.names.list()) entries.push(entry);
    this.#takeNames(undefined, Directory.of(entries).encode());
  }

  #takeNames(name: Uint8Array | undefined, bytes: Uint8Array): void {
    const problem = this.#native.names(name, bytes);
    if (problem !== undefined) throw new TvixError("ERR_MOUNT_ROOT", `names of the root are malformed: ${problem}`);
  }

  // ——— files

  #giveSiblings(store: LocalStore, directory: Uint8Array, digest: Uint8Array): void {
    const siblings = this.#native.siblings(directory, digest, SIBLINGS);
    try {
      for (let at = 0; at < siblings.length; at += 32) this.#giveExtents(store, asDigest(siblings.slice(at, at + 32)));
    } catch {
      // What is wrong with one is said when it is asked for.
    }
  }

  #giveExtents(store: LocalStore, digest: Digest): void {
    for (let attempt = 1; ; attempt++) {
      const chunks = blobChunks(store, digest);
      const places = chunks.map((chunk) => store.blobs.place(chunk));
      const numbers = [...new Set(places.map((place) => place.pack))];
      const errno = this.#native.extents(
        digest,
        numbers.map((number) => Buffer.from(store.packs.path(number))),
        Uint32Array.from(places, (place) => numbers.indexOf(place.pack)),
        Float64Array.from(places, (place) => place.offset),
        Uint32Array.from(places, (place) => place.length),
        concatBytes(chunks.map((chunk) => chunk.digest)),
      );
      if (errno === 0) return;
      // A collection may replace a pack between the look-up and the opening; the index then knows the new place.
      if (errno === ENOENT && attempt < ATTEMPTS) {
        store.index.refresh();
        continue;
      }
      throw new TvixError("ERR_MOUNT_PACK", `a pack of ${digestText(digest)} cannot be opened (errno ${errno})`);
    }
  }

  async #giveReader(digest: Digest): Promise<void> {
    this.#native.remote(digest, (await this.#readers.open(digest)).size);
  }
}

function describe({ question, key, offset, size }: Question): string {
  if (question === QUESTION.directory) return `directory ${digestText(asDigest(key))}`;
  if (question === QUESTION.name) return `"${displayBytes(key)}"`;
  if (question === QUESTION.root) return "the root";
  const blob = `blob ${digestText(asDigest(key))}`;
  return question === QUESTION.read ? `${blob}, ${size} bytes at ${offset}` : blob;
}
