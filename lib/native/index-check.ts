// Checking the file of a store's index page by page, natively, before LMDB trusts it.
import { join } from "node:path";
import { core } from "./load.ts";
import { guarded, pathBytes, settled } from "./failure.ts";

type Question = [path: Uint8Array, names: readonly string[], keyLengths: Uint32Array, strict: boolean];

interface IndexAddon {
  checkIndex(...question: Question): Promise<string[]>;
  checkIndexSync(...question: Question): string[];
}

const addon = (): IndexAddon => core() as unknown as IndexAddon;

/** The tables an index may have, with the lengths of their keys in bytes; 0 for keys of any length. */
export type IndexTables = Readonly<Record<string, number>>;

/**
 * Walks all pages of the index in `directory`: nothing wrong, or what, in words, one for each thing found. A missing
 * index is nothing wrong; one that other processes write to all the while is not judged. About 1 ms for 5 MB.
 * @param strict whether a table that `tables` does not name counts as damage
 * @throws TvixError `ERR_STORE_IO` when it cannot be read
 */
export async function checkIndex(directory: string, tables: IndexTables, strict: boolean): Promise<string[]> {
  return settled(addon().checkIndex(...question(directory, tables, strict)));
}

/** {@link checkIndex} in the call itself, for those who cannot wait. */
export function checkIndexSync(directory: string, tables: IndexTables, strict: boolean): string[] {
  return guarded(() => addon().checkIndexSync(...question(directory, tables, strict)));
}

function question(directory: string, tables: IndexTables, strict: boolean): Question {
  const path = pathBytes(join(directory, "index.lmdb", "data.mdb"));
  return [path, Object.keys(tables), Uint32Array.from(Object.values(tables)), strict];
}
