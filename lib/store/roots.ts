// Roots: names for store paths that a collection keeps, with everything they refer to.
import { decodeUtf8, encodeUtf8 } from "../base/text.ts";
import { TvixError } from "../base/error.ts";
import { indexDamage, type Table } from "../castore/local/index.ts";
import { StorePath } from "../formats/store-path.ts";
import type { LocalParts, Store } from "./store.ts";

/** A root: table `roots`, name to store path. */
export interface Root {
  readonly name: string;
  readonly path: StorePath;
}

/** Longest name of a root, in bytes of UTF-8. */
const MAX_NAME = 400;

/** Checks the name of a root: 1 to 400 bytes without control characters. @throws TvixError `ERR_STORE_ROOT_NAME` */
export function rootName(name: string): Uint8Array {
  const bytes = encodeUtf8(name);
  if (bytes.length > 0 && bytes.length <= MAX_NAME && !/[\u0000-\u001f\u007f]/.test(name)) return bytes;
  throw new TvixError("ERR_STORE_ROOT_NAME", `${JSON.stringify(name.slice(0, 80))} cannot name a root`, {
    notes: [`a name has 1 to ${MAX_NAME} bytes and no control characters`],
  });
}

function table(local: LocalParts): Table {
  return local.castore.index.table("roots");
}

/** Inside a transaction: makes or replaces a root. */
export function putRootSync(local: LocalParts, name: string, path: StorePath): void {
  table(local).putSealed(rootName(name), encodeUtf8(path.basename));
}

/** All roots, in order of name. */
export function listRootsSync(local: LocalParts): Root[] {
  const roots = table(local);
  return Array.from(roots.entries(), ({ key, value }) => {
    const path = decodeUtf8(roots.unseal(key, value));
    const name = decodeUtf8(key);
    if (path === undefined || name === undefined) throw indexDamage(local.castore.directory, 'an entry of "roots"');
    return { name, path: StorePath.parse(path) };
  });
}

/**
 * Makes or replaces a root.
 * @throws TvixError `ERR_STORE_NO_PATH` when the path is not in the store, `ERR_STORE_ROOT_NAME`.
 */
export async function addRoot(store: Store, name: string, path: StorePath | string): Promise<Root> {
  const local = store.requireLocal("keeping roots");
  const { path: wanted } = await store.info(path);
  local.castore.index.write(() => {
    if (!local.pathInfos.table.has(wanted.digest)) {
      throw new TvixError("ERR_STORE_NO_PATH", `${wanted.absolute(store.storeDir)} is not in the store`);
    }
    putRootSync(local, name, wanted);
  });
  return { name, path: wanted };
}

/** Removes a root; false when there was none of that name. What it kept stays until the next collection. */
export async function removeRoot(store: Store, name: string): Promise<boolean> {
  const local = store.requireLocal("keeping roots");
  return local.castore.index.write(() => table(local).remove(rootName(name)));
}

/** All roots, in order of name. */
export async function listRoots(store: Store): Promise<Root[]> {
  return listRootsSync(store.requireLocal("keeping roots"));
}
