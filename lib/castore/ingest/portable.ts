// Ingestion into any pair of services: of host trees, and of trees written down in the program.
import { type FileHandle, open } from "node:fs/promises";
import { TvixError } from "../../base/error.ts";
import { encodeUtf8 } from "../../base/text.ts";
import {
  DIRECTORY,
  entryName,
  entryTarget,
  EXECUTABLE,
  SYMLINK,
  type TreeListing,
  walkTree as walkHost,
} from "../../native/tree.ts";
import type { BlobWriter } from "../blob/service.ts";
import { asDigest, type Digest, DIGEST_LENGTH } from "../digest.ts";
import { Directory, type Entry } from "../directory.ts";
import type { Node } from "../node.ts";
import type { OperationOptions } from "../progress.ts";
import { type Castore, hostPath } from "../tree.ts";
import { buildTree } from "./build.ts";
import { PendingContents, SMALL } from "./pending.ts";

/** Bytes of a large file read at once. */
const PIECE = 1 << 20;

/** A tree as it goes by, in NAR order: the events of its archive. The root has no name. */
export type TreeEvent =
  | { readonly type: "directory"; readonly name: Uint8Array | undefined }
  | { readonly type: "end" }
  | {
      readonly type: "regular";
      readonly name: Uint8Array | undefined;
      readonly executable: boolean;
      readonly size: number;
    }
  | { readonly type: "contents"; readonly bytes: Uint8Array }
  | { readonly type: "symlink"; readonly name: Uint8Array | undefined; readonly target: Uint8Array };

/** Options of {@link ingestHost}. */
export interface IngestHostOptions extends OperationOptions {
  /**
   * Told of the tree with the very bytes that are stored: who wants to hash it need not read it back. Contents stay as
   * they are during the call only.
   */
  readonly onEvent?: (event: TreeEvent) => void;
}

/**
 * Stores a host tree (a directory, a regular file or a symlink, which is not followed) and returns its root.
 * @throws TvixError `ERR_TREE_…` naming the path: missing, unreadable, a socket or device, changed while it was read.
 */
export async function ingestHost(castore: Castore, path: string, options: IngestHostOptions = {}): Promise<Node> {
  const listing = await walkHost(path);
  const told = new Telling(listing, options.onEvent ?? (() => {}));
  const digests = new Uint8Array(listing.kinds.length * DIGEST_LENGTH);
  const paths = pathsOf(listing);
  const contents = new PendingContents(castore.blobs);
  let done = 0;
  let bytes = 0;
  for (const [i, kind] of listing.kinds.entries()) {
    told.entry(i);
    if (kind === DIRECTORY || kind === SYMLINK) continue;
    options.signal?.throwIfAborted();
    const file = hostPath(path, paths[i] ?? []);
    const size = listing.sizes[i] as number;
    const stored = (digest: Digest) => digests.set(digest, i * DIGEST_LENGTH);
    if (size > SMALL) stored(await ingestFile(castore, file, size, told));
    else {
      const small = await readSmall(file, size);
      told.contents(small);
      await contents.put(small, stored);
    }
    bytes += size;
    if (++done % 256 === 0 || size > SMALL) options.onProgress?.({ phase: "import", done, bytes });
  }
  await contents.flush();
  told.end();
  options.onProgress?.({ phase: "import", done, bytes });
  const { root, directories } = buildTree(listing, digests);
  await putDirectories(
    castore,
    directories.map((directory) => Directory.decode(directory.bytes)),
  );
  return root;
}

/** A listing as events: says where directories end. */
class Telling {
  readonly #listing: TreeListing;
  readonly #tell: (event: TreeEvent) => void;
  /** Directories that have begun and not ended. */
  readonly #open: number[] = [];

  constructor(listing: TreeListing, tell: (event: TreeEvent) => void) {
    this.#listing = listing;
    this.#tell = tell;
  }

  entry(i: number): void {
    const { kinds, sizes, parents } = this.#listing;
    this.#endUntil(parents[i]);
    const name = i === 0 ? undefined : entryName(this.#listing, i);
    const kind = kinds[i];
    if (kind === SYMLINK) this.#tell({ type: "symlink", name, target: entryTarget(this.#listing, i) });
    else if (kind === DIRECTORY) {
      this.#tell({ type: "directory", name });
      this.#open.push(i);
    } else this.#tell({ type: "regular", name, executable: kind === EXECUTABLE, size: sizes[i] as number });
  }

  contents(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#tell({ type: "contents", bytes });
  }

  end(): void {
    this.#endUntil(undefined);
  }

  #endUntil(directory: number | undefined): void {
    while (this.#open.length > 0 && this.#open.at(-1) !== directory) {
      this.#open.pop();
      this.#tell({ type: "end" });
    }
  }
}

