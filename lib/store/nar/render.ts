// NARs of trees in a castore: streamed whole, in ranges, to a descriptor, or only hashed.
import { type DigestAlgo, startDigest } from "../../formats/digest.ts";
import { layoutNar, type NarLayout, sliceLayout } from "../../formats/nar/layout.ts";
import type { NarEntry as TreeEntry, NarNode } from "../../formats/nar/tree.ts";
import { NarWriter } from "../../formats/nar/writer.ts";
import { openBlob } from "../../castore/blob/range.ts";
import { type Digest, EMPTY_DIGEST } from "../../castore/digest.ts";
import { TreeDirectories } from "../../castore/directory/closure.ts";
import { planTree } from "../../castore/local/plan.ts";
import { LocalStore } from "../../castore/local/store.ts";
import type { Node } from "../../castore/node.ts";
import type { Castore } from "../../castore/tree.ts";
import { walkTree } from "../../castore/tree.ts";
import { NarRender } from "../../native/nar.ts";

const PIECE = 1 << 20;

/** A NAR about to be streamed: its size is known before its first byte. */
export interface NarSource {
  /** Bytes of the NAR. */
  readonly size: number;
  /**
   * The NAR, once. Contents are verified before they leave. Closes it. Pieces are the caller's own, or, with `recycle`,
   * as they are until two further ones have been asked for: a gigabyte of fresh arrays is work for the collector.
   */
  stream(recycle?: boolean): AsyncGenerator<Uint8Array, void, void>;
  /** For a NAR that is not streamed after all. Idempotent. */
  close(): void;
}

/** Lays out the NAR of a tree; no contents are read. @throws TvixError `ERR_CASTORE_MISSING` */
export async function openNar(castore: Castore, root: Node): Promise<NarSource> {
  if (castore instanceof LocalStore) return openLocal(castore, root);
  const nar = await SeekableNar.open(castore, root);
  return { size: nar.size, stream: () => nar.stream(), close: () => {} };
}

function openLocal(castore: LocalStore, root: Node): NarSource {
  const plan = planTree(castore, root);
  const render = new NarRender(plan);
  const close = () => {
    render.close();
    plan.close();
  };
  const stream = async function* (recycle = false) {
    try {
      yield* recycle ? recycled(render) : render.chunks(pieceOf(render));
    } finally {
      close();
    }
  };
  return { size: render.size, stream, close };
}

/** Most NARs are small, and need no piece of full length. */
function pieceOf({ size }: NarRender): number {
  return Math.min(PIECE, size);
}

async function* recycled(render: NarRender): AsyncGenerator<Uint8Array, void, void> {
  const length = pieceOf(render);
  const buffers = [new Uint8Array(length), new Uint8Array(render.size > length ? length : 0)];
  for (let i = 0, left = render.size; left > 0; i ^= 1) {
    const into = buffers[i] as Uint8Array;
    const filled = await render.next(into);
    left -= filled;
    if (filled > 0) yield into.subarray(0, filled);
    if (filled < into.length) return;
  }
}

/** The NAR of a tree, in pieces that are the caller's own. Contents are verified before they leave. */
export async function* narStream(castore: Castore, root: Node): AsyncGenerator<Uint8Array, void, void> {
  yield* castore instanceof LocalStore ? openLocal(castore, root).stream() : writeStream(castore, root);
}

/** Writes the NAR of a tree to a file descriptor. */
export async function narToFile(castore: LocalStore, root: Node, fd: number): Promise<void> {
  const plan = planTree(castore, root);
  const render = new NarRender(plan);
  try {
    await render.toFile(fd);
  } finally {
    render.close();
    plan.close();
  }
}

/** Renders over any pair of services. */
async function* writeStream(castore: Castore, root: Node): AsyncGenerator<Uint8Array, void, void> {
  let ready: Uint8Array[] = [];
  const writer = new NarWriter((bytes) => ready.push(bytes));
  let depth = 0;
  for await (const { path, node } of walkTree(castore, root)) {
    for (; depth > path.length; depth--) writer.write({ type: "end" });
    const name = path.at(-1);
    if (node.type === "directory") {
      writer.write({ type: "directory", name });
      depth++;
    } else if (node.type === "symlink") writer.write({ type: "symlink", name, target: node.target });
    else {
      writer.write({ type: "regular", name, executable: node.executable, size: node.size });
      const reader = await openBlob(castore.blobs, node.digest);
      for await (const bytes of reader.stream()) {
        writer.write({ type: "contents", bytes });
        yield* ready;
        ready = [];
      }
    }
    yield* ready;
    ready = [];
  }
  for (; depth > 0; depth--) writer.write({ type: "end" });
  writer.end();
  yield* ready;
}

/** Hash and size of a NAR. */
export interface NarDigest {
  readonly digest: Uint8Array;
  readonly size: number;
}

/** Hash and size of the NAR of a tree. */
export async function narDigest(castore: Castore, root: Node, algo: DigestAlgo = "sha256"): Promise<NarDigest> {
  const state = startDigest(algo);
  let size = 0;
  const pieces = castore instanceof LocalStore ? openLocal(castore, root).stream(true) : narStream(castore, root);
  for await (const piece of pieces) {
    state.update(piece);
    size += piece.length;
  }
  return { digest: state.finish(), size };
}

/** A NAR that can be read from any position: made once, then a range costs what it covers. */
export class SeekableNar {
  readonly #castore: Castore;
  readonly #layout: NarLayout<Digest>;

  private constructor(castore: Castore, layout: NarLayout<Digest>) {
    this.#castore = castore;
    this.#layout = layout;
  }

  /** Lays out the NAR of a tree; no contents are read. */
  static async open(castore: Castore, root: Node): Promise<SeekableNar> {
    return new SeekableNar(castore, layoutNar(await loadTree(castore, root)));
  }

  /** Bytes of the NAR. */
  get size(): number {
    return this.#layout.size;
  }

  /** Bytes `start` to `end` (exclusive). @throws TvixError `ERR_NAR_RANGE` */
  async *stream(start = 0, end: number = this.size): AsyncGenerator<Uint8Array, void, void> {
    for (const { segment, from, to } of sliceLayout(this.#layout, start, end)) {
      if (segment.literal) yield segment.literal.slice(from, to);
      else yield* (await openBlob(this.#castore.blobs, segment.contents)).stream(from, to);
    }
  }
}

/** A tree with digests for contents. */
export async function loadTree(castore: Castore, root: Node): Promise<NarNode<Digest>> {
  const directories = new TreeDirectories(castore.directories, root.type === "directory" ? root.digest : EMPTY_DIGEST);
  const load = async (node: Node): Promise<NarNode<Digest>> => {
    if (node.type === "symlink") return { type: "symlink", target: node.target };
    if (node.type === "file") {
      return { type: "regular", executable: node.executable, size: node.size, contents: node.digest };
    }
    const entries: TreeEntry<Digest>[] = [];
    for (const entry of (await directories.open(node.digest)).entries) {
      entries.push({ name: entry.name, node: await load(entry.node) });
    }
    return { type: "directory", entries };
  };
  return await load(root);
}
