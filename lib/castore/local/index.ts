// The index of a local store: one LMDB environment with a named database for each kind of entry.
//
//   chunks        chunk digest            → where its bytes are: pack, offset, length (16 bytes)
//   blobs         blob digest             → its chunk list, for blobs of more than one chunk
//   directories   directory digest        → canonical bytes
//   meta          format version, generation of the last collection, next pack number
//
// A blob of one chunk is that chunk and has no entry of its own. Rooms above open further databases of their own.
// LMDB keeps no checksums. Values that do not hash to their key by themselves are therefore sealed: eight bytes of
// BLAKE3 over key and value follow the value, so a flipped bit is met as an error and never as another value.
//
// Transactions are synchronous. LMDB's asynchronous ones report a full disk as an unhandled rejection besides the
// rejection proper, and a commit is one short write-out; `overlappingSync: false` makes a commit that returned durable.
import { existsSync, statfsSync } from "node:fs";
import { access, constants, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Database, RootDatabase } from "lmdb";
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { displayBytes, encodeUtf8 } from "../../base/text.ts";
import { TvixError } from "../../base/error.ts";
import { checkIndex, checkIndexSync, type IndexTables } from "../../native/index-check.ts";
import { blake3 } from "../../native/blake3.ts";
import { asDigest, digestText } from "../digest.ts";

/** The version of the layout that this code reads and writes. */
export const FORMAT_VERSION = 1;

/** Castore's own tables and the lengths of their keys. */
export const TABLES: IndexTables = { chunks: 32, blobs: 32, directories: 32, meta: 0 };

/** Address space reserved for the index: what it may grow to without remapping. Costs neither memory nor disk. */
const MAP_SIZE = 2 ** 36;
const SEAL_LENGTH = 8;

const require = createRequire(import.meta.url);

/** Bytes to bytes, sorted by key: one named database. Calls are synchronous; writes only inside {@link LocalIndex.write}. */
export class Table {
  readonly #database: Database<Uint8Array, Uint8Array>;
  readonly #location: string;
  readonly #keyText: (key: Uint8Array) => string;
  readonly name: string;

  /** @param keyText how messages write a key */
  constructor(
    database: Database<Uint8Array, Uint8Array>,
    name: string,
    location: string,
    keyText: (key: Uint8Array) => string,
  ) {
    this.#database = database;
    this.name = name;
    this.#location = location;
    this.#keyText = keyText;
  }

  has(key: Uint8Array): boolean {
    return this.#guard(() => this.#database.doesExist(key));
  }

  /** The value, the caller's own. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#guard(() => {
      const value = this.#database.getBinary(key);
      return value && new Uint8Array(value.buffer, value.byteOffset, value.length);
    });
  }

  /** The value until the next call on any table: spares a copy where it is decoded at once. */
  peek(key: Uint8Array): Uint8Array | undefined {
    return this.#guard(() => this.#database.getBinaryFast(key));
  }

  put(key: Uint8Array, value: Uint8Array): void {
    // lmdb writes a plain Uint8Array's whole buffer when it is a view; a Buffer over the same bytes is taken as it is.
    this.#database.putSync(key, Buffer.from(value.buffer, value.byteOffset, value.length));
  }

  remove(key: Uint8Array): boolean {
    return this.#database.removeSync(key);
  }

  /** Writes a value that {@link getSealed} checks; one that is there already costs no write. */
  putSealed(key: Uint8Array, value: Uint8Array): void {
    const sealed = concatBytes([value, seal(key, value)]);
    const there = this.peek(key);
    if (!there || !equalBytes(there, sealed)) this.put(key, sealed);
  }

  /**
   * Reads what {@link putSealed} wrote.
   * @throws TvixError `ERR_STORE_INDEX` when key and value do not belong together.
   */
  getSealed(key: Uint8Array): Uint8Array | undefined {
    const sealed = this.get(key);
    return sealed && this.unseal(key, sealed);
  }

  /** Checks and strips the seal of a value read by other means. @throws as {@link getSealed} */
  unseal(key: Uint8Array, sealed: Uint8Array): Uint8Array {
    const end = sealed.length - SEAL_LENGTH;
    const value = sealed.subarray(0, Math.max(0, end));
    if (end < 0 || !equalBytes(sealed.subarray(end), seal(key, value)))
      throw indexDamage(this.#location, `the entry of ${this.#keyText(key)} in "${this.name}"`);
    return value;
  }

  get count(): number {
    return this.#guard(() => (this.#database.getStats() as { entryCount: number }).entryCount);
  }

  /**
   * All entries in order of key, as they are while iterating: each step sees one state of the table, and entries added
   * or removed meanwhile may or may not come. `from` is where to start.
   */
  *entries(from?: Uint8Array): Generator<{ key: Uint8Array; value: Uint8Array }> {
    let start = from;
    for (;;) {
      const page = this.#page(start);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      start = successor(last.key);
    }
  }

  /** Read by pages, so that no read transaction stays open while the consumer waits for something else. */
  #page(start: Uint8Array | undefined): { key: Uint8Array; value: Uint8Array }[] {
    return this.#guard(() => {
      const range = this.#database.getRange({ ...(start && { start }), limit: PAGE });
      return Array.from(range, ({ key, value }) => ({ key: key.slice(), value: value.slice() }));
    });
  }

  #guard<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw indexError(error, this.#location);
    }
  }
}

