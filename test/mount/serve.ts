// Serves one mount, or one export for virtual machines, for the tests, in a process of its own: `serve.ts JSON`. Talks to the test by messages.
import { setTimeout as sleep } from "node:timers/promises";
import { TvixError } from "../../lib/base/error.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import type { BlobService } from "../../lib/castore/blob/service.ts";
import { EMPTY_DIGEST } from "../../lib/castore/digest.ts";
import { Directory } from "../../lib/castore/directory.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import type { DirectoryService } from "../../lib/castore/directory/service.ts";
import { ingestHost } from "../../lib/castore/ingest/portable.ts";
import {
  exportVirtiofs,
  mountFuse,
  type PassthroughOptions,
  type RootOptions,
  type ServingOptions,
} from "../../lib/mount/index.ts";
import type { MountCounts } from "../../lib/native/fuse.ts";
import { openStore } from "../../lib/store/open.ts";

/** What to serve. */
export interface Job {
  /** Where it is mounted; or, for virtual machines, the socket. */
  readonly mountpoint?: string;
  readonly socket?: string;
  /** A store's address. */
  readonly store?: string;
  readonly listRoot?: boolean;
  /** Of an export: how many inodes the guest may hold. */
  readonly maxInodes?: number;
  /** Of a mount: which files the kernel is to read by itself. */
  readonly passthrough?: PassthroughOptions;
  /** A host tree, kept in memory behind a service that takes 10 ms for each call, mounted under the name `tree`. */
  readonly slowTree?: string;
  /** How many entries a directory mounted under the name `wide` has. */
  readonly wide?: number;
}

let failing = false;
let hanging: Promise<void> | undefined;
let release: () => void = () => {};

async function delayed<T>(work: () => Promise<T>): Promise<T> {
  await sleep(10);
  await hanging;
  if (failing) throw new TvixError("ERR_TEST", "the service is down");
  return await work();
}

function slowBlobs(inner: MemoryBlobService): BlobService {
  return {
    has: (digests) => inner.has(digests),
    openWrite: () => inner.openWrite(),
    put: (blobs) => inner.put(blobs),
    chunks: (digest) => inner.chunks(digest),
    openRead: (digest) =>
      delayed(async () => {
        const reader = await inner.openRead(digest);
        if (!reader) return undefined;
        const { size } = reader;
        const read = (offset: number, length: number) => delayed(() => reader.read(offset, length));
        return { size, read, stream: (start?: number, end?: number) => reader.stream(start, end) };
      }),
  };
}

function slowDirectories(inner: MemoryDirectoryService): DirectoryService {
  return {
    has: (digests) => inner.has(digests),
    get: (digest) => delayed(() => inner.get(digest)),
    put: (directories) => inner.put(directories),
    getClosure: (root) => inner.getClosure(root),
    putClosure: (directories) => inner.putClosure(directories),
  };
}

/** What the tests want of a mount and of an export. */
interface Service {
  readonly ended: Promise<void>;
  counts(): MountCounts;
  end(): Promise<void>;
}

async function start(job: Job, options: RootOptions & ServingOptions): Promise<Service> {
  if (job.socket !== undefined) {
    const { socket, maxInodes } = job;
    const exported = await exportVirtiofs({ ...options, socket, ...(maxInodes !== undefined && { maxInodes }) });
    return { ended: exported.ended, counts: () => exported.counts(), end: () => exported.close() };
  }
  const passed = job.passthrough && { passthrough: job.passthrough };
  const mount = await mountFuse({ ...options, mountpoint: job.mountpoint ?? "", ...passed });
  return { ended: mount.ended, counts: () => mount.counts(), end: () => mount.unmount() };
}

async function serve(job: Job): Promise<Service> {
  const { listRoot = false } = job;
  const onLog = (log: string) => void process.send?.({ log });
  if (job.store !== undefined) {
    const store = await openStore(job.store, { readOnly: true });
    return await start(job, { store, listRoot, onLog });
  }
  const inner = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() };
  const castore = { blobs: slowBlobs(inner.blobs), directories: slowDirectories(inner.directories) };
  if (job.slowTree !== undefined) {
    const node = await ingestHost(inner, job.slowTree);
    return await start(job, { castore, roots: [{ name: encodeUtf8("tree"), node }], onLog });
  }
  const entries = Array.from({ length: job.wide ?? 0 }, (_, i) => ({
    name: encodeUtf8(`entry-${String(i).padStart(6, "0")}`),
    node: { type: "file" as const, digest: EMPTY_DIGEST, size: 0, executable: i % 2 === 1 },
  }));
  const wide = Directory.of(entries);
  await inner.directories.put([wide]);
  return await start(job, { castore, roots: wide.node(), onLog, uid: 1234, gid: 5678 });
}

try {
  const service = await serve(JSON.parse(process.argv[2] ?? "{}") as Job);
  process.on("message", (message) => {
    if (message === "counts") process.send?.({ counts: service.counts() });
    if (message === "fail") failing = true;
    if (message === "hang") hanging = new Promise((resolve) => (release = resolve));
    if (message === "recover") {
      failing = false;
      release();
    }
    if (message === "fail" || message === "hang" || message === "recover") process.send?.({ done: true });
    if (message === "end") void service.end();
    if (message === "exit") process.exit(0);
  });
  process.send?.({ done: true });
  await service.ended;
  process.exit(0);
} catch (error) {
  const code = error instanceof TvixError ? error.code : String(error);
  process.send?.({ failed: code }, () => process.exit(1));
}
