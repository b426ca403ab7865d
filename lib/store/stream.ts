// Closures as streams and from other tools: `nix-store --export` both ways, and exportReferencesGraph.
import { TvixError } from "../base/error.ts";
import { equalBytes } from "../base/bytes.ts";
import { ingestHost } from "../castore/ingest/portable.ts";
import { ingestRepeatable } from "../castore/ingest/local.ts";
import type { Node } from "../castore/node.ts";
import type { OperationOptions } from "../castore/progress.ts";
import { type ExportedPath, type ExportItem, readExport, writeExport } from "../formats/export.ts";
import { formatHash, nixHash, parseHash } from "../formats/hash.ts";
import { StorePath } from "../formats/store-path.ts";
import { Ingestion } from "../native/ingest.ts";
import { closureOf } from "./closure.ts";
import { checkAcyclic, referencesFirst } from "./gc.ts";
import type { IngestedNar } from "./nar/ingest.ts";
import { ingestPath } from "./nar/path.ts";
import { narStream } from "./nar/render.ts";
import { NarWitness } from "./nar/witness.ts";
import { type PathInfo, sortedPaths } from "./path-info.ts";
import type { Store } from "./store.ts";

/** Options of {@link exportPaths}. */
export interface ExportPathsOptions {
  /** Also all that the paths refer to, which `nix-store --import` wants unless it has it. Default false, as in Nix. */
  readonly closure?: boolean;
}

/** Paths as `nix-store --export` writes them, references first. */
export async function* exportPaths(
  store: Store,
  paths: readonly (StorePath | string)[],
  options: ExportPathsOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const infos =
    options.closure === true
      ? await closureOf(store, paths)
      : referencesFirst(await Promise.all(paths.map((path) => store.info(path))));
  const inputs = function* () {
    for (const { path, root, references, deriver } of infos) {
      const nar = narStream(store.castore, root);
      yield deriver ? { path, references, deriver, nar } : { path, references, nar };
    }
  };
  yield* writeExport(inputs(), store.storeDir);
}

/**
 * Stores what `nix-store --export` wrote. Each path becomes visible whole, and only when what it refers to is there.
 * @throws TvixError `ERR_EXPORT_…`, `ERR_NAR_…` for damage; `ERR_STORE_NO_PATH` when a reference is neither in the store
 *   nor earlier in the stream. Paths before the failure stay.
 */
export async function importStream(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  options: OperationOptions = {},
): Promise<PathInfo[]> {
  const items = readExport(source, { storeDir: store.storeDir });
  const out: PathInfo[] = [];
  let bytes = 0;
  try {
    for (let first = await items.next(); !first.done; first = await items.next()) {
      const info = await importOne(store, first.value, items, options);
      out.push(info);
      bytes += info.narSize;
      options.onProgress?.({ phase: "import", done: out.length, bytes });
    }
  } finally {
    await items.return();
  }
  return out;
}

async function importOne(
  store: Store,
  first: ExportItem,
  items: AsyncGenerator<ExportItem, void, undefined>,
  { signal }: OperationOptions,
): Promise<PathInfo> {
  let trailer: ExportedPath | undefined;
  // Ends with the trailer, so that the path is known before the tree is committed.
  const nar = async function* (): AsyncGenerator<Uint8Array> {
    for (let item: ExportItem | undefined = first; item; ) {
      if (item.type === "path") {
        trailer = item;
        await requireReferences(store, item);
        return;
      }
      yield item.bytes;
      const next = await items.next();
      item = next.done ? undefined : next.value;
    }
  };
  const describe = ({ root, narSha256, narSize }: IngestedNar): PathInfo => {
    const { path, references, deriver } = trailer as ExportedPath;
    return {
      path,
      root,
      references: sortedPaths(references),
      narSha256,
      narSize,
      deriver,
      ca: undefined,
      signatures: [],
    };
  };
  return await ingestPath(store, nar(), describe, signal ? { signal } : {});
}

async function requireReferences(store: Store, { path, references }: ExportedPath): Promise<void> {
  for (const reference of references) {
    if (reference.basename === path.basename || (await store.pathInfos.get(reference.digest))) continue;
    const text = `${path.basename} refers to ${reference.basename}, which is neither in the store nor came before it`;
    throw new TvixError("ERR_STORE_NO_PATH", text);
  }
}

/** Options of {@link importClosure}. */
export interface ImportClosureOptions extends OperationOptions {
  /** What the store directory is below on this machine: `/mnt` when the paths are in `/mnt/nix/store`. Default none. */
  readonly prefix?: string;
}

interface GraphEntry {
  readonly path: StorePath;
  readonly references: readonly StorePath[];
  readonly narSha256: Uint8Array;
  readonly narSize: number | undefined;
}

