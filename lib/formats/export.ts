// The export format (`nix-store --export`): store objects one after the other, each an archive and what is known of it.
//
// Per object a 1, its archive as it is, the word NIXE, its path, its references, its deriver and a 0 where signatures
// once were; a final 0. An object comes after those it refers to.

import { TvixError } from "../base/error.ts";
import { NarReader, type NarReaderOptions } from "./nar/reader.ts";
import type { NarEvent } from "./nar/wire.ts";
import { STORE_DIR, StorePath } from "./store-path.ts";
import { WireReader, WireWriter } from "./wire.ts";

const MAGIC = 0x4558494e;

/** What an export says about an object. */
export interface ExportedPath {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
  readonly deriver?: StorePath;
}

/**
 * What is read from an export: per object the pieces of its archive, each with the events that they complete, then the
 * object itself. Only then is its name known, and that the archive is whole.
 */
export type ExportItem =
  | { readonly type: "nar"; readonly bytes: Uint8Array; readonly events: readonly NarEvent[] }
  | ({ readonly type: "path" } & ExportedPath);

/** Options of the functions here. */
export interface ExportOptions extends NarReaderOptions {
  /** Default `/nix/store`. */
  readonly storeDir?: string;
}

/**
 * Reads an export.
 *
 * @throws TvixError `ERR_EXPORT_MARK`, `ERR_EXPORT_MAGIC`, `ERR_EXPORT_SIGNATURE`, `ERR_EXPORT_TRAILING_BYTES`, and
 *   those of archives (`ERR_NAR_…`), fields (`ERR_WIRE_…`) and store paths (`ERR_STORE_PATH_…`)
 */
export async function* readExport(
  source: AsyncIterable<Uint8Array>,
  options: ExportOptions = {},
): AsyncGenerator<ExportItem, void, undefined> {
  const { storeDir = STORE_DIR } = options;
  const reader = new WireReader(source);
  try {
    while (await readMark(reader)) {
      yield* readArchive(reader, options);
      yield { type: "path", ...(await readTrailer(reader, storeDir)) };
    }
    if (!(await reader.atEnd())) {
      throw new TvixError("ERR_EXPORT_TRAILING_BYTES", `bytes follow the export's end (at byte ${reader.offset})`);
    }
  } finally {
    await reader.close();
  }
}

async function readMark(reader: WireReader): Promise<boolean> {
  const mark = await reader.u64OrInfinity();
  if (mark > 1) {
    throw new TvixError("ERR_EXPORT_MARK", `expected 0 or 1, found ${mark} (before byte ${reader.offset})`, {
      notes: ["this does not look like something created by 'nix-store --export'"],
    });
  }
  return mark === 1;
}

/** Reads an archive off a longer stream, which goes on behind it. Pieces come with the events that they complete. */
export async function* readArchive(
  reader: WireReader,
  options: NarReaderOptions = {},
): AsyncGenerator<ExportItem & { readonly type: "nar" }, void, undefined> {
  const events: NarEvent[] = [];
  const nar = new NarReader((event) => events.push(event), options);
  while (!nar.done) {
    const piece = await reader.some();
    if (piece === undefined) nar.end();
    else {
      const taken = nar.take(piece);
      reader.unread(piece.subarray(taken));
      yield { type: "nar", bytes: piece.subarray(0, taken), events: events.splice(0) };
    }
  }
}

async function readTrailer(reader: WireReader, storeDir: string): Promise<ExportedPath> {
  const magic = await reader.u64OrInfinity();
  if (magic !== MAGIC) {
    throw new TvixError("ERR_EXPORT_MAGIC", `the word NIXE is missing after an archive (before byte ${reader.offset})`);
  }
  const path = StorePath.parseAbsolute(await reader.string(), storeDir);
  const references = (await reader.strings()).map((reference) => StorePath.parseAbsolute(reference, storeDir));
  const deriver = await reader.string();
  if ((await reader.u64OrInfinity()) !== 0) {
    throw new TvixError("ERR_EXPORT_SIGNATURE", `${path.basename} carries a signature of a form no longer in use`);
  }
  return deriver === ""
    ? { path, references }
    : { path, references, deriver: StorePath.parseAbsolute(deriver, storeDir) };
}

/** An object to be exported: `nar` is all of its archive. */
export interface ExportInput extends ExportedPath {
  readonly nar: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Writes an export of objects that come in order, each after those it refers to. */
export async function* writeExport(
  objects: AsyncIterable<ExportInput> | Iterable<ExportInput>,
  storeDir: string = STORE_DIR,
): AsyncGenerator<Uint8Array, void, undefined> {
  const writer = new WireWriter();
  for await (const { nar, path, references, deriver } of objects) {
    yield writer.u64(1).take();
    yield* nar;
    writer.u64(MAGIC).string(path.absolute(storeDir));
    writer.strings(references.map((reference) => reference.absolute(storeDir)).sort());
    yield writer
      .string(deriver?.absolute(storeDir) ?? "")
      .u64(0)
      .take();
  }
  yield writer.u64(0).take();
}
