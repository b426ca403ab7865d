// The store as evaluation needs it: where a source would go, what is there already, and what cannot be had.

import { EvalError } from "../eval/error.ts";
import type { StoreAccess } from "../eval/evaluator.ts";
import type { EvalIO } from "../eval/io.ts";
import { ContextString, parseContextElement, type StringContext } from "../eval/value/string.ts";
import { baseName } from "../eval/text/path.ts";
import { referencesOf } from "../derivation/model.ts";
import type { DerivationOutline } from "../derivation/parse.ts";
import { latin1ToBytes } from "../base/text.ts";
import { nixHash } from "../formats/hash.ts";
import { contentAddressedPath, sourcePath, StorePath } from "../formats/store-path.ts";
import type { CachedTree } from "./fetch/cache.ts";
import { isContentAddressed } from "../store/sign.ts";
import { KnownPaths } from "./known-paths.ts";
import { hashTree } from "./source-hash.ts";
import { Sources } from "./sources.ts";
import { storeErrors } from "./store-errors.ts";
import { storeIO } from "./store-io.ts";
import type { StoreReader, TreeReader } from "./store-reader.ts";
import { hostEntry, nodeEntry, textEntry, type TreeEntry } from "./store-tree.ts";

/** What an evaluation's world is made of. */
export interface WorldOptions {
  readonly host: EvalIO;
  readonly storeDir: string;
  /** A store to look paths up in. */
  readonly reader?: StoreReader | undefined;
  /** Whether what comes of the evaluation will be written: store paths named in it must then be there. */
  readonly writable?: boolean | undefined;
  /** Builds outputs that evaluation wants to read; without it, import from derivation is an error. */
  readonly build?: ((drvPath: string, output: string) => void) | undefined;
  /** What an entry of the search path that is no path stands for. */
  readonly resolveEntry?: ((entry: string) => string | undefined) | undefined;
}

/** The store of an evaluation: what it has put there in mind, what is really there, and the host's below it. */
export class World implements StoreAccess {
  readonly storeDir: string;
  readonly writable: boolean;
  readonly sources: Sources = new Sources();
  readonly known: KnownPaths;
  /** Whether sources outside of the store lie on this machine. */
  readonly isHost: boolean;
  /** I/O in which the store's paths can be read. */
  readonly io: EvalIO;
  readonly #reader: StoreReader | undefined;
  readonly #build: WorldOptions["build"];
  readonly #resolveEntry: WorldOptions["resolveEntry"];
  readonly #allowed = new Set<string>();
  #hasFetched = false;

