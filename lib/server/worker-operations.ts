// What the operations of the worker protocol do to a store.
//
// A store keeps and gives; it does not build. What asks for a build is answered when its outputs are there already.
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { readBlob } from "../castore/blob/range.ts";
import { parseDerivation } from "../derivation/parse.ts";
import type { Connection } from "../formats/daemon/codec.ts";
import type { Operations, ReplyOf, RequestOf } from "../formats/daemon/ops.ts";
import {
  type BuildResult,
  type DerivedPath,
  type PathInfoFields,
  type ValidPathInfo,
  validPathInfo,
} from "../formats/daemon/values.ts";
import { parseContentMethod } from "../formats/content-address.ts";
import { readArchive } from "../formats/export.ts";
import { nixHash } from "../formats/hash.ts";
import * as base32 from "../formats/nixbase32.ts";
import type { PublicKey } from "../formats/signature.ts";
import { StorePath } from "../formats/store-path.ts";
import { WireReader } from "../formats/wire.ts";
import { addStream } from "../store/add.ts";
import { collectGarbage } from "../store/gc.ts";
import { checkContentAddress, checkNar } from "../store/nar/check.ts";
import { ingestPath } from "../store/nar/path.ts";
import { narStream } from "../store/nar/render.ts";
import { type PathInfo, sortedPaths } from "../store/path-info.ts";
import { listRoots } from "../store/roots.ts";
import { trustOf } from "../store/sign.ts";
import type { Store } from "../store/store.ts";
import { verifyStore } from "../store/verify.ts";

/** One operation under way. */
export interface Call {
  readonly store: Store;
  /** What follows the request; empty for most. */
  readonly upload: AsyncGenerator<Uint8Array, void, undefined>;
  readonly connection: Connection;
  readonly trusted: boolean;
  readonly keys: readonly PublicKey[];
  /** What follows the reply. */
  download?: AsyncIterable<Uint8Array>;
}

type Handlers = {
  readonly [N in keyof Operations]: (request: RequestOf<N>, call: Call) => Promise<ReplyOf<N>>;
};

const done = async (): Promise<void> => {};

/** Refuses what this daemon does not do. */
function unsupported(what: string) {
  return async (): Promise<never> => {
    throw new TvixError("ERR_WORKER_UNSUPPORTED", `this daemon keeps store paths; it does not ${what}`);
  };
}

