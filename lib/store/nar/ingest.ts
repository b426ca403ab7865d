// NARs into a castore: streamed, strictly checked, stored and hashed in one pass.
import { bytesToLatin1, encodeUtf8 } from "../../base/text.ts";
import { startDigest } from "../../formats/digest.ts";
import { readNar } from "../../formats/nar/reader.ts";
import type { NarEvent } from "../../formats/nar/wire.ts";
import type { StorePath } from "../../formats/store-path.ts";
import type { Directory } from "../../castore/directory.ts";
import { ingestPushed } from "../../castore/ingest/local.ts";
import {
  PendingContents,
  type PendingDirectory,
  type PendingFile,
  type PendingNode,
  settle,
} from "../../castore/ingest/pending.ts";
import { LocalStore } from "../../castore/local/store.ts";
import type { Node } from "../../castore/node.ts";
import type { OperationOptions } from "../../castore/progress.ts";
import type { Castore } from "../../castore/tree.ts";
import { PushIngestion } from "../../native/ingest.ts";
import { sortedPaths } from "../path-info.ts";
import { ReferenceScanner } from "../references.ts";

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
  readonly #open: { name: Uint8Array | undefined; directory: PendingDirectory }[] = [];
  readonly #contents: PendingContents;
  #root: PendingNode | undefined;

  constructor(castore: Castore, options: IngestNarOptions) {
    this.#castore = castore;
    this.#options = options;
    this.#scanner = new ReferenceScanner(options.candidates ?? []);
    this.#contents = new PendingContents(castore.blobs);
  }

  async run(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<IngestedNar> {
    try {
      for await (const event of readNar(this.#observed(source))) await this.#take(event);
    } finally {
      this.#contents.abort();
    }
    await this.#contents.flush();
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
    if (event.type === "contents") await this.#contents.write(event.bytes);
    else if (event.type === "end") {
      const ended = this.#open.pop();
      if (ended) this.#add(ended.name, ended.directory);
    } else if (event.type === "directory") {
      this.#open.push({ name: event.name, directory: { type: "directory", entries: new Map() } });
    } else if (event.type === "symlink") this.#add(event.name, { type: "symlink", target: event.target });
    else {
      const file: PendingFile = { type: "file", executable: event.executable, size: event.size, digest: undefined };
      this.#add(event.name, file);
      this.#contents.start(file);
    }
  }

  #add(name: Uint8Array | undefined, node: PendingNode): void {
    const parent = this.#open.at(-1);
    if (name === undefined || parent === undefined) this.#root = node;
    else parent.directory.entries.set(bytesToLatin1(name), node);
  }
}
