// The fuse addon: mounts served natively, which ask JavaScript only for what they do not have.
//
// A second `.node` file beside the core's, because it links libfuse3: only a mount loads it. Built in a checkout by
// `npm run build:fuse`. What it does is described in native/fuse/directory.h.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { TvixError } from "../base/error.ts";

/** What a mount can ask. */
export const QUESTION: {
  /** `key`: a directory's digest. Answered by {@link NativeMount.directory}. */
  readonly directory: 1;
  /** `key`: a name in the root. Answered by {@link NativeMount.names}. */
  readonly name: 2;
  /** The entries of the root. Answered by {@link NativeMount.names}. */
  readonly root: 3;
  /** `key`: a blob's digest, `size` its length. Answered by {@link NativeMount.extents} or {@link NativeMount.remote}. */
  readonly blob: 4;
  /** `size` bytes at `offset` of blob `key`. Answered by {@link NativeMount.bytes}. */
  readonly read: 5;
  /** Blob `key`, of `size` bytes, is opened and worth a copy. Answered by {@link NativeMount.copy}. */
  readonly copy: 6;
} = { directory: 1, name: 2, root: 3, blob: 4, read: 5, copy: 6 };

/** A question of a mount. Each is to be answered once, or failed. */
export interface Question {
  readonly question: number;
  readonly key: Uint8Array;
  readonly offset: number;
  readonly size: number;
  /** For a blob: the digest of a directory that it is in, if known. */
  readonly directory?: Uint8Array;
}

/** What happened since the last {@link NativeMount.take}. */
export interface MountNews {
  readonly questions: readonly Question[];
  /** Lines for people: what could not be served, and why. */
  readonly log: readonly string[];
  /** The kernel has begun to send requests. */
  readonly ready: boolean;
  /** The mount is gone, whoever unmounted it. */
  readonly ended: boolean;
}

/** Options of {@link NativeMount}. */
export interface NativeMountOptions {
  /** Digest of the root directory; 32 bytes, of no meaning for a dynamic root. */
  readonly root: Uint8Array;
  /** Elements of the root directory. */
  readonly rootSize: number;
  /** Whether names in the root are asked for one by one. */
  readonly dynamic: boolean;
  /** Whether a dynamic root can be listed. */
  readonly listRoot: boolean;
  readonly uid: number;
  readonly gid: number;
  /** Threads that read requests at most. */
  readonly threads: number;
  /** Bytes of memory for directories. */
  readonly directoryCache: number;
  /** Bytes of memory for places of blobs. */
  readonly blobCache: number;
  /** How many inodes may be held at a time, the root's included; 0: any number. */
  readonly maxInodes: number;
  /** Of a mount: large files that the kernel is to read from copies. */
  readonly passthrough?: NativePassthrough | undefined;
}

/** Which files are copied for the kernel, and to where. */
export interface NativePassthrough {
  /** Path of the directory for copies. */
  readonly directory: Uint8Array;
  /** Bytes of the smallest file that is copied. */
  readonly minimum: number;
  /** Bytes of all copies. */
  readonly limit: number;
}

/** Figures of a mount. */
export interface MountCounts {
  /** Requests of the kernel, forgetting aside. */
  readonly requests: number;
  /** Times that a request had to wait for an answer from JavaScript. */
  readonly asked: number;
  readonly inodes: number;
  /** Bytes. */
  readonly directoryCache: number;
  /** Bytes. */
  readonly blobCache: number;
  /** Questions not yet answered. */
  readonly waiting: number;
  /** Copies of large files, from which the kernel reads by itself. */
  readonly copies: number;
  /** Bytes. */
  readonly copyBytes: number;
}

