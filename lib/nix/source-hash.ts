// Sources where they lie: their NARs and hashes, read through EvalIO and never held as a whole.

import { latin1ToBytes } from "../base/text.ts";
import type { EvalIO, FileType } from "../eval/io.ts";
import { EvalError } from "../eval/error.ts";
import { type DigestAlgo, startDigest } from "../formats/digest.ts";
import { NarWriter } from "../formats/nar/writer.ts";

/** Decides which entries of a tree are taken; the root is always taken. */
export type SourceFilter = (path: string, type: FileType) => boolean;

/** The digest of the NAR of what is at `path`, symlinks kept. */
export function hashTree(io: EvalIO, path: string, algo: DigestAlgo = "sha256", filter?: SourceFilter): Uint8Array {
  const digest = startDigest(algo);
  const writer = new NarWriter((bytes) => {
    digest.update(bytes);
  });
  const steps = writeNode(io, path, undefined, writer, filter);
  while (steps.next().done !== true);
  writer.end();
  return digest.finish();
}

/** The NAR of what is at `path`, symlinks kept, in pieces: no more than a file of it is in memory. */
export function* narOfTree(io: EvalIO, path: string, filter?: SourceFilter): Generator<Uint8Array, void, void> {
  let ready: Uint8Array[] = [];
  const writer = new NarWriter((bytes) => {
    ready.push(bytes);
  });
  for (const _ of writeNode(io, path, undefined, writer, filter)) {
    yield* ready;
    ready = [];
  }
  writer.end();
  yield* ready;
}

/** Yields after each entry written. */
function* writeNode(
  io: EvalIO,
  path: string,
  name: Uint8Array | undefined,
  writer: NarWriter,
  filter: SourceFilter | undefined,
): Generator<void, void, void> {
  const type = io.fileType(path);
  switch (type) {
    case "regular": {
      const bytes = latin1ToBytes(io.readFile(path));
      writer.write({ type: "regular", name, executable: io.isExecutable(path), size: bytes.length });
      if (bytes.length > 0) writer.write({ type: "contents", bytes });
      yield;
      return;
    }
    case "symlink":
      writer.write({ type: "symlink", name, target: latin1ToBytes(io.readLink(path)) });
      yield;
      return;
    case "directory": {
      writer.write({ type: "directory", name });
      const names = io.readDirectory(path).map(([name]) => name);
      for (const child of names.sort()) {
        const entry = `${path === "/" ? "" : path}/${child}`;
        if (filter !== undefined && !filter(entry, io.fileType(entry) ?? "unknown")) continue;
        yield* writeNode(io, entry, latin1ToBytes(child), writer, filter);
      }
      writer.write({ type: "end" });
      yield;
      return;
    }
    case undefined:
      throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
    default:
      throw new EvalError("ERR_EVAL_IO", `file '${path}' has an unsupported type`, {
        notes: ["only regular files, directories and symlinks can be copied to the store"],
      });
  }
}

/** The digest of a regular file's contents. */
export function hashFlat(io: EvalIO, path: string, algo: DigestAlgo = "sha256"): Uint8Array {
  const digest = startDigest(algo);
  digest.update(latin1ToBytes(io.readFile(path)));
  return digest.finish();
}
