// Native fast paths between host trees, NAR bytes and packs: hash, pack, unpack, render.
import { core } from "./load.ts";
import { guarded, pathBytes, settled } from "./failure.ts";
import type { NativePackReader, PackExtents, PackReader } from "./pack.ts";
import type { TreeListing } from "./tree.ts";

export interface NarDigest {
  /** The hash of the NAR's bytes. */
  readonly digest: Uint8Array;
  /** The NAR's size in bytes. */
  readonly size: number;
}

interface NativeUnpacker {
  push(bytes: Uint8Array): Promise<void>;
  end(): Promise<NarDigest>;
  close(): void;
}

interface NativeRender {
  next(into: Uint8Array): Promise<number>;
  toFile(fd: number): Promise<void>;
  readonly size: number;
  close(): void;
}

interface NarAddon {
  narHash(path: Uint8Array): Promise<NarDigest>;
  narPack(path: Uint8Array, fd: number): Promise<number>;
  narUnpackFile(fd: number, target: Uint8Array): Promise<NarDigest>;
  readonly NarUnpacker: new (target: Uint8Array) => NativeUnpacker;
  narRender(
    listing: TreeListing,
    counts: Uint32Array,
    packs: Uint32Array,
    extents: PackExtents,
    readers: readonly NativePackReader[],
  ): NativeRender;
}

const addon = (): NarAddon => core() as unknown as NarAddon;

/**
 * SHA-256 and size of the NAR of a host tree (a directory, file or symlink), off the event loop; reading and hashing
 * overlap.
 * @throws TvixError `ERR_TREE_…` as `walkTree`, and `ERR_TREE_CHANGED`
 */
export function narHash(path: string | Uint8Array): Promise<NarDigest> {
  return settled(addon().narHash(pathBytes(path)));
}

/**
 * Writes the NAR of a host tree to a descriptor (file, pipe, socket, terminal), off the event loop; file contents stay
 * in the kernel where it can move them itself. Resolves to the NAR's size. On a failure part of the NAR may have been
 * written: a reader can tell, because a NAR without its end is refused.
 * @throws TvixError `ERR_TREE_…`; `ERR_NAR_WRITE` when the descriptor fails (`ERR_NAR_PIPE` when its reader went away)
 */
export function narPack(path: string | Uint8Array, fd: number): Promise<number> {
  return settled(addon().narPack(pathBytes(path), fd));
}

/**
 * Unpacks a NAR read from a descriptor to `target`, which must not exist. It is made under a temporary name beside
 * `target` and renamed at the end, so `target` appears whole or not at all; nothing outside is ever touched. Resolves
 * to SHA-256 and size of the NAR.
 * @throws TvixError `ERR_NAR_…` for a violation of the format (docs/errors.md lists them), `ERR_UNPACK_EXISTS`,
 *   `ERR_UNPACK_FULL`, `ERR_UNPACK_IO`
 */
export function narUnpack(fd: number, target: string | Uint8Array): Promise<NarDigest> {
  return settled(addon().narUnpackFile(fd, pathBytes(target)));
}

/** The same for a NAR whose bytes are pushed. Unless {@link end} resolved, {@link close} leaves nothing behind. */
export class NarUnpacker {
  readonly #native: NativeUnpacker;

  constructor(target: string | Uint8Array) {
    this.#native = guarded(() => new (addon().NarUnpacker)(pathBytes(target)));
  }

  /** Unpacks the next bytes; they must not be changed until the promise settles. One call at a time. */
  push(bytes: Uint8Array): Promise<void> {
    return settled(this.#native.push(bytes));
  }

  /** The NAR is over: checks that it is complete and moves the tree to its place. */
  end(): Promise<NarDigest> {
    return settled(this.#native.end());
  }

  /** Removes what was made unless {@link end} resolved. Idempotent. */
  close(): void {
    this.#native.close();
  }
}

/** A tree with the places of its files' chunks: what a NAR is rendered from. */
export interface RenderPlan {
  readonly listing: TreeListing;
  /** Chunks of each regular file, in NAR order (one number per file, not per entry). */
  readonly chunkCounts: Uint32Array;
  /** The chunks of all files, one behind the other. */
  readonly extents: PackExtents;
  /** Which of `readers` each chunk is in. */
  readonly packs: Uint32Array;
  readonly readers: readonly PackReader[];
}

/** The NAR of a tree in packs, every chunk verified before its bytes leave. */
export class NarRender {
  readonly #native: NativeRender;

  /** @throws RangeError when the plan's arrays disagree, or a file's chunks do not add up to its size */
  constructor(plan: RenderPlan) {
    this.#native = guarded(() =>
      addon().narRender(
        plan.listing,
        plan.chunkCounts,
        plan.packs,
        plan.extents,
        plan.readers.map((reader) => reader.native),
      ),
    );
  }

  /** Size of the NAR in bytes. */
  get size(): number {
    return this.#native.size;
  }

  /** Writes the rest of the NAR to a descriptor. @throws TvixError `ERR_PACK_CORRUPT`, `ERR_PACK_IO`, `ERR_NAR_WRITE`, `ERR_NAR_PIPE` */
  toFile(fd: number): Promise<void> {
    return settled(this.#native.toFile(fd));
  }

  /** Fills `into` with the next bytes; resolves to their number, less than `into.length` only at the end. One call at a time. */
  next(into: Uint8Array): Promise<number> {
    return settled(this.#native.next(into));
  }

  /** The NAR in pieces of `size` bytes (default 1 MiB), each a fresh array. */
  async *chunks(size: number = 1 << 20): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = new Uint8Array(size);
      const filled = await this.next(piece);
      if (filled > 0) yield piece.subarray(0, filled);
      if (filled < size) return;
    }
  }

  /** Frees the buffers. Idempotent. */
  close(): void {
    this.#native.close();
  }
}