/** The addon's side of a mount. Answers to questions nobody asked fill the caches. */
export interface NativeMount {
  /** Mounts on an absolute path without symlinks. Keeps the process alive until the end. @throws `ERR_MOUNT_FAILED` */
  mount(path: Uint8Array, allowOther: boolean): void;
  /** Serves virtual machines on a socket instead; as {@link mount}. @throws `ERR_MOUNT_SOCKET`, `ERR_MOUNT_BUSY` */
  listen(path: Uint8Array): void;
  take(): MountNews;
  /** Gives a directory's canonical bytes; what is wrong with them, if anything, in which case nothing is answered. */
  directory(digest: Uint8Array, bytes: Uint8Array): string | undefined;
  hasDirectory(digest: Uint8Array): boolean;
  /** Digests of at most `limit` child directories that are not cached, one behind the other. */
  children(digest: Uint8Array, limit: number): Uint8Array;
  /** Digests of at most `limit` files that follow a file in a directory and have no cached place; as {@link children}. */
  siblings(directory: Uint8Array, digest: Uint8Array, limit: number): Uint8Array;
  /** Gives one name of the root, or (`undefined`) all of them, as a canonical directory; as {@link directory}. */
  names(name: Uint8Array | undefined, bytes: Uint8Array): string | undefined;
  /** Has names of the root asked for again: they may have gone. */
  forgetNames(): void;
  /**
   * Gives the places of a blob: chunk i is `lengths[i]` bytes at `offsets[i]` of pack file `paths[packs[i]]`, with the
   * digest at `digests[32 i]`. Returns 0, or the errno of a pack that cannot be opened; then nothing is answered.
   */
  extents(
    digest: Uint8Array,
    paths: readonly Uint8Array[],
    packs: Uint32Array,
    offsets: Float64Array,
    lengths: Uint32Array,
    digests: Uint8Array,
  ): number;
  /** Says that the ranges of a blob are to be asked for one by one. */
  remote(digest: Uint8Array, size: number): void;
  bytes(digest: Uint8Array, offset: number, size: number, bytes: Uint8Array): void;
  /** Copies a blob whose places were given, off the event loop, and answers. What goes wrong is logged. */
  copy(digest: Uint8Array): Promise<void>;
  fail(question: number, key: Uint8Array, offset: number, size: number, errno: number): void;
  /** What statfs shows. */
  totals(bytes: number, files: number): void;
  /** Lets go of pack files that were unlinked. */
  sweep(): void;
  counts(): MountCounts;
  /** Unmounts and ends the service, off the event loop. Idempotent. */
  stop(): Promise<void>;
  /** The same in this call: for the end of the process. */
  stopSync(): void;
}

/** The addon's exports. */
export interface FuseAddon {
  readonly NativeMount: new (options: NativeMountOptions, wake: () => void) => NativeMount;
  /** Unmounts a path. @throws `ERR_MOUNT_UNMOUNT` */
  detach(path: Uint8Array): Promise<void>;
  /** Device number of the mount of ours at an absolute path; empty when there is none. Touches no mount. */
  deviceAt(path: Uint8Array): string;
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);
let loaded: FuseAddon | undefined;

/**
 * The fuse addon.
 * @throws TvixError `ERR_MOUNT_NATIVE` when it was not built or libfuse3 is not installed, saying what to do
 */
export function fuse(): FuseAddon {
  loaded ??= load();
  return loaded;
}

function load(): FuseAddon {
  const built = `${root}build/fuse/fuse.node`;
  const prebuilt = `${root}prebuilds/fuse/${process.platform}-${process.arch}/fuse.node`;
  const path = existsSync(built) ? built : prebuilt;
  try {
    return require(path) as FuseAddon;
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    const notes =
      process.platform === "linux"
        ? [
            why,
            "mounts need libfuse3 (Debian: apt-get install fuse3); to build the addon, in addition:",
            `apt-get install libfuse3-dev pkg-config python3 make g++ && cd ${root} && npm run build:fuse`,
          ]
        : ["mounts need Linux; stores, evaluation and everything else work without them"];
    throw new TvixError("ERR_MOUNT_NATIVE", "the part of tvix that mounts cannot be loaded", { cause, notes });
  }
}
