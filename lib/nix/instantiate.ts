// Writing what an evaluation found: derivations and the sources they use into a store, references before referrers.
import { TvixError } from "../base/error.ts";
import { decodeUtf8, latin1ToBytes } from "../base/text.ts";
import { CollectedError } from "../castore/local/batch.ts";
import { referencesOf } from "../derivation/model.ts";
import { systemError } from "../derivation/validate.ts";
import { nixHash } from "../formats/hash.ts";
import { sourcePath, StorePath } from "../formats/store-path.ts";
import { copyClosure } from "../store/copy.ts";
import { importNode } from "../store/import.ts";
import { openStore } from "../store/open.ts";
import type { PathInfo } from "../store/path-info.ts";
import { addRoot, putRootSync, rootName } from "../store/roots.ts";
import type { LocalParts, Store } from "../store/store.ts";
import { importTexts, type StoredText } from "../store/texts.ts";
import { narOfTree } from "./source-hash.ts";
import type { Source } from "./sources.ts";
import type { World } from "./world.ts";

/** What to keep from collection under which name. */
export interface DerivationRoot {
  readonly name: string;
  /** An absolute path among those that are written. */
  readonly path: string;
}

/** Options of {@link instantiate}. */
export interface InstantiateOptions {
  readonly roots?: readonly DerivationRoot[];
  readonly signal?: AbortSignal;
  /**
   * Paths that earlier calls with the same set found or wrote, with all that they refer to. They are not looked into
   * again, only looked for; what this call adds to the store joins them.
   */
  readonly settled?: Set<string>;
}

/** What {@link instantiate} did. */
export interface InstantiateSummary {
  /** Derivations in the closure, those that were settled aside. */
  readonly derivations: number;
  /** Derivations that were not in the store before. */
  readonly written: number;
  /** Sources that were not in the store before. */
  readonly sources: number;
}

/** Texts stored in one transaction, in bytes. */
const GROUP_BYTES = 32 << 20;

/** How often a collection may come between. */
const ATTEMPTS = 5;

/**
 * Writes the closure of derivations: sources first, then the .drv files, inputs before what uses them. What the store
 * has is left alone. Roots are made together with the last of it.
 *
 * @param drvPaths absolute paths of derivations that `world` has evaluated
 * @throws TvixError `ERR_NIX_INPUT_MISSING` for an input that is neither known nor in the store,
 *   `ERR_NIX_SOURCE_CHANGED` for a source that changed after it was evaluated, `ERR_DRV_SYSTEM` for a derivation that
 *   its file would not say, or what importing throws
 */
export async function instantiate(
  world: World,
  store: Store,
  drvPaths: readonly string[],
  options: InstantiateOptions = {},
): Promise<InstantiateSummary> {
  for (const { name } of options.roots ?? []) rootName(name);
  for (let attempt = 1; ; attempt++) {
    try {
      return await new Writer(world, store, options).run(drvPaths);
    } catch (error) {
      if (!(error instanceof CollectedError) || attempt === ATTEMPTS) throw error;
      options.settled?.clear();
    }
  }
}

class Writer {
  readonly #world: World;
  readonly #store: Store;
  readonly #options: InstantiateOptions;
  /** Everything that was found in the store or written, to be there still at the end. */
  readonly #present = new Map<string, StorePath>();
  /** Stores that have what was brought from binary caches, by address. */
  readonly #others = new Map<string, Store>();
  #sources = 0;

  constructor(world: World, store: Store, options: InstantiateOptions) {
    this.#world = world;
    this.#store = store;
    this.#options = options;
  }