/** The table. */
export const HANDLERS: Handlers = {
  IsValidPath: async ({ path }, { store }) => (await find(store, path)) !== undefined,
  QueryPathInfo: async ({ path }, { store }) => {
    const info = await find(store, path);
    return info && fieldsOf(info);
  },
  QueryValidPaths: async ({ paths }, { store }) => await valid(store, paths),
  QueryAllValidPaths: async (_, { store }) => await filtered(store, () => true),
  QueryReferrers: async ({ path }, { store }) =>
    await filtered(store, ({ references }) => references.some((other) => other.basename === path.basename)),
  QueryPathFromHashPart: async ({ hashPart }, { store }) => {
    if (!/^[0-9a-df-np-sv-z]{32}$/.test(hashPart)) return undefined;
    return (await store.pathInfos.get(base32.decode(hashPart)))?.path;
  },
  QueryValidDerivers: async ({ path }, { store }) => {
    const deriver = (await find(store, path))?.deriver;
    return deriver ? await valid(store, [deriver]) : [];
  },
  QuerySubstitutablePaths: async () => [],
  QueryRealisation: async () => [],
  QueryMissing: async ({ paths }, { store }) => {
    const missing: DerivedPath[] = [];
    for (const path of paths) if (!(await isThere(store, path))) missing.push(path);
    const willBuild = missing.filter((each) => each.outputs !== undefined).map((each) => each.path);
    const unknown = missing.filter((each) => each.outputs === undefined).map((each) => each.path);
    return { willBuild, willSubstitute: [], unknown, downloadSize: 0, narSize: 0 };
  },
  QueryDerivationOutputMap: async ({ path }, { store }) => await outputsOf(store, path),
  NarFromPath: async ({ path }, call) => {
    const { store } = call;
    call.download = narStream(store.castore, (await store.info(path)).root);
  },
  AddToStore: async ({ name, method: text, references }, { store, upload }) => {
    const { method, algo } = parseContentMethod(text);
    if (method === "git" || algo === "blake3") return await unsupported(`address contents by ${text}`)();
    const info = await addStream(store, upload, { name, method, algo, references });
    return { path: info.path, ...fieldsOf(info) };
  },
  AddToStoreNar: async ({ info, dontCheckSigs }, call) => {
    await addNar(call, info, call.upload, dontCheckSigs);
  },
  AddMultipleToStore: async ({ dontCheckSigs }, call) => {
    const reader = new WireReader(call.upload);
    const count = await reader.u64();
    for (let i = 0; i < count; i++) {
      const info = await validPathInfo.read(reader, call.connection);
      await addNar(call, info, archive(reader), dontCheckSigs);
    }
  },
  AddSignatures: async ({ path, signatures }, { store }) => {
    const info = await store.info(path);
    const fresh = signatures.filter((one) => !info.signatures.some((old) => same(old, one)));
    if (fresh.length > 0) await store.pathInfos.put({ ...info, signatures: [...info.signatures, ...fresh] });
  },
  EnsurePath: async ({ path }, { store }) => {
    await store.info(path);
  },
  BuildPaths: async ({ paths }, { store }) => {
    for (const path of paths) await requireThere(store, path);
  },
  BuildPathsWithResults: async ({ paths }, { store }) =>
    await Promise.all(
      paths.map(async (path) => ({ path, result: await requireThere(store, path).then(() => THERE, failed) })),
    ),
  BuildDerivation: unsupported("build"),
  // A path is kept by roots, which have names here; a collection leaves alone what came while it ran.
  AddTempRoot: done,
  SetOptions: done,
  OptimiseStore: done,
  AddIndirectRoot: unsupported("follow links of the host as roots; `tvix store roots` has roots with names"),
  AddPermRoot: unsupported("make links on the host; `tvix store roots` has roots with names"),
  AddBuildLog: unsupported("keep build logs"),
  RegisterDrvOutput: unsupported("keep realisations"),
  FindRoots: async (_, { store }) => {
    const roots = store.local ? await listRoots(store) : [];
    return new Map(roots.map(({ name, path }) => [Buffer.from(name).toString("latin1"), path]));
  },
  CollectGarbage: async ({ action, pathsToDelete, maxFreed }, { store, trusted }) => {
    if (!trusted) throw new TvixError("ERR_WORKER_UNTRUSTED", "only trusted clients may collect garbage");
    if (action === "delete specific" || pathsToDelete.length > 0) return await unsupported("delete single paths")();
    if (action === "return live") return await unsupported("list what is alive")();
    const limit = Number.isFinite(maxFreed) ? { maxFreed } : {};
    const summary = await collectGarbage(store, { dryRun: action === "return dead", ...limit });
    const paths = summary.removedPaths.map((path) => path.absolute(store.storeDir));
    return { paths, bytesFreed: action === "return dead" ? 0 : summary.removedBytes, unused: 0 };
  },
  VerifyStore: async ({ repair }, { store, trusted }) => {
    if (repair && !trusted) throw new TvixError("ERR_WORKER_UNTRUSTED", "only trusted clients may repair the store");
    return (await verifyStore(store, { repair })).damage.length > 0;
  },
};

async function find(store: Store, path: StorePath): Promise<PathInfo | undefined> {
  const info = await store.pathInfos.get(path.digest);
  return info?.path.name === path.name ? info : undefined;
}

async function valid(store: Store, paths: readonly StorePath[]): Promise<StorePath[]> {
  const found = await Promise.all(paths.map((path) => find(store, path)));
  return paths.filter((_, i) => found[i] !== undefined);
}

/** Reads all path infos: there is no index from paths to those that refer to them. */
async function filtered(store: Store, wanted: (info: PathInfo) => boolean): Promise<StorePath[]> {
  const paths: StorePath[] = [];
  for await (const info of store.list()) if (wanted(info)) paths.push(info.path);
  return sortedPaths(paths);
}

