// Where the Nix language meets the store: derivations, copies of sources, and what evaluation knows of both.
//
// Evaluating writes nothing. Of a derivation that is evaluated its file is kept here, with the hash that stands for it in
// the hashes of others; sources are hashed where they lie. This file: the derivations known so far. What is rarely asked
// for is read from the file: all of nixpkgs as objects would be a quarter of what its evaluation holds.

import { ByteArena } from "../base/arena.ts";
import { bytesToLatin1 } from "../base/text.ts";
import { type ContextElement, parseContextElement } from "../eval/value/string.ts";
import {
  type Derivation,
  type DerivationOutline,
  type FilledDerivation,
  type ModuloHash,
  moduloHash,
  parseDerivation,
  parseOutline,
  UNESCAPED,
} from "../derivation/index.ts";
import { StorePath } from "../formats/store-path.ts";

/** What {@link KnownPaths.closure} answers, as absolute paths. */
export interface Closure {
  /** With what each makes and uses, where that is known. */
  readonly derivations: ReadonlyMap<string, DerivationOutline | undefined>;
  readonly sources: ReadonlySet<string>;
  readonly settled: ReadonlySet<string>;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Derivations by path, in the order in which they were evaluated: inputs always before what uses them. */
export class KnownPaths {
  private readonly arena = new ByteArena();
  private readonly files = new Map<string, Uint8Array>();
  private readonly unreadable = new Map<string, Derivation>();
  private readonly hashes = new Map<string, ModuloHash>();
  private readonly elements = new Map<string, ContextElement>();
  private readonly storeDir: string;
  private readonly readFile: (path: string) => Uint8Array | undefined;

  /** `readFile` reads a .drv file that was not evaluated here, when there is one. */
  constructor(storeDir: string, readFile: (path: string) => Uint8Array | undefined = () => undefined) {
    this.storeDir = storeDir;
    this.readFile = readFile;
  }

  /** Adds a derivation; answers its absolute path. */
  add({ derivation, path, modulo, file }: FilledDerivation): string {
    const absolute = path.absolute(this.storeDir);
    if (!this.files.has(absolute)) {
      this.files.set(absolute, this.arena.keep(file));
      if (UNESCAPED.test(derivation.system)) this.unreadable.set(absolute, derivation);
      this.hashes.set(absolute, modulo);
    }
    return absolute;
  }

  /** The modulo hash of a derivation, for the hashes of those that use it. */
  readonly lookup = (path: string): ModuloHash | undefined => {
    let hash = this.hashes.get(path);
    if (hash === undefined) {
      const derivation = this.derivation(path);
      if (derivation === undefined) return undefined;
      hash = moduloHash(derivation, this.lookup);
      this.hashes.set(path, hash);
    }
    return hash;
  };

  /** An element of a context, taken apart once: the same path is then the same text, which maps find faster. */
  element(text: string): ContextElement {
    let element = this.elements.get(text);
    if (element === undefined) {
      element = parseContextElement(text);
      this.elements.set(text, element);
    }
    return element;
  }

  /** Whether a derivation was evaluated here. */
  has(path: string): boolean {
    return this.files.has(path);
  }

  /** Whether Nix would read the file of a derivation that was evaluated here as another one, or not at all. */
  isMisread(path: string): boolean {
    return /["\\]/.test(this.unreadable.get(path)?.system ?? "");
  }

  /** The file of a derivation that was evaluated here, one char per byte. */
  text(path: string): string | undefined {
    const file = this.files.get(path);
    return file && bytesToLatin1(file);
  }

  /** A derivation by its path. */
  derivation(path: string): Derivation | undefined {
    return this.read(path, (file) => {
      const { name } = StorePath.parseAbsolute(path, this.storeDir);
      return parseDerivation(file, name.slice(0, -".drv".length));
    });
  }

  /** What a derivation makes and uses. */
  outline(path: string): DerivationOutline | undefined {
    return this.read(path, parseOutline);
  }

  private read<T>(path: string, parse: (file: Uint8Array) => T): T | Derivation | undefined {
    const kept = this.unreadable.get(path);
    if (kept !== undefined) return kept;
    const file = this.files.get(path) ?? this.readFile(path);
    return file && parse(file);
  }

  /** The paths of everything evaluated so far, and the files. */
  all(): IterableIterator<[path: string, file: Uint8Array]> {
    return this.files.entries();
  }

  /**
   * The closure of derivations: the derivations, and the sources they use. What is `settled` is answered on its own, and
   * not looked into.
   */
  closure(roots: readonly string[], settled: ReadonlySet<string> = NOTHING): Closure {
    const derivations = new Map<string, DerivationOutline | undefined>();
    const closure = { derivations, sources: new Set<string>(), settled: new Set<string>() };
    const pending = [...roots];
    while (pending.length > 0) {
      const path = pending.pop() as string;
      if (derivations.has(path)) continue;
      if (settled.has(path)) {
        closure.settled.add(path);
        continue;
      }
      const outline = this.outline(path);
      derivations.set(path, outline);
      if (outline === undefined) continue;
      for (const source of outline.inputSrcs) {
        if (source.endsWith(".drv")) pending.push(source);
        else (settled.has(source) ? closure.settled : closure.sources).add(source);
      }
      pending.push(...outline.inputDrvs.keys());
    }
    return closure;
  }
}
