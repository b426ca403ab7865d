// Directories: sorted, validated lists of named nodes, immutable once made.
import { compareBytes } from "../base/bytes.ts";
import { displayBytes } from "../base/text.ts";
import { TvixError } from "../base/error.ts";
import { decodeEntries, encodeEntries, type Entry } from "./canonical.ts";
import { type Digest, digestOf } from "./digest.ts";
import type { DirectoryNode, Node } from "./node.ts";
import { checkNode, equalNodes } from "./node.ts";
import { checkName } from "./path.ts";

export type { Entry } from "./canonical.ts";

/**
 * A directory. Its entries are sorted by name as bytes, each name once, every name and node valid; its canonical
 * bytes and its digest follow from the entries alone.
 */
export class Directory {
  /** Sorted by name (unsigned bytes), kinds mixed. */
  readonly entries: readonly Entry[];
  /**
   * Elements of the tree below: two for each entry, and the sizes of the child directories (2N + Σ). That each entry
   * counts twice is an accident of the protocol's history which digests have preserved.
   */
  readonly size: number;
  #bytes: Uint8Array | undefined;
  #digest: Digest | undefined;

  private constructor(entries: readonly Entry[], bytes?: Uint8Array) {
    this.entries = entries;
    this.size = 2 * entries.length + sumOfSizes(entries);
    this.#bytes = bytes;
    if (!Number.isSafeInteger(this.size)) {
      throw new TvixError("ERR_CASTORE_SIZE", "the size of a directory is greater than 2^53-1");
    }
  }

  /**
   * Makes a directory of entries in any order.
   * @throws TvixError `ERR_CASTORE_NAME`, `ERR_CASTORE_DUPLICATE`, or what {@link checkNode} throws.
   */
  static of(entries: Iterable<Entry>): Directory {
    const sorted = [...entries].sort((a, b) => compareBytes(a.name, b.name));
    for (const [i, entry] of sorted.entries()) {
      checkName(entry.name);
      checkNode(entry.node);
      const previous = sorted[i - 1];
      if (previous && compareBytes(previous.name, entry.name) === 0) throw duplicate(entry.name);
    }
    return new Directory(sorted);
  }

  /**
   * Reads canonical bytes, which are kept (no copy), so that the digest is that of what was received. Child sizes are
   * taken as they stand: digests made under the older rule N + Σ remain readable.
   * @throws TvixError `ERR_CASTORE_ENCODING`, `ERR_CASTORE_ORDER`, or what {@link Directory.of} throws.
   */
  static decode(bytes: Uint8Array): Directory {
    const listed = decodeEntries(bytes);
    for (const [i, entry] of listed.entries()) {
      const previous = listed[i - 1];
      if (previous?.node.type !== entry.node.type) continue;
      const order = compareBytes(previous.name, entry.name);
      if (order === 0) throw duplicate(entry.name);
      if (order > 0) {
        const names = `"${displayBytes(entry.name)}" after "${displayBytes(previous.name)}"`;
        throw new TvixError("ERR_CASTORE_ORDER", `a directory's entries are not sorted: ${names}`);
      }
    }
    return new Directory(Directory.of(listed).entries, bytes);
  }

  /** The canonical bytes, whose BLAKE3 is the digest. Do not modify. */
  encode(): Uint8Array {
    this.#bytes ??= encodeEntries(this.entries);
    return this.#bytes;
  }

  /** The digest. */
  digest(): Digest {
    this.#digest ??= digestOf(this.encode());
    return this.#digest;
  }

  /** The node that stands for this directory. */
  node(): DirectoryNode {
    return { type: "directory", digest: this.digest(), size: this.size };
  }

  /** The node called `name`, or `undefined`. */
  find(name: Uint8Array): Node | undefined {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.entries[middle] as Entry;
      const order = compareBytes(entry.name, name);
      if (order === 0) return entry.node;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  /** The child directories, in order of name. */
  *directories(): Generator<DirectoryNode> {
    for (const { node } of this.entries) if (node.type === "directory") yield node;
  }

  /** Whether both have the same entries. */
  equals(other: Directory): boolean {
    return (
      this.entries.length === other.entries.length &&
      this.entries.every((entry, i) => {
        const theirs = other.entries[i] as Entry;
        return compareBytes(entry.name, theirs.name) === 0 && equalNodes(entry.node, theirs.node);
      })
    );
  }
}

/** A directory without entries; its bytes are none. */
export const EMPTY_DIRECTORY: Directory = Directory.of([]);

function sumOfSizes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const { node } of entries) if (node.type === "directory") sum += node.size;
  return sum;
}

function duplicate(name: Uint8Array): TvixError {
  return new TvixError("ERR_CASTORE_DUPLICATE", `a directory has two entries called "${displayBytes(name)}"`);
}
