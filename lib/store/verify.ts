// Verification of a store: the castore's, and path infos, NAR index and roots on top.
import { existsSync } from "node:fs";
import { TvixError } from "../base/error.ts";
import { equalBytes, toHex } from "../base/bytes.ts";
import { decodeUtf8, displayBytes } from "../base/text.ts";
import { missingFrom } from "../castore/local/presence.ts";
import { digestText } from "../castore/digest.ts";
import {
  type Damage,
  undisturbed,
  verifyOnce,
  type VerifyOptions as CastoreOptions,
  type VerifySummary,
} from "../castore/local/verify.ts";
import { TABLES } from "../castore/local/index.ts";
import { checkIndex } from "../native/index-check.ts";
import { StorePath } from "../formats/store-path.ts";
import { parseAddress } from "./address.ts";
import { decodeNarEntry } from "./local.ts";
import { narDigest } from "./nar/render.ts";
import { openLocalStore, openStore } from "./open.ts";
import { decodePathInfo, type PathInfo } from "./path-info.ts";
import { isContentAddressed } from "./sign.ts";
import type { LocalParts, Store } from "./store.ts";

/** Options of {@link verifyStore}. */
export interface VerifyStoreOptions extends Omit<CastoreOptions, "source"> {
  /** Where to fetch what is damaged. */
  readonly source?: Store;
  /** Hash the NAR of every path as well. Default true. */
  readonly nars?: boolean;
}

/** What a verification of a store saw. */
export interface VerifyStoreSummary extends VerifySummary {
  readonly paths: number;
}

/** All tables of a local store's index and the lengths of their keys. */
const STORE_TABLES = { ...TABLES, pathinfo: 20, nar: 32, roots: 0 };

/**
 * Verifies the local store at an address, its index file first: LMDB trusts that file, so a damaged one must not be
 * opened. When it is damaged, that is all the result says. A lost index is made anew by importing again; packs hold the
 * contents meanwhile.
 * @throws TvixError `ERR_STORE_NOT_LOCAL`, or what opening the store throws
 */
export async function verifyAddress(
  address: string | undefined,
  options: VerifyStoreOptions = {},
): Promise<VerifyStoreSummary> {
  const parsed = parseAddress(address);
  // For its own words about what only a local store has.
  if (parsed.kind !== "local") return await verifyClosing(await openStore(address), options);
  const { directory } = parsed;
  const problems = await checkIndex(directory, STORE_TABLES, true);
  if (problems.length > 0) return unusableIndex(directory, problems);
  let store: Store;
  try {
    // To be verified a store has to exist; verifying does not make one.
    const exists = existsSync(`${directory}/index.lmdb/data.mdb`);
    store = await openLocalStore(directory, exists ? { checked: true } : { readOnly: true });
  } catch (error) {
    if (!(error instanceof TvixError) || error.code !== "ERR_STORE_INDEX") throw error;
    return unusableIndex(directory, [error.message]);
  }
  return await verifyClosing(store, options);
}

async function verifyClosing(store: Store, options: VerifyStoreOptions): Promise<VerifyStoreSummary> {
  try {
    return await verifyStore(store, options);
  } finally {
    await store.close();
  }
}

function unusableIndex(directory: string, problems: readonly string[]): VerifyStoreSummary {
  const object = `${directory}/index.lmdb`;
  const damage = problems.map((problem): Damage => ({ kind: "index", object, problem, repaired: false }));
  return { chunks: 0, bytes: 0, blobs: 0, directories: 0, deadRecords: 0, paths: 0, damage };
}

/** Verifies an open local store. Damage is the result, not an error. @throws TvixError `ERR_STORE_NOT_LOCAL` */
export async function verifyStore(store: Store, options: VerifyStoreOptions = {}): Promise<VerifyStoreSummary> {
  const local = store.requireLocal("verifying");
  return await undisturbed(local.castore, options.repair === true, (repair) =>
    verifyStoreOnce(store, local, { ...options, repair }),
  );
}