  constructor({ host, storeDir, reader, writable, build, resolveEntry }: WorldOptions) {
    this.#resolveEntry = resolveEntry;
    this.storeDir = storeDir;
    this.writable = writable ?? false;
    this.#reader = reader;
    this.#build = build;
    this.known = new KnownPaths(storeDir, (path) => this.#readDerivation(path));
    this.isHost = host.isHost === true;
    this.io = storeIO(host, storeDir, (path) => this.#root(path));
  }

  /** The tree at a store path, when it is not the host's. */
  #root(path: string): TreeEntry | undefined {
    const source = this.sources.get(path);
    if (source?.kind === "text") return textEntry(source.text);
    // Trees may lie in the store themselves, so they are read through our own I/O.
    if (source?.kind === "tree") return hostEntry(this.io, source.origin, source.accepted);
    if (source?.kind === "flat") return textEntry(this.io.readFile(source.origin));
    if (source?.kind === "fetched" || source?.kind === "substituted") return nodeEntry(source.reader, source.root);
    const text = this.known.text(path);
    if (text !== undefined) return textEntry(text);
    const info = this.#info(path);
    return info && nodeEntry(this.#reader as StoreReader, info.root);
  }

  #info(path: string): ReturnType<StoreReader["info"]> {
    if (this.#reader === undefined) return undefined;
    let parsed: StorePath;
    try {
      parsed = StorePath.parseAbsolute(path, this.storeDir);
    } catch {
      return undefined;
    }
    return this.#reader.info(parsed);
  }

  #readDerivation(path: string): Uint8Array | undefined {
    return this.io.fileType(path) === "regular" ? latin1ToBytes(this.io.readFile(path)) : undefined;
  }

  /** Whether there is something at a store path, if only in mind. */
  has(path: string): boolean {
    return this.io.fileType(path) !== undefined;
  }

  /** Whether a path of the store, or one that was brought from a cache, follows from its contents; `undefined` for others. */
  isContentAddressed(path: string): boolean | undefined {
    const source = this.sources.get(path);
    if (source !== undefined) return source.kind === "substituted" ? source.isContentAddressed : true;
    const info = this.#info(path);
    return info && isContentAddressed(info, this.storeDir);
  }

  /** Whether anything was fetched: what comes of the evaluation may be something else the next time. */
  get hasFetched(): boolean {
    return this.#hasFetched;
  }

  /** Notes that something was fetched, or could not be. */
  noteFetched(): void {
    this.#hasFetched = true;
  }

  /** Whether evaluation has put something at the store path that `path` is in or below: reading it is always allowed. */
  allows(path: string): boolean {
    if (!path.startsWith(`${this.storeDir}/`)) return false;
    const end = path.indexOf("/", this.storeDir.length + 1);
    const root = end < 0 ? path : path.slice(0, end);
    return this.#allowed.has(root) || this.sources.get(root) !== undefined || this.known.has(root);
  }

  /** Allows reading a store path that was there before: it is what the program asked for by its hash. */
  allow(path: string): void {
    this.noteFetched();
    this.#allowed.add(path);
  }

  /** The store path of something by its contents: the NAR of a tree, or the bytes of a file. */
  fixedPath(name: string, method: "nar" | "flat", sha256: Uint8Array): string {
    const { storeDir } = this;
    const address = { method, hash: nixHash("sha256", sha256) };
    return storeErrors(() => contentAddressedPath({ name, storeDir, address })).absolute(storeDir);
  }

  /** Puts something that was fetched into the store; answers its path. */
  addFetched(name: string, tree: CachedTree, reader: TreeReader, method: "nar" | "flat" = "nar"): string {
    this.noteFetched();
    const path = this.fixedPath(name, method, (method === "flat" ? tree.sha256 : tree.narSha256) as Uint8Array);
    this.sources.add(path, { kind: "fetched", root: tree.root, reader, method });
    return path;
  }

  /** Puts a tree of the host into the store: all of it, or these files (paths below `origin`) and what leads to them. */
  addTree(
    name: string,
    origin: string,
    files: readonly string[] | undefined,
  ): { storePath: string; narSha256: Uint8Array } {
    this.noteFetched();
    const accepted = files && new Set<string>();
    for (const file of files ?? []) {
      for (let at = file.indexOf("/"); at >= 0; at = file.indexOf("/", at + 1)) {
        accepted?.add(`${origin}/${file.slice(0, at)}`);
      }
      accepted?.add(`${origin}/${file}`);
    }
    const narSha256 = hashTree(this.io, origin, "sha256", accepted && ((path) => accepted.has(path)));
    const storePath = this.fixedPath(name, "nar", narSha256);
    this.sources.add(storePath, { kind: "tree", origin, accepted: accepted ?? null });
    return { storePath, narSha256 };
  }

  resolveEntry(entry: string): string | undefined {
    return this.#resolveEntry?.(entry);
  }

  copyPath(path: string): ContextString {
    if (path.endsWith(".drv")) {
      throw new EvalError("ERR_EVAL_STORE", `'${path}': file names are not allowed to end in '.drv'`);
    }
    const { storeDir } = this;
    const copied = storeErrors(() =>
      sourcePath({ name: baseName(path), storeDir, narSha256: hashTree(this.io, path) }),
    ).absolute(storeDir);
    this.sources.add(copied, { kind: "tree", origin: path, accepted: null });
    return new ContextString(copied, new Set([copied]));
  }

  realise(context: StringContext): void {
    for (const text of context) {
      const element = parseContextElement(text);
      if (element.kind === "output") this.#realiseOutput(element.drv, element.output);
      else {
        const path = element.kind === "path" ? element.path : element.drv;
        if (!this.has(path)) throw new EvalError("ERR_EVAL_STORE", `path '${path}' is not valid`);
      }
    }
  }

  #realiseOutput(drv: string, output: string): void {
    if (!drv.startsWith("/")) {
      const made = drv.replace("!", "' of '");
      throw new EvalError("ERR_EVAL_BUILD", `cannot operate on output '${output}' of the unbuilt derivation '${made}'`);
    }
    const derivation = this.known.outline(drv);
    if (derivation === undefined) throw new EvalError("ERR_EVAL_STORE", `path '${drv}' is not valid`);
    const path = derivation.outputs.get(output)?.path;
    if (path === undefined) {
      throw new EvalError("ERR_EVAL_STORE", `derivation '${drv}' does not have an output named '${output}'`);
    }
    // It is read because the program that makes it is known.
    if (path !== "") this.#allowed.add(path);
    if (path !== "" && this.has(path)) return;
    if (this.#build !== undefined) return this.#build(drv, output);
    throw new EvalError(
      "ERR_EVAL_BUILD",
      `cannot build output '${output}' of '${drv}' during evaluation: there is no builder`,
      {
        notes: [
          "the expression reads a file that a derivation makes (import from derivation)",
          ...(path === "" ? [] : [`when '${path}' is in the store, nothing needs to be built`]),
        ],
      },
    );
  }

  fileContext(path: string, text: string): StringContext {
    const found = new Set<string>();
    if (!path.startsWith(`${this.storeDir}/`)) return found;
    for (const reference of this.#references(StorePath.split(path, this.storeDir).path.absolute(this.storeDir))) {
      const hash = reference.slice(this.storeDir.length + 1).split("-", 1)[0] as string;
      if (text.includes(hash)) found.add(reference);
    }
    return found;
  }

  /** What a store path refers to, as far as that is known here. */
  #references(path: string): Iterable<string> {
    const source = this.sources.get(path);
    if (source !== undefined) return "references" in source ? source.references : [];
    if (this.known.has(path)) return referencesOf(this.known.outline(path) as DerivationOutline);
    return this.#info(path)?.references.map((reference) => reference.absolute(this.storeDir)) ?? [];
  }
}