function pathsOf(listing: TreeListing): Uint8Array[][] {
  const paths: Uint8Array[][] = [[]];
  for (let i = 1; i < listing.kinds.length; i++) {
    paths.push([...(paths[listing.parents[i] as number] as Uint8Array[]), entryName(listing, i)]);
  }
  return paths;
}

async function readSmall(file: Buffer, size: number): Promise<Uint8Array> {
  const handle = await open(file, "r");
  try {
    const bytes = new Uint8Array(await handle.readFile());
    if (bytes.length !== size) throw changed(file);
    return bytes;
  } finally {
    await handle.close();
  }
}

async function ingestFile(castore: Castore, file: Buffer, size: number, told: Telling): Promise<Digest> {
  const handle = await open(file, "r");
  try {
    const writer = castore.blobs.openWrite();
    try {
      if ((await copyAll(handle, size, writer, told)) !== size) throw changed(file);
      return await writer.close();
    } finally {
      writer.abort();
    }
  } finally {
    await handle.close();
  }
}

/** Writes and tells all of a file; how many bytes there were, or that there are more than `size`. */
async function copyAll(handle: FileHandle, size: number, writer: BlobWriter, told: Telling): Promise<number> {
  const piece = new Uint8Array(PIECE);
  for (let total = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, PIECE);
    total += bytesRead;
    if (bytesRead === 0 || total > size) return total;
    const bytes = piece.subarray(0, bytesRead);
    told.contents(bytes);
    await writer.write(bytes);
  }
}

function changed(file: Buffer): TvixError {
  return new TvixError("ERR_TREE_CHANGED", `${file.toString()} changed while it was read`, {
    notes: ["nothing of it was kept; import it again when nobody writes to it"],
  });
}

/**
 * A tree in the program: text (UTF-8) or bytes are a file, an object with `contents` a file, one with `target` a
 * symlink, one with `entries` a directory. The names of entries are text.
 */
export type TreeSource =
  | string
  | Uint8Array
  | { readonly contents: string | Uint8Array; readonly executable?: boolean }
  | { readonly target: string }
  | { readonly entries: Readonly<Record<string, TreeSource>> };

/** Stores a tree given as objects and returns its root. */
export async function ingestTree(castore: Castore, source: TreeSource): Promise<Node> {
  const directories: Directory[] = [];
  const contents: Uint8Array[] = [];
  const collect = (at: TreeSource): void => {
    const bytes = contentsOf(at);
    if (bytes) contents.push(bytes);
    else if (typeof at === "object" && "entries" in at) for (const child of Object.values(at.entries)) collect(child);
  };
  collect(source);
  const digests = (await castore.blobs.put(contents)).values();
  const build = (at: TreeSource): Node => {
    const bytes = contentsOf(at);
    if (bytes) {
      const executable = typeof at === "object" && "contents" in at && at.executable === true;
      return { type: "file", digest: asDigest(digests.next().value as Digest), size: bytes.length, executable };
    }
    if (typeof at === "object" && "target" in at) return { type: "symlink", target: encodeUtf8(at.target) };
    const children = (at as { entries: Record<string, TreeSource> }).entries;
    const entries: Entry[] = [];
    for (const [name, child] of Object.entries(children)) entries.push({ name: encodeUtf8(name), node: build(child) });
    const directory = Directory.of(entries);
    directories.push(directory);
    return directory.node();
  };
  const root = build(source);
  await putDirectories(castore, directories);
  return root;
}

/** As a closure, which is the unit that object stores keep. There is none when the root is no directory. */
async function putDirectories(castore: Castore, leavesFirst: readonly Directory[]): Promise<void> {
  if (leavesFirst.length > 0) await castore.directories.putClosure(leavesFirst);
}

function contentsOf(source: TreeSource): Uint8Array | undefined {
  if (typeof source === "string") return encodeUtf8(source);
  if (source instanceof Uint8Array) return source;
  if (!("contents" in source)) return undefined;
  return typeof source.contents === "string" ? encodeUtf8(source.contents) : source.contents;
}