const PAGE = 1024;

/** Damaged pages may give keys of any length. */
function keyDigest(key: Uint8Array): string {
  return key.length === 32 ? digestText(asDigest(key)) : displayBytes(key);
}

function successor(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(key.length + 1);
  out.set(key);
  return out;
}

function seal(key: Uint8Array, value: Uint8Array): Uint8Array {
  return blake3(concatBytes([Uint8Array.of(key.length), key, value])).subarray(0, SEAL_LENGTH);
}

/** An open index. One per store and process. */
export class LocalIndex {
  readonly directory: string;
  readonly readOnly: boolean;
  readonly chunks: Table;
  readonly blobs: Table;
  readonly directories: Table;
  readonly #meta: Table;
  readonly #environment: RootDatabase<Uint8Array, Uint8Array>;
  readonly #tables = new Map<string, Table>();
  #closed = false;

  private constructor(directory: string, readOnly: boolean, environment: RootDatabase<Uint8Array, Uint8Array>) {
    this.directory = directory;
    this.readOnly = readOnly;
    this.#environment = environment;
    this.#meta = this.table("meta");
    this.#checkVersion();
    this.chunks = this.table("chunks", keyDigest);
    this.blobs = this.table("blobs", keyDigest);
    this.directories = this.table("directories", keyDigest);
  }

  /**
   * Opens the index of the store in `directory`, making it unless `readOnly`. LMDB trusts its file, so all pages are
   * checked first, unless the caller just has.
   * @throws TvixError `ERR_STORE_MISSING`, `ERR_STORE_VERSION`, `ERR_STORE_READONLY`, `ERR_STORE_INDEX`, `ERR_STORE_IO`.
   */
  static async open(directory: string, readOnly: boolean, checked = false): Promise<LocalIndex> {
    if (readOnly) return LocalIndex.openForReading(directory, checked);
    const path = join(directory, "index.lmdb");
    const [problem] = checked ? [] : await checkIndex(directory, TABLES, false);
    if (problem !== undefined) throw indexDamage(directory, problem);
    try {
      await makeDirectory(path);
      const environment = await openForWriting(path);
      // Slots of readers that were killed would keep old pages from being reused.
      environment.readerCheck();
      return new LocalIndex(directory, false, environment);
    } catch (error) {
      throw indexError(error, directory);
    }
  }

  /** Opens an index that is there, in the call itself. @throws what {@link open} throws */
  static openForReading(directory: string, checked = false): LocalIndex {
    const path = join(directory, "index.lmdb");
    if (!existsSync(join(path, "data.mdb"))) {
      throw new TvixError("ERR_STORE_MISSING", `there is no store in ${directory}`);
    }
    const [problem] = checked ? [] : checkIndexSync(directory, TABLES, false);
    if (problem !== undefined) throw indexDamage(directory, problem);
    try {
      return new LocalIndex(directory, true, openEnvironment(path, true));
    } catch (error) {
      throw indexError(error, directory);
    }
  }