/**
 * Imports the paths of an exportReferencesGraph: the JSON that Nix gives to builds with structured attributes, either
 * the array of one graph or an object with such arrays. The paths are read from the host; their NAR hashes must be
 * those of the graph.
 * @throws TvixError `ERR_STORE_GRAPH` for other JSON, `ERR_STORE_NAR_MISMATCH`, or what importing a path throws
 */
export async function importClosure(
  store: Store,
  json: string,
  options: ImportClosureOptions = {},
): Promise<PathInfo[]> {
  const entries = new Map(parseGraph(json, store.storeDir).map((entry) => [entry.path.basename, entry]));
  const skeletons = [...entries.values()].map((entry): PathInfo => skeleton(entry));
  const sorted = referencesFirst(skeletons);
  checkAcyclic(sorted);
  const out: PathInfo[] = [];
  for (const { path } of sorted) {
    const known = await store.pathInfos.get(path.digest);
    out.push(known ?? (await importGraphEntry(store, entries.get(path.basename) as GraphEntry, options)));
    options.onProgress?.({ phase: "import", done: out.length, total: sorted.length, bytes: 0 });
  }
  return out;
}

function skeleton({ path, references, narSha256, narSize }: GraphEntry): PathInfo {
  const root: Node = { type: "symlink", target: Uint8Array.of(0x2e) };
  return { path, root, references, narSha256, narSize: narSize ?? 1, signatures: [] };
}

async function importGraphEntry(store: Store, entry: GraphEntry, options: ImportClosureOptions): Promise<PathInfo> {
  const host = `${options.prefix ?? ""}${entry.path.absolute(store.storeDir)}`;
  const { signal } = options;
  const inner = signal ? { signal } : {};
  const make = (root: Node, narSha256: Uint8Array, narSize: number): PathInfo => {
    if (!equalBytes(narSha256, entry.narSha256) || (entry.narSize ?? narSize) !== narSize) {
      throw new TvixError("ERR_STORE_NAR_MISMATCH", `${host} is not what the graph says`, {
        notes: [
          `its NAR has ${formatHash(nixHash("sha256", narSha256), "sri")} and ${narSize} bytes`,
          `it should have ${formatHash(nixHash("sha256", entry.narSha256), "sri")} and ${entry.narSize} bytes`,
        ],
      });
    }
    return { path: entry.path, root, references: entry.references, narSha256, narSize, signatures: [] };
  };
  const { local } = store;
  if (local) {
    let info: PathInfo | undefined;
    await ingestRepeatable(
      local.castore,
      () => Ingestion.tree(host),
      inner,
      (found) => {
        info = make(found.root, found.narHash as Uint8Array, found.narSize);
        local.pathInfos.putSync(info);
        local.narIndex.putSync(info.narSha256, { root: info.root, narSize: info.narSize });
      },
    );
    return info as unknown as PathInfo;
  }
  const witness = new NarWitness();
  const root = await ingestHost(store.castore, host, { ...inner, onEvent: (event) => witness.take(event) });
  const { narSha256, narSize } = witness.finish();
  return await store.pathInfos.put(make(root, narSha256, narSize));
}

function parseGraph(json: string, storeDir: string): GraphEntry[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw graphError("it is not JSON", cause);
  }
  const arrays = Array.isArray(parsed) ? [parsed] : Object.values(parsed ?? {}).filter(Array.isArray);
  const entries = arrays
    .flat()
    .filter((entry: unknown) => typeof entry === "object" && entry !== null && "path" in entry);
  if (entries.length === 0) throw graphError("it has no array of paths");
  return entries.map((entry: unknown) => parseEntry(entry as Record<string, unknown>, storeDir));
}

function parseEntry(entry: Record<string, unknown>, storeDir: string): GraphEntry {
  const { path, references, narHash, narSize } = entry;
  if (typeof path !== "string" || typeof narHash !== "string" || !Array.isArray(references)) {
    throw graphError("an entry lacks path, narHash or references");
  }
  const hash = parseHash(narHash);
  if (hash.algo !== "sha256") throw graphError(`the NAR hash of ${path} is not SHA-256`);
  return {
    path: StorePath.parseAbsolute(path, storeDir),
    references: sortedPaths(references.map((reference) => StorePath.parseAbsolute(String(reference), storeDir))),
    narSha256: hash.digest,
    narSize: typeof narSize === "number" ? narSize : undefined,
  };
}

function graphError(why: string, cause?: unknown): TvixError {
  return new TvixError("ERR_STORE_GRAPH", `not an exportReferencesGraph: ${why}`, { cause });
}