function fieldsOf(info: PathInfo): PathInfoFields {
  const { deriver, references, narSize, signatures, ca } = info;
  const narHash = nixHash("sha256", info.narSha256);
  // When a path was registered is not kept.
  return { deriver, narHash, references, registrationTime: 0, narSize, ultimate: false, signatures, ca };
}

async function outputsOf(store: Store, path: StorePath): Promise<Map<string, StorePath | undefined>> {
  const { root } = await store.info(path);
  if (root.type !== "file" || !path.isDerivation()) {
    throw new TvixError("ERR_WORKER_NOT_DERIVATION", `${path.absolute(store.storeDir)} is not a derivation`);
  }
  const { outputs } = parseDerivation(await readBlob(store.blobs, root.digest), path.name.replace(/\.drv$/, ""));
  return new Map(
    Array.from(outputs, ([name, output]) => [
      name,
      output.path === "" ? undefined : StorePath.parseAbsolute(output.path, store.storeDir),
    ]),
  );
}

async function isThere(store: Store, { path, outputs }: DerivedPath): Promise<boolean> {
  if ((await find(store, path)) === undefined) return false;
  if (outputs === undefined) return true;
  const all = await outputsOf(store, path);
  for (const name of outputs === "*" ? all.keys() : outputs) {
    const output = all.get(name);
    if (output === undefined || (await find(store, output)) === undefined) return false;
  }
  return true;
}

async function requireThere(store: Store, wanted: DerivedPath): Promise<void> {
  if (await isThere(store, wanted)) return;
  const shown = wanted.path.absolute(store.storeDir);
  const what = wanted.outputs === undefined ? `${shown} is` : `the outputs of ${shown} are`;
  throw new TvixError("ERR_STORE_NO_PATH", `${what} not in the store, and this daemon does not build`);
}

const THERE: BuildResult = {
  status: "already valid",
  error: "",
  timesBuilt: 0,
  isNonDeterministic: false,
  startTime: 0,
  stopTime: 0,
  builtOutputs: new Map(),
};

function failed(error: unknown): BuildResult {
  if (error instanceof TvixError) return { ...THERE, status: "misc failure", error: error.message };
  throw error;
}

/** Stores an uploaded path; all it refers to must be there. */
async function addNar(
  { store, trusted, keys }: Call,
  given: ValidPathInfo,
  nar: AsyncIterable<Uint8Array>,
  dontCheckSigs: boolean,
): Promise<void> {
  const { path, narSize, deriver, signatures, ca } = given;
  const references = sortedPaths(given.references);
  const claim = { path, references, narSha256: given.narHash.digest, narSize, deriver, signatures, ca };
  const checked = keys.length > 0 && !(trusted && dontCheckSigs);
  const trust = checked ? trustOf(claim, keys, store.storeDir) : undefined;
  if (trust?.trusted === false) {
    throw new TvixError("ERR_STORE_UNTRUSTED", `no trusted key has signed ${path.absolute(store.storeDir)}`);
  }
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const piece of nar) {
      size += piece.length;
      if (size > narSize) checkNar(claim, claim.narSha256, size);
      yield piece;
    }
    const there = await valid(store, references);
    const missing = references.find((other) => other.basename !== path.basename && !there.includes(other));
    if (missing === undefined) return;
    throw new TvixError(
      "ERR_STORE_NO_PATH",
      `${path.basename} refers to ${missing.basename}, which is not in the store`,
    );
  };
  const describe = (found: { root: PathInfo["root"]; narSha256: Uint8Array; narSize: number }): PathInfo => {
    checkNar(claim, found.narSha256, found.narSize);
    return { ...claim, root: found.root };
  };
  if (trust?.trusted === true && trust.by === "content") {
    const { root } = await store.ingestNar(whole(), { change: (found) => void describe(found) });
    await checkContentAddress(store.castore, { ...claim, root });
    await store.pathInfos.put({ ...claim, root });
  } else await ingestPath(store, whole(), describe);
}

async function* archive(reader: WireReader): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readArchive(reader)) yield bytes;
}

function same(a: PathInfo["signatures"][number], b: PathInfo["signatures"][number]): boolean {
  return a.name === b.name && equalBytes(a.bytes, b.bytes);
}