  async run(drvPaths: readonly string[]): Promise<InstantiateSummary> {
    try {
      return await this.#write(drvPaths);
    } finally {
      for (const store of this.#others.values()) await store.close();
    }
  }

  async #write(drvPaths: readonly string[]): Promise<InstantiateSummary> {
    const { derivations, sources, settled } = this.#world.known.closure(drvPaths, this.#options.settled);
    for (const path of settled) this.#present.set(path, this.#parse(path));
    for (const path of sources) await this.#writeSource(path);
    const texts: StoredText[] = [];
    // In the order of evaluation, which has inputs first.
    for (const [path, bytes] of this.#world.known.all()) {
      const outline = derivations.get(path);
      if (outline === undefined || (await this.#has(path))) continue;
      if (this.#world.known.isMisread(path)) throw systemError(path);
      const references = Array.from(referencesOf(outline), (reference) => this.#parse(reference));
      const { name } = this.#parse(path);
      texts.push({ name, bytes: bytes.slice(), references });
      this.#present.set(path, this.#parse(path));
    }
    for (const path of derivations.keys()) {
      if (this.#present.has(path) || (await this.#has(path))) continue;
      throw missingInput(path);
    }
    await this.#writeTexts(texts);
    for (const path of this.#present.keys()) this.#options.settled?.add(path);
    return { derivations: derivations.size, written: texts.length, sources: this.#sources };
  }

  async #has(path: string): Promise<boolean> {
    if (this.#present.has(path)) return true;
    const parsed = this.#parse(path);
    const info = await this.#store.pathInfos.get(parsed.digest);
    if (info?.path.name !== parsed.name) return false;
    this.#present.set(path, parsed);
    return true;
  }

  #parse(path: string): StorePath {
    return StorePath.parseAbsolute(path, this.#world.storeDir);
  }

  /** Writes a source and what it refers to, unless it is there. */
  async #writeSource(path: string): Promise<void> {
    this.#options.signal?.throwIfAborted();
    if (await this.#has(path)) return;
    const source = this.#world.sources.get(path);
    if (source === undefined) throw missingInput(path);
    if ("references" in source) {
      for (const reference of source.references) if (reference !== path) await this.#writeSource(reference);
    }
    const info = source.kind === "substituted" ? await this.#copy(path, source) : await this.#import(path, source);
    if (info.path.absolute(this.#store.storeDir) !== path) {
      throw new TvixError("ERR_NIX_SOURCE_CHANGED", `'${originOf(source)}' changed after it was evaluated`, {
        notes: [`it was to become ${path}`, "evaluate again"],
      });
    }
    this.#present.set(path, this.#parse(path));
    this.#sources++;
  }

  /** Takes what a binary cache had from the store that it was brought to. */
  async #copy(path: string, { store: address }: Source & { kind: "substituted" }): Promise<PathInfo> {
    let from = this.#others.get(address);
    if (from === undefined) {
      from = await openStore(address, { readOnly: true });
      this.#others.set(address, from);
    }
    const { signal } = this.#options;
    await copyClosure(from, this.#store, [path], { noClosure: true, ...(signal === undefined ? {} : { signal }) });
    return await from.info(path);
  }

  async #import(path: string, source: Exclude<Source, { kind: "substituted" }>): Promise<PathInfo> {
    const { name } = this.#parse(path);
    const store = this.#store;
    if (source.kind === "text") {
      const references = source.references.map((reference) => this.#parse(reference));
      const [info] = await importTexts(store, [{ name, bytes: latin1ToBytes(source.text), references }]);
      return info as PathInfo;
    }
    if (source.kind === "fetched") return await this.#importFetched(path, source);
    const host = this.#hostPath(source);
    if (host !== undefined) {
      const { signal } = this.#options;
      const method = source.kind === "flat" ? "flat" : "nar";
      return await store.importPath(host, { name, method, ...(signal === undefined ? {} : { signal }) });
    }
    return await this.#importNar(path, source);
  }

  /** Where a source lies whole on the host, under a name that the host's functions take. */
  #hostPath(source: Source & { kind: "tree" | "flat" }): string | undefined {
    if (!this.#world.isHost) return undefined;
    if (source.kind === "tree" && source.accepted !== null) return undefined;
    if (source.origin.startsWith(`${this.#world.storeDir}/`)) return undefined;
    return decodeUtf8(latin1ToBytes(source.origin));
  }

  /** Sources that are filtered, or do not lie on the host: as the NAR of what evaluation sees. */
  async #importNar(path: string, source: Source & { kind: "tree" | "flat" }): Promise<PathInfo> {
    const { io } = this.#world;
    const store = this.#store;
    const accepted = source.kind === "tree" ? source.accepted : null;
    const filter = accepted === null ? undefined : (entry: string) => accepted.has(entry);
    const { root, narSha256, narSize } = await store.ingestNar(narOfTree(io, source.origin, filter), this.#options);
    const parsed = this.#parse(path);
    if (source.kind === "flat") return await importNode(store, root, { name: parsed.name, method: "flat" });
    const ca = { method: "nar", hash: nixHash("sha256", narSha256) } as const;
    const info: PathInfo = { path: parsed, root, references: [], narSha256, narSize, ca, signatures: [] };
    const made = sourcePath({ name: parsed.name, storeDir: store.storeDir, narSha256 });
    if (made.basename !== parsed.basename) return { ...info, path: made };
    await store.narIndex.put(narSha256, { root, narSize });
    return await store.pathInfos.put(info);
  }

  /** What was fetched: as the NAR of what evaluation sees of it. */
  async #importFetched(path: string, { method }: Source & { kind: "fetched" }): Promise<PathInfo> {
    const { root, narSha256, narSize } = await this.#store.ingestNar(narOfTree(this.#world.io, path), this.#options);
    const nar = { digest: narSha256, size: narSize };
    return await importNode(this.#store, root, { name: this.#parse(path).name, method, nar });
  }

  async #writeTexts(texts: readonly StoredText[]): Promise<void> {
    const groups = groupBySize(texts);
    const last = groups.pop();
    for (const group of groups) {
      this.#options.signal?.throwIfAborted();
      await importTexts(this.#store, group);
    }
    const roots = this.#options.roots ?? [];
    if (last !== undefined) await importTexts(this.#store, last, (local) => this.#conclude(local, roots));
    else if (this.#store.local) this.#store.local.castore.index.write(() => this.#conclude(this.#local(), roots));
    if (this.#store.local === undefined) {
      for (const { name, path } of roots) await addRoot(this.#store, name, this.#parse(path));
    }
  }

  #local(): LocalParts {
    return this.#store.requireLocal("writing roots");
  }

  /** Inside the last transaction: makes the roots, unless a collection has taken something away meanwhile. */
  #conclude(local: LocalParts, roots: readonly DerivationRoot[]): void {
    for (const path of this.#present.values()) {
      if (!local.pathInfos.table.has(path.digest)) throw new CollectedError();
    }
    for (const { name, path } of roots) putRootSync(local, name, this.#parse(path));
  }
}

function groupBySize(texts: readonly StoredText[]): StoredText[][] {
  const groups: StoredText[][] = [];
  let size = GROUP_BYTES;
  for (const text of texts) {
    if (size + text.bytes.length > GROUP_BYTES) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(text);
    size += text.bytes.length;
  }
  return groups;
}

function originOf(source: Source): string {
  if (source.kind === "text") return "a text";
  return "origin" in source ? source.origin : "what was fetched";
}

function missingInput(path: string): TvixError {
  return new TvixError("ERR_NIX_INPUT_MISSING", `'${path}' is needed and is neither known nor in the store`, {
    notes: ["import it first: tvix store import --from-closure, or copy it from a store that has it"],
  });
}
