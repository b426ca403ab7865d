// Directories in an object store: one object per closure.
//
//   dirs/b3/<4 hex digits>/<64 hex digits of the root>   a zstd frame over the directories, root first,
//                                                        each as u32 big-endian length and canonical bytes
//
// What is below a root is found through the root's object. A directory put by itself is an object of its own, so a
// closure put piece by piece can be read as well, one request for each piece.
import { concatBytes, equalBytes } from "../../base/bytes.ts";
import { shardedKey } from "../blob/object.ts";
import { corrupt } from "../blob/range.ts";
import { type Digest, digestKey, digestOf } from "../digest.ts";
import { Directory } from "../directory.ts";
import { mapBounded, type ObjectStore } from "../object/service.ts";
import { compress, decompress } from "../object/zstd.ts";
import { LeavesToRoot, walkClosure } from "./closure.ts";
import type { DirectoryService } from "./service.ts";

/** Longest closure accepted, in bytes. */
const CLOSURE_LIMIT = 1 << 30;
const WIDTH = 8;
/** Most directories remembered. */
const RECENT = 20_000;

/** Directories in an object store. Those below the root of a closure are addressable only through that root. */
export class ObjectDirectoryService implements DirectoryService {
  readonly #objects: ObjectStore;
  /** Directories of the closures read last, so that walking down a tree fetches it once. */
  #recent = new Map<string, Directory>();

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  has(digests: readonly Digest[]): Promise<boolean[]> {
    return this.#objects.has(digests.map((digest) => shardedKey("dirs", digest)));
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    return this.#recent.get(digestKey(digest)) ?? (await this.#read(digest))?.[0];
  }

  async #read(root: Digest): Promise<Directory[] | undefined> {
    const frame = await this.#objects.get(shardedKey("dirs", root));
    if (frame === undefined) return undefined;
    const directories = readRecords(await decompress(frame, CLOSURE_LIMIT), root).map((bytes) =>
      Directory.decode(bytes),
    );
    const [first] = directories;
    if (first === undefined || !equalBytes(digestOf(first.encode()), root)) {
      throw corrupt(root, "its object begins with another directory");
    }
    if (this.#recent.size + directories.length > RECENT) this.#recent = new Map();
    for (const directory of directories.slice(0, RECENT)) this.#recent.set(digestKey(directory.digest()), directory);
    return directories;
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    return await mapBounded(directories, WIDTH, async (directory) => {
      await this.#store([directory]);
      return directory.digest();
    });
  }

  /** Root first. */
  async #store(directories: readonly Directory[]): Promise<void> {
    const [root] = directories;
    if (root === undefined) return;
    await this.#objects.put(shardedKey("dirs", root.digest()), await compress(writeRecords(directories)));
  }

  async *getClosure(root: Digest): AsyncGenerator<Directory> {
    const known = new Map<string, Directory>();
    yield* walkClosure(async (digest) => {
      const key = digestKey(digest);
      if (!known.has(key)) {
        for (const directory of (await this.#read(digest)) ?? []) known.set(digestKey(directory.digest()), directory);
      }
      return known.get(key);
    }, root);
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    const order = new LeavesToRoot("either");
    const fresh: Directory[] = [];
    for await (const directory of directories) if (order.add(directory)) fresh.push(directory);
    const root = order.finish();
    await this.#store(fresh.reverse());
    return root.digest();
  }
}

function writeRecords(directories: readonly Directory[]): Uint8Array {
  return concatBytes(
    directories.flatMap((directory) => {
      const bytes = directory.encode();
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, bytes.length);
      return [length, bytes];
    }),
  );
}

function readRecords(bytes: Uint8Array, root: Digest): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.length - at < 4 ? Number.POSITIVE_INFINITY : view.getUint32(at);
    if (length > bytes.length - at - 4) throw corrupt(root, "its object is cut short");
    out.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return out;
}
