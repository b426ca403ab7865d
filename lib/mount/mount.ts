// Mounts: a castore or a store seen as a file system, served by native code that asks JavaScript only for what is new.
//
//   mount.ts       mountFuse: what is mounted where, its life and its end
//   root.ts        what a mount shows at its top: a directory, named nodes, or the paths of a store
//   answers.ts     answers the questions of the native side from the castore's services
//   ahead.ts       reads of blobs that are not in local packs, with read-ahead
//   mountpoint.ts  is the place fit for a mount; dead mounts; unmounting
//
// Never touch a mount by a synchronous call (`fs.readFileSync`) from the process that serves it: when the answer takes
// JavaScript, the process waits for itself and cannot even be killed. `node:fs/promises` is fine. `tvix-mount` serves
// from a process of its own.
import { statSync } from "node:fs";
import { TvixError } from "../base/error.ts";
import type { Castore } from "../castore/tree.ts";
import { LocalStore } from "../castore/local/store.ts";
import { typed } from "../native/failure.ts";
import { fuse, type MountCounts, type NativeMount } from "../native/fuse.ts";
import type { Store } from "../store/store.ts";
import { Answers } from "./answers.ts";
import { detachMount, prepareMountpoint } from "./mountpoint.ts";
import { type MountRoots, type RootView, viewRoot } from "./root.ts";

/** Milliseconds the kernel has to begin, and users of a mount to leave when it is unmounted. */
const PATIENCE = 5000;
const GRACE = 1000;
/** Milliseconds between looks for packs that a collection has replaced. */
const SWEEP = 10_000;

/** What both ways of mounting share. */
export interface MountBehaviour {
  /** An existing directory. */
  readonly mountpoint: string;
  /** Let users other than the one who mounts in. Unless root mounts, /etc/fuse.conf must allow it. Default: false. */
  readonly allowOther?: boolean;
  /** Owner of everything. Default: this process's. */
  readonly uid?: number;
  readonly gid?: number;
  /** Memory for directories, in bytes. Default: 64 MiB. */
  readonly directoryCache?: number;
  /** Memory for the places of files' contents, in bytes. Default: 32 MiB. */
  readonly blobCache?: number;
  /** Threads that read requests, at most. Default: 2. */
  readonly threads?: number;
  /** Told one line for each thing that could not be served. Default: standard error. */
  readonly onLog?: (line: string) => void;
}

/** A store's paths, by their names. */
export interface StoreMountOptions extends MountBehaviour {
  readonly store: Store;
  /** Whether the root can be listed; names are found either way. Default: false, for stores hold millions. */
  readonly listRoot?: boolean;
}

/** Trees of a castore: one directory, or named nodes. */
export interface TreeMountOptions extends MountBehaviour {
  readonly castore: Castore;
  readonly roots: MountRoots;
}

/** Options of {@link mountFuse}. */
export type MountOptions = StoreMountOptions | TreeMountOptions;

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
 *   `ERR_MOUNT_ROOT` (the root is not a directory), `ERR_MOUNT_FAILED`
 */
export async function mountFuse(options: MountOptions): Promise<Mount> {
  const { NativeMount } = fuse();
  const castore = "store" in options ? options.store.castore : options.castore;
  const view = viewRoot(options);
  const mountpoint = await prepareMountpoint(options.mountpoint);
  const log = options.onLog ?? ((line) => process.stderr.write(`tvix-mount: ${line}\n`));
  let begin: () => void = () => {};
  let end: () => void = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const ended = new Promise<void>((resolve) => (end = resolve));
  const native: NativeMount = new NativeMount(nativeOptions(options, view), () => {
    const news = native.take();
    for (const line of news.log) log(line);
    if (news.ready) begin();
    if (news.ended) end();
    answers.answer(news.questions);
  });
  const answers = new Answers(native, castore, view, log);
  start(native, mountpoint, options.allowOther ?? false);
  keepUp(native, castore, ended);
  const mount = new Mount(mountpoint, native, ended);
  if ((await Promise.race([begun.then(() => true), ended, delay(PATIENCE)])) !== true) {
    await mount.unmount();
    throw new TvixError("ERR_MOUNT_FAILED", `the kernel did not begin to use the mount on ${mountpoint}`);
  }
  return mount;
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

function nativeOptions(options: MountOptions, view: RootView) {
  return {
    root: view.kind === "names" ? new Uint8Array(32) : view.node.digest,
    rootSize: view.kind === "names" ? 0 : view.node.size,
    dynamic: view.kind === "names",
    listRoot: view.kind === "names" && view.names.list !== undefined,
    uid: options.uid ?? process.getuid?.() ?? 0,
    gid: options.gid ?? process.getgid?.() ?? 0,
    threads: options.threads ?? 2,
    directoryCache: options.directoryCache ?? 64 << 20,
    blobCache: options.blobCache ?? 32 << 20,
  };
}

/** What is done from time to time, and at the end of the process. */
function keepUp(native: NativeMount, castore: Castore, ended: Promise<void>): void {
  const look = () => {
    native.sweep();
    void packTotals(castore).then(({ bytes, files }) => native.totals(bytes, files));
  };
  look();
  const timer = setInterval(look, SWEEP);
  timer.unref();
  const stop = () => native.stopSync();
  process.on("exit", stop);
  void ended.finally(() => {
    clearInterval(timer);
    process.off("exit", stop);
  });
}

/** Bytes in packs and number of entries: what `df` shows of a local store, zeros for others. */
async function packTotals(castore: Castore): Promise<{ bytes: number; files: number }> {
  const none = { bytes: 0, files: 0 };
  if (!(castore instanceof LocalStore)) return none;
  try {
    const packs = await castore.packs.list();
    const sizes = packs.map((pack) => statSync(castore.packs.path(pack), { throwIfNoEntry: false })?.size ?? 0);
    const files = castore.index.chunks.count + castore.index.directories.count;
    return { bytes: sizes.reduce((sum, size) => sum + size, 0), files };
  } catch {
    return none;
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
