// Trees in the making: contents go to the castore as they come, small files in bulk, and nodes wait for their digests.
import { latin1ToBytes } from "../../base/text.ts";
import { TvixError } from "../../base/error.ts";
import type { BlobService, BlobWriter } from "../blob/service.ts";
import { type Digest, EMPTY_DIGEST } from "../digest.ts";
import { Directory, type Entry } from "../directory.ts";
import type { Node } from "../node.ts";

/** Files up to this many bytes are put in bulk. */
export const SMALL: number = 1 << 18;
/** Bytes and files of one bulk put. */
const BULK_BYTES = 8 << 20;
const BULK_FILES = 4096;

/** A file whose contents may not all be stored yet. */
export interface PendingFile {
  readonly type: "file";
  readonly executable: boolean;
  readonly size: number;
  digest: Digest | undefined;
}

/** A directory of such. */
export interface PendingDirectory {
  readonly type: "directory";
  /** By name, one char per byte. */
  readonly entries: Map<string, PendingNode>;
}

/** What a tree in the making is made of. */
export type PendingNode = PendingFile | PendingDirectory | { readonly type: "symlink"; readonly target: Uint8Array };

/** The way of files into a castore, one after the other; each is told its digest when it is stored. */
export class PendingContents {
  readonly #blobs: BlobService;
  #small: { readonly bytes: Uint8Array; readonly stored: (digest: Digest) => void }[] = [];
  #smallBytes = 0;
  #open: { file: PendingFile; bytes: Uint8Array | undefined; have: number; writer: BlobWriter | undefined } | undefined;

  constructor(blobs: BlobService) {
    this.#blobs = blobs;
  }

  /** Starts a file, whose bytes {@link write} gives. */
  start(file: PendingFile): void {
    if (file.size === 0) {
      file.digest = EMPTY_DIGEST;
      return;
    }
    const writer = file.size > SMALL ? this.#blobs.openWrite() : undefined;
    this.#open = { file, bytes: writer ? undefined : new Uint8Array(file.size), have: 0, writer };
  }

  /** The next bytes of the file that was started last; no more in all than its size. They may be reused afterwards. */
  async write(bytes: Uint8Array): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    if (open.writer) await open.writer.write(bytes);
    else open.bytes?.set(bytes, open.have);
    open.have += bytes.length;
    if (open.have < open.file.size) return;
    this.#open = undefined;
    if (open.writer) open.file.digest = await open.writer.close();
    else await this.put(open.bytes as Uint8Array, (digest) => (open.file.digest = digest));
  }

  /** Takes a small file as a whole; `stored` is told its digest, by {@link flush} at the latest. */
  async put(bytes: Uint8Array, stored: (digest: Digest) => void): Promise<void> {
    this.#small.push({ bytes, stored });
    this.#smallBytes += bytes.length;
    if (this.#small.length >= BULK_FILES || this.#smallBytes >= BULK_BYTES) await this.flush();
  }

  /** Stores what still waits. */
  async flush(): Promise<void> {
    if (this.#small.length === 0) return;
    const small = this.#small;
    this.#small = [];
    this.#smallBytes = 0;
    const digests = await this.#blobs.put(small.map(({ bytes }) => bytes));
    for (const [i, { stored }] of small.entries()) stored(digests[i] as Digest);
  }

  /** Gives a file being written up. */
  abort(): void {
    this.#open?.writer?.abort();
  }
}

/**
 * Turns a tree whose digests are all known into nodes; its directories go to `out`, leaves first.
 * @throws TvixError `ERR_CASTORE_MISSING` for a file that did not end
 */
export function settle(pending: PendingNode, out: Directory[]): Node {
  if (pending.type === "symlink") return pending;
  if (pending.type === "file") {
    if (pending.digest === undefined) throw new TvixError("ERR_CASTORE_MISSING", "a file of the tree did not end");
    return { ...pending, digest: pending.digest };
  }
  const entries: Entry[] = [];
  for (const [name, node] of pending.entries) entries.push({ name: latin1ToBytes(name), node: settle(node, out) });
  const directory = Directory.of(entries);
  out.push(directory);
  return directory.node();
}