  /** A named database, made on first use; `keyText` is how messages write its keys. */
  table(name: string, keyText: (key: Uint8Array) => string = displayBytes): Table {
    const known = this.#tables.get(name);
    if (known) return known;
    const database = this.#environment.openDB<Uint8Array, Uint8Array>({
      name,
      encoding: "binary",
      keyEncoding: "binary",
      cache: false,
    });
    // A read-only environment answers a name it does not have with nothing.
    const table = new Table(database ?? emptyDatabase, name, this.directory, keyText);
    this.#tables.set(name, table);
    return table;
  }

  /**
   * Runs `change` in a write transaction, alone among all processes, and makes it durable; when it throws nothing has
   * changed. Inside, reads see the latest state and the writes so far.
   * @throws TvixError `ERR_STORE_FULL`, `ERR_STORE_READONLY`, `ERR_STORE_IO`, `ERR_STORE_CLOSED`, or what `change` throws.
   */
  write<T>(change: () => T): T {
    if (this.#closed) throw new TvixError("ERR_STORE_CLOSED", `the store in ${this.directory} is closed`);
    if (this.readOnly) throw readOnlyError(this.directory);
    try {
      return this.#environment.transactionSync(change);
    } catch (error) {
      throw indexError(error, this.directory);
    }
  }

  /** Lets reads see what others have written by now. Without it, all up to the next timer see the same state. */
  refresh(): void {
    this.#environment.resetReadTxn();
  }

  /** How many collections have removed entries: while it stands still, what was seen in the index is still there. */
  generation(): number {
    return this.#number("generation");
  }

  /** How many pack numbers were given: while it stands still, nobody has moved chunks to a new pack. */
  packNumbers(): number {
    return this.#number("next-pack");
  }

  /** Inside {@link write}: notes that entries were removed. */
  advanceGeneration(): void {
    this.#meta.putSealed(encodeUtf8("generation"), encodeUtf8(String(this.generation() + 1)));
  }

  /** A pack number never given before in this store: a number stands for one file for ever. */
  takePackNumber(): number {
    return this.write(() => {
      const number = this.#number("next-pack");
      this.#meta.putSealed(encodeUtf8("next-pack"), encodeUtf8(String(number + 1)));
      return number;
    });
  }

  #number(name: string): number {
    const value = this.#meta.getSealed(encodeUtf8(name));
    return value === undefined ? 0 : Number(Buffer.from(value).toString("latin1"));
  }

  #checkVersion(): void {
    let version = this.#number("format");
    if (version === 0 && !this.readOnly) {
      this.write(() => {
        if (this.#number("format") === 0) {
          this.#meta.putSealed(encodeUtf8("format"), encodeUtf8(String(FORMAT_VERSION)));
        }
      });
      version = this.#number("format");
    }
    if (version > FORMAT_VERSION) {
      throw new TvixError(
        "ERR_STORE_VERSION",
        `the store in ${this.directory} has format ${version}; this program knows formats up to ${FORMAT_VERSION}`,
        { notes: ["a newer tvix made it or has used it: use that one, or another directory"] },
      );
    }
  }

  /** Ends all use. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#environment.close();
  }
}

const emptyDatabase = {
  doesExist: () => false,
  getBinary: () => undefined,
  getBinaryFast: () => undefined,
  getRange: () => [],
  getStats: () => ({ entryCount: 0 }),
} as unknown as Database<Uint8Array, Uint8Array>;

/** Opens the environment. Loading lmdb takes as long as starting the rest of a program, so it waits until here. */
function openEnvironment(path: string, readOnly: boolean): RootDatabase<Uint8Array, Uint8Array> {
  const { open } = require("lmdb") as typeof import("lmdb");
  return open<Uint8Array, Uint8Array>({
    path,
    readOnly,
    maxDbs: 32,
    maxReaders: 512,
    mapSize: MAP_SIZE,
    noSubdir: false,
    overlappingSync: false,
    cache: false,
    encoding: "binary",
    keyEncoding: "binary",
  });
}

/**
 * lmdb keeps one handle per file and process, also for a moment after it was closed; one closed that was read-only
 * cannot serve a writer then ("No transaction to renew"), so a writer waits for it to go.
 */
async function openForWriting(path: string): Promise<RootDatabase<Uint8Array, Uint8Array>> {
  for (let attempt = 0; ; attempt++) {
    try {
      return openEnvironment(path, false);
    } catch (error) {
      if (attempt === 20 || !String(error).includes("No transaction to renew")) throw error;
      await new Promise((done) => {
        setTimeout(done, 5);
      });
    }
  }
}

/** Makes a directory and those above it. On a read-only disk Node reports `ENOENT`; the directory above knows better. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    let above = path;
    while (!existsSync(above)) above = dirname(above);
    await access(above, constants.W_OK);
    throw error;
  }
}

/** The error for writing to a store opened for reading. */
export function readOnlyError(directory: string): TvixError {
  return new TvixError("ERR_STORE_READONLY", `the store in ${directory} can only be read`);
}

/** The error for an index that is not what was written. */
export function indexDamage(directory: string, what: string): TvixError {
  return new TvixError("ERR_STORE_INDEX", `the index of the store in ${directory} is damaged: ${what}`, {
    notes: ["`tvix store verify` lists all damage; with --repair it mends what it can"],
  });
}

/** The error for a full disk. */
export function storeFull(directory: string, cause: unknown): TvixError {
  return new TvixError("ERR_STORE_FULL", `no space is left for the store in ${directory}`, {
    cause,
    notes: ["nothing was lost: what was acknowledged is there; make room and repeat"],
  });
}

/** Gives what LMDB and the file system say about an index its code and words. */
function indexError(error: unknown, directory: string): unknown {
  if (error instanceof TvixError || !(error instanceof Error)) return error;
  const code = (error as { code?: unknown }).code;
  const make = (name: string, message: string, notes: string[] = []) =>
    new TvixError(name, message, { cause: error, notes });
  if (code === 28 || code === "ENOSPC" || (code === 5 && isFull(directory))) {
    return storeFull(directory, error);
  }
  if (code === 13 || code === 30 || code === 1 || ["EACCES", "EROFS", "EPERM"].includes(String(code))) {
    return make("ERR_STORE_READONLY", `the store in ${directory} cannot be written: ${error.message}`);
  }
  if (typeof code === "number" && code <= -30780 && code > -30800) {
    return make("ERR_STORE_INDEX", `the index of the store in ${directory} cannot be used: ${error.message}`);
  }
  if (typeof code === "number" || typeof code === "string") {
    return make("ERR_STORE_IO", `the index of the store in ${directory} cannot be used: ${error.message}`);
  }
  return error;
}

/** LMDB reports a write cut short by a full disk as an input/output error. */
function isFull(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize < 1 << 20;
  } catch {
    return false;
  }
}
