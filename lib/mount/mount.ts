// Mounts: a castore or a store seen as a file system, served by native code that asks JavaScript only for what is new.
//
//   mount.ts       mountFuse: what is mounted where, its life and its end
//   virtiofs.ts    exportVirtiofs: the same for virtual machines, on a socket
//   serving.ts     what both share: the native side, its upkeep, its end
//   root.ts        what is at the top: a directory, named nodes, or the paths of a store
//   answers.ts     answers the questions of the native side from the castore's services
//   ahead.ts       reads of blobs that are not in local packs, with read-ahead
//   mountpoint.ts  is the place fit for a mount; dead mounts; unmounting
//
// Never touch a mount by a synchronous call (`fs.readFileSync`) from the process that serves it: when the answer takes
// JavaScript, the process waits for itself and cannot even be killed. `node:fs/promises` is fine. `tvix-mount` serves
// from a process of its own.
import { resolve } from "node:path";
import { TvixError } from "../base/error.ts";
import { LocalStore } from "../castore/local/store.ts";
import { typed } from "../native/failure.ts";
import type { MountCounts, NativeMount, NativePassthrough } from "../native/fuse.ts";
import { detachMount, prepareMountpoint } from "./mountpoint.ts";
import type { RootOptions, StoreRootOptions, TreeRootOptions } from "./root.ts";
import { castoreOf, keepUp, prepareServing, type ServingOptions } from "./serving.ts";

/** Milliseconds the kernel has to begin, and users of a mount to leave when it is unmounted. */
const PATIENCE = 5000;
const GRACE = 1000;

/** What both ways of mounting share. */
export interface MountBehaviour extends ServingOptions {
  /** An existing directory. */
  readonly mountpoint: string;
  /** Let users other than the one who mounts in. Unless root mounts, /etc/fuse.conf must allow it. Default: false. */
  readonly allowOther?: boolean;
  /** Threads that read requests, at most. Default: 2. */
  readonly threads?: number;
  /** Let the kernel read large files by itself. Default: it does not. */
  readonly passthrough?: PassthroughOptions;
}

/**
 * Large files of a local store that the kernel reads by itself, from copies: FUSE passthrough, which takes root and
 * Linux 6.9. Where it is not to be had, a line in the log says so, and files are read as without it.
 */
export interface PassthroughOptions {
  /** Where copies are made, on an ordinary file system. They have no names, and end with the mount. */
  readonly directory: string;
  /** Bytes of the smallest file that is copied, when it is opened first. Default: 64 MiB. */
  readonly minimum?: number;
  /** Bytes that copies may take together; those that nobody has open make room. Default: 4 GiB. */
  readonly limit?: number;
}

/** Mounts the paths of a store. */
export type StoreMountOptions = StoreRootOptions & MountBehaviour;

/** Mounts trees of a castore. */
export type TreeMountOptions = TreeRootOptions & MountBehaviour;

/** Options of {@link mountFuse}. */
export type MountOptions = RootOptions & MountBehaviour;

/** A mount of this process. The process stays alive while it is there. */
export class Mount {
  /** The directory, absolute and without symlinks. */
  readonly mountpoint: string;
  /** Resolves when the mount is gone, whoever unmounted it. */
  readonly ended: Promise<void>;
  readonly #native: NativeMount;

  /** For {@link mountFuse}. */
  constructor(mountpoint: string, native: NativeMount, ended: Promise<void>) {
    this.mountpoint = mountpoint;
    this.#native = native;
    this.ended = ended;
  }

  /** Figures: how many requests there were, and how few of them needed JavaScript. */
  counts(): MountCounts {
    return this.#native.counts();
  }

  /**
   * Unmounts. The mount goes out of sight at once; programs that still have files of it open have a second to close
   * them. Idempotent.
   */
  async unmount(): Promise<void> {
    await detachMount(this.mountpoint).catch(() => {});
    await Promise.race([this.ended, delay(GRACE)]);
    await this.#native.stop();
    await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }
}

/**
 * Mounts a store or trees on a directory. Read-only; what was seen once never changes. A dead mount that a killed
 * process left on the directory is removed first. At the end of the process the mount is unmounted.
 * @throws TvixError `ERR_MOUNT_NATIVE` (no libfuse3, or not built), `ERR_MOUNT_DEVICE` (no /dev/fuse),
 *   `ERR_MOUNT_POINT` (not a directory that can be used), `ERR_MOUNT_BUSY` (a mount of ours is there),
 *   `ERR_MOUNT_ROOT` (the root is not a directory), `ERR_MOUNT_PASSTHROUGH` (no local store, or no directory for
 *   copies), `ERR_MOUNT_FAILED`
 */
export async function mountFuse(options: MountOptions): Promise<Mount> {
  const { threads = 2, passthrough } = options;
  const serving = prepareServing(options, { threads, passthrough: passthrough && copying(passthrough, options) });
  const { native, begun, ended } = serving;
  const mountpoint = await prepareMountpoint(options.mountpoint);
  start(native, mountpoint, options.allowOther ?? false);
  keepUp(serving, options);
  const mount = new Mount(mountpoint, native, ended);
  if ((await Promise.race([begun.then(() => true), ended, delay(PATIENCE)])) !== true) {
    await mount.unmount();
    throw new TvixError("ERR_MOUNT_FAILED", `the kernel did not begin to use the mount on ${mountpoint}`);
  }
  return mount;
}

function copying(passthrough: PassthroughOptions, options: RootOptions): NativePassthrough {
  if (!(castoreOf(options) instanceof LocalStore)) {
    throw new TvixError("ERR_MOUNT_PASSTHROUGH", "only files of a local store can be passed through to the kernel");
  }
  const { directory, minimum = 64 << 20, limit = 4 * 2 ** 30 } = passthrough;
  return { directory: Buffer.from(resolve(directory)), minimum: Math.max(1, minimum), limit };
}

function start(native: NativeMount, mountpoint: string, allowOther: boolean): void {
  try {
    native.mount(Buffer.from(mountpoint), allowOther);
  } catch (error) {
    const notes = allowOther ? ["unless root mounts, --allow-other needs user_allow_other in /etc/fuse.conf"] : [];
    const failure = typed(error);
    if (failure instanceof TvixError) throw new TvixError(failure.code, failure.message, { cause: error, notes });
    throw failure;
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
