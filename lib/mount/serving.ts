// What a mount and an export share: the native side, the answers to its questions, its upkeep and its end.
import { statSync } from "node:fs";
import { LocalStore } from "../castore/local/store.ts";
import type { Castore } from "../castore/tree.ts";
import { fuse, type NativeMount, type NativeMountOptions } from "../native/fuse.ts";
import { Answers } from "./answers.ts";
import { type RootOptions, type RootView, viewRoot } from "./root.ts";

/** Milliseconds between looks for packs that a collection has replaced, and for names that may have gone. */
const SWEEP = 10_000;

/** What mounts and exports have in common. */
export interface ServingOptions {
  /** Owner of everything. Default: this process's. */
  readonly uid?: number;
  readonly gid?: number;
  /** Memory for directories, in bytes. Default: 64 MiB. */
  readonly directoryCache?: number;
  /** Memory for the places of files' contents, in bytes. Default: 32 MiB. */
  readonly blobCache?: number;
  /** Told one line for each thing that could not be served. Default: standard error. */
  readonly onLog?: (line: string) => void;
}

/** A file system that is ready to be served. */
export interface Serving {
  readonly native: NativeMount;
  /** Resolves when the kernel has begun to send requests. */
  readonly begun: Promise<void>;
  /** Resolves when nothing is served any more. */
  readonly ended: Promise<void>;
}

/**
 * Makes the native side of a file system, with what only `own` kind of it has. The caller starts it, and then calls
 * {@link keepUp}.
 * @throws TvixError `ERR_MOUNT_NATIVE`, or what {@link viewRoot} throws
 */
export function prepareServing(options: RootOptions & ServingOptions, own: Partial<NativeMountOptions> = {}): Serving {
  const { NativeMount } = fuse();
  const view = viewRoot(options);
  const log = options.onLog ?? ((line) => process.stderr.write(`tvix-mount: ${line}\n`));
  let begin: () => void = () => {};
  let end: () => void = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const ended = new Promise<void>((resolve) => (end = resolve));
  const native: NativeMount = new NativeMount({ ...nativeOptions(options, view), ...own }, () => {
    const news = native.take();
    for (const line of news.log) log(line);
    if (news.ready) begin();
    if (news.ended) end();
    answers.answer(news.questions);
  });
  const answers = new Answers(native, castoreOf(options), view, log);
  return { native, begun, ended };
}

/** The castore that is served. */
export function castoreOf(options: RootOptions): Castore {
  return "store" in options ? options.store.castore : options.castore;
}

function nativeOptions(options: ServingOptions, view: RootView): NativeMountOptions {
  return {
    root: view.kind === "names" ? new Uint8Array(32) : view.node.digest,
    rootSize: view.kind === "names" ? 0 : view.node.size,
    dynamic: view.kind === "names",
    listRoot: view.kind === "names" && view.names.list !== undefined,
    uid: options.uid ?? process.getuid?.() ?? 0,
    gid: options.gid ?? process.getgid?.() ?? 0,
    threads: 1,
    directoryCache: options.directoryCache ?? 64 << 20,
    blobCache: options.blobCache ?? 32 << 20,
    // The kernel of this machine forgets when memory runs short.
    maxInodes: 0,
  };
}

/** Does what is to be done from time to time, and at the end of the process, once the service has started. */
export function keepUp({ native, ended }: Serving, options: RootOptions): void {
  const castore = castoreOf(options);
  let collected = collections(castore);
  const look = () => {
    native.sweep();
    const now = collections(castore);
    if (now !== collected) native.forgetNames();
    collected = now;
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

/** A number that changes with each collection; of a service, which does not say what it has let go of, each time. */
function collections(castore: Castore): number {
  if (!(castore instanceof LocalStore)) return Number.NaN;
  try {
    return castore.index.generation();
  } catch {
    return Number.NaN;
  }
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
