// Exports: a store or trees offered to virtual machines, which mount them by virtiofs.
//
// The device is native (native/fuse/vhost_user.h); what the guest touches is found as for a mount. Nothing is mounted on
// the host, so neither /dev/fuse nor any right is needed.
import { dirname, join, basename } from "node:path";
import { realpath } from "node:fs/promises";
import { TvixError } from "../base/error.ts";
import { guarded } from "../native/failure.ts";
import type { MountCounts, NativeMount } from "../native/fuse.ts";
import type { RootOptions } from "./root.ts";
import { keepUp, prepareServing, type ServingOptions } from "./serving.ts";

const MAX_INODES = 1 << 20;

/** Options of {@link exportVirtiofs}. */
export type ExportOptions = RootOptions &
  ServingOptions & {
    /** Path of the socket to make. One that a dead process left is replaced. */
    readonly socket: string;
    /**
     * How many inodes the guest may hold at a time: files, directories and symlinks that it has looked up and not
     * forgotten. Each takes some hundreds of bytes here. Beyond that a look-up fails with ENFILE. Default: 1 048 576.
     */
    readonly maxInodes?: number;
  };

/** An export of this process. The process stays alive while it is there. */
export class VirtiofsExport {
  /** The socket's path, absolute. */
  readonly socket: string;
  /** Resolves when the export has been closed. */
  readonly ended: Promise<void>;
  readonly #native: NativeMount;

  /** For {@link exportVirtiofs}. */
  constructor(socket: string, native: NativeMount, ended: Promise<void>) {
    this.socket = socket;
    this.#native = native;
    this.ended = ended;
  }

  /** Figures: how many requests there were, and how few of them needed JavaScript. */
  counts(): MountCounts {
    return this.#native.counts();
  }

  /** Disconnects the guest, whose requests fail from then on, and removes the socket. Idempotent. */
  async close(): Promise<void> {
    await this.#native.stop();
    await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Offers a store or trees as a vhost-user-fs device. One front-end (QEMU, cloud-hypervisor, crosvm) at a time may
 * connect to the socket, and again after it has gone. Read-only; the guest is not trusted with anything.
 * @throws TvixError `ERR_MOUNT_NATIVE` (no libfuse3, or not built), `ERR_MOUNT_SOCKET` (the socket cannot be made),
 *   `ERR_MOUNT_BUSY` (another process serves it), `ERR_MOUNT_ROOT` (the root is not a directory)
 */
export async function exportVirtiofs(options: ExportOptions): Promise<VirtiofsExport> {
  const serving = prepareServing(options, { maxInodes: Math.max(1, options.maxInodes ?? MAX_INODES) });
  const socket = await realSocket(options.socket);
  guarded(() => serving.native.listen(Buffer.from(socket)));
  keepUp(serving, options);
  return new VirtiofsExport(socket, serving.native, serving.ended);
}

async function realSocket(path: string): Promise<string> {
  const parent = await realpath(dirname(path)).catch((cause: NodeJS.ErrnoException) => {
    throw new TvixError("ERR_MOUNT_SOCKET", `no socket can be made at ${path}: ${cause.code}`, { cause });
  });
  return join(parent, basename(path));
}