async function verifyStoreOnce(
  store: Store,
  local: LocalParts,
  options: VerifyStoreOptions,
): Promise<VerifyStoreSummary> {
  const summary = await verifyOnce(local.castore, { ...options, source: options.source?.castore });
  const damage: Damage[] = [...summary.damage];
  const paths = await verifyPathInfos(store, local, options, damage);
  verifyNarIndex(local, options.repair === true, damage);
  verifyRoots(local, damage);
  return { ...summary, damage, paths };
}

async function verifyPathInfos(
  store: Store,
  local: LocalParts,
  options: VerifyStoreOptions,
  damage: Damage[],
): Promise<number> {
  const { table } = local.pathInfos;
  let count = 0;
  for (const { key, value } of table.entries()) {
    options.signal?.throwIfAborted();
    count++;
    let object = toHex(key);
    let problem: string | undefined;
    try {
      const info = decodePathInfo(table.unseal(key, value));
      object = info.path.absolute(store.storeDir);
      problem = equalBytes(info.path.digest, key)
        ? await infoProblem(store, local, info, options)
        : "kept under another's hash";
    } catch (error) {
      if (!(error instanceof TvixError)) throw error;
      problem = error.message;
    }
    options.onProgress?.({ phase: "verify paths", done: count, total: table.count, bytes: 0 });
    if (problem === undefined) continue;
    damage.push({ kind: "path-info", object, problem, repaired: await mendInfo(key, local, options) });
  }
  return count;
}

async function infoProblem(
  store: Store,
  local: LocalParts,
  info: PathInfo,
  options: VerifyStoreOptions,
): Promise<string | undefined> {
  const missing = missingFrom(local.castore, info.root, true);
  if (missing) return `${digestText(missing)}, which is part of it, is missing`;
  if (options.nars === false) return undefined;
  const nar = await narDigest(store.castore, info.root);
  if (nar.size !== info.narSize) return `its NAR has ${nar.size} bytes, it says ${info.narSize}`;
  if (!equalBytes(nar.digest, info.narSha256)) return "its NAR has another hash than it says";
  if (info.ca && !isContentAddressed(info, store.storeDir)) return "its path does not follow from its content address";
  return undefined;
}

async function mendInfo(key: Uint8Array, local: LocalParts, options: VerifyStoreOptions): Promise<boolean> {
  if (options.repair !== true || !options.source) return false;
  const info = await options.source.pathInfos.get(key).catch(() => undefined);
  if (!info || missingFrom(local.castore, info.root, true)) return false;
  local.castore.index.write(() => local.pathInfos.putSync(info));
  return true;
}

/** The NAR index only remembers: what is damaged in it may go. */
function verifyNarIndex(local: LocalParts, repair: boolean, damage: Damage[]): void {
  const { table } = local.narIndex;
  for (const { key, value } of table.entries()) {
    try {
      decodeNarEntry(table.unseal(key, value), local.castore.directory);
    } catch (error) {
      if (!(error instanceof TvixError)) throw error;
      if (repair) local.castore.index.write(() => table.remove(key));
      damage.push({ kind: "nar", object: `sha256:${toHex(key)}`, problem: error.message, repaired: repair });
    }
  }
}

function verifyRoots(local: LocalParts, damage: Damage[]): void {
  const roots = local.castore.index.table("roots");
  for (const { key, value } of roots.entries()) {
    const object = displayBytes(key);
    try {
      const path = StorePath.parse(decodeUtf8(roots.unseal(key, value)) ?? "");
      if (local.pathInfos.table.has(path.digest)) continue;
      damage.push({ kind: "root", object, problem: `${path.basename} is not in the store`, repaired: false });
    } catch (error) {
      if (!(error instanceof TvixError)) throw error;
      damage.push({ kind: "root", object, problem: error.message, repaired: false });
    }
  }
}
