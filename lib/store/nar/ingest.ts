// NARs into a castore: streamed, strictly checked, stored and hashed in one pass.
import { TvixError } from "../../base/error.ts";
import { encodeUtf8 } from "../../base/text.ts";
import { startDigest } from "../../formats/digest.ts";
import { readNar } from "../../formats/nar/reader.ts";
import type { NarEvent } from "../../formats/nar/wire.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { BlobWriter } from "../../castore/blob/service.ts";
import type { Digest } from "../../castore/digest.ts";
import { Directory, type Entry } from "../../castore/directory.ts";
import { ingestPushed } from "../../castore/ingest/local.ts";
import { LocalStore } from "../../castore/local/store.ts";
import type { Node } from "../../castore/node.ts";
import type { OperationOptions } from "../../castore/progress.ts";
import type { Castore } from "../../castore/tree.ts";
import { PushIngestion } from "../../native/ingest.ts";
import { sortedPaths } from "../path-info.ts";
import { ReferenceScanner } from "../references.ts";

/** Files up to this many bytes wait for a bulk put. */
const SMALL = 1 << 18;
const BULK_BYTES = 8 << 20;
const BULK_FILES = 4096;

/** What came of a NAR. */
export interface IngestedNar {
  readonly root: Node;
  readonly narSha256: Uint8Array;
  readonly narSize: number;
  /** Those of the candidates whose hash parts occur in it, sorted. */
  readonly references: readonly StorePath[];
}

/** Options of {@link ingestNar}. */
export interface IngestNarOptions extends OperationOptions {
  /** Store paths to look for. Default: none. */
  readonly candidates?: readonly StorePath[];
  /**
   * Called once everything is known and before the tree can be reached: what it throws refuses the NAR. In a local
   * store it runs inside the transaction that makes the tree visible, and may write further entries into it.
   */
  readonly change?: (found: IngestedNar) => void;
}

/**
 * Stores the tree of a NAR.
 * @throws TvixError `ERR_NAR_…` for a violation of the format; nothing of it is reachable then.
 */
export async function ingestNar(
  castore: Castore,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: IngestNarOptions = {},
): Promise<IngestedNar> {
  if (!(castore instanceof LocalStore)) return await new NarIngestion(castore, options).run(source);
  const candidates = options.candidates ?? [];
  const ingestion = PushIngestion.nar({ needles: candidates.map((path) => encodeUtf8(path.hash)) });
  let result: IngestedNar | undefined;
  await ingestPushed(castore, ingestion, source, options, (summary) => {
    result = {
      root: summary.root,
      narSha256: summary.narHash as Uint8Array,
      narSize: summary.narSize,
      references: sortedPaths(candidates.filter((_, i) => summary.found[i])),
    };
    options.change?.(result);
  });
  return result as IngestedNar;
}

/** Ingestion over any pair of services. */
class NarIngestion {
  readonly #castore: Castore;
  readonly #options: IngestNarOptions;
  readonly #hash = startDigest("sha256");
  readonly #scanner: ReferenceScanner;
  #size = 0;
  /** Open directories: their entries so far. Files in them may still wait for their digest. */
  readonly #open: { name: Uint8Array | undefined; entries: PendingEntry[] }[] = [];
  #root: PendingNode | undefined;
  #small: { bytes: Uint8Array; file: PendingFile }[] = [];
  #smallBytes = 0;
  #file: { pending: PendingFile; parts: Uint8Array[]; left: number; writer: BlobWriter | undefined } | undefined;

  constructor(castore: Castore, options: IngestNarOptions) {
    this.#castore = castore;
    this.#options = options;
    this.#scanner = new ReferenceScanner(options.candidates ?? []);
  }

  async run(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<IngestedNar> {
    try {
      for await (const event of readNar(this.#observed(source))) await this.#take(event);
    } finally {
      this.#file?.writer?.abort();
    }
    await this.#flush();
    const directories: Directory[] = [];
    const root = settle(this.#root as PendingNode, directories);
    const result = {
      root,
      narSha256: this.#hash.finish(),
      narSize: this.#size,
      references: this.#scanner.found,
    };
    this.#options.change?.(result);
    if (root.type === "directory") await this.#castore.directories.putClosure(directories);
    return result;
  }

  async *#observed(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.#options.signal?.throwIfAborted();
      this.#hash.update(piece);
      this.#scanner.push(piece);
      this.#size += piece.length;
      yield piece;
    }
  }

  async #take(event: NarEvent): Promise<void> {
    if (event.type === "contents") await this.#contents(event.bytes);
    else if (event.type === "end") {
      const { name, entries } = this.#open.pop() ?? { name: undefined, entries: [] };
      this.#add(name, { type: "directory", entries });
    } else if (event.type === "directory") this.#open.push({ name: event.name, entries: [] });
    else if (event.type === "symlink") this.#add(event.name, { type: "symlink", target: event.target });
    else {
      const pending: PendingFile = { type: "file", executable: event.executable, size: event.size, digest: undefined };
      this.#add(event.name, pending);
      const writer = event.size > SMALL ? this.#castore.blobs.openWrite() : undefined;
      this.#file = { pending, parts: [], left: event.size, writer };
      if (event.size === 0) await this.#endFile();
    }
  }

  async #contents(bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    if (!file) return;
    if (file.writer) await file.writer.write(bytes);
    else file.parts.push(bytes.slice());
    file.left -= bytes.length;
    if (file.left === 0) await this.#endFile();
  }

  async #endFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (!file) return;
    if (file.writer) {
      file.pending.digest = await file.writer.close();
      return;
    }
    const bytes = file.parts.length === 1 && file.parts[0] ? file.parts[0] : Buffer.concat(file.parts);
    this.#small.push({ bytes, file: file.pending });
    this.#smallBytes += bytes.length;
    if (this.#small.length >= BULK_FILES || this.#smallBytes >= BULK_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const digests = await this.#castore.blobs.put(this.#small.map((one) => one.bytes));
    for (const [i, { file }] of this.#small.entries()) file.digest = digests[i];
    this.#small = [];
    this.#smallBytes = 0;
  }

  #add(name: Uint8Array | undefined, node: PendingNode): void {
    const parent = this.#open.at(-1);
    if (name === undefined || parent === undefined) this.#root = node;
    else parent.entries.push({ name, node });
  }
}

interface PendingFile {
  readonly type: "file";
  readonly executable: boolean;
  readonly size: number;
  digest: Digest | undefined;
}

interface PendingEntry {
  readonly name: Uint8Array;
  readonly node: PendingNode;
}

type PendingNode =
  | PendingFile
  | { readonly type: "symlink"; readonly target: Uint8Array }
  | { readonly type: "directory"; readonly entries: readonly PendingEntry[] };

/** Turns a tree whose digests are all known into nodes; its directories go to `out`, leaves first. */
function settle(pending: PendingNode, out: Directory[]): Node {
  if (pending.type === "symlink") return pending;
  if (pending.type === "file") {
    if (pending.digest === undefined) throw new TvixError("ERR_NAR_TRUNCATED", "the NAR ends within a file");
    return { type: "file", digest: pending.digest, size: pending.size, executable: pending.executable };
  }
  const entries: Entry[] = [];
  for (const { name, node } of pending.entries) entries.push({ name, node: settle(node, out) });
  const directory = Directory.of(entries);
  out.push(directory);
  return directory.node();
}
