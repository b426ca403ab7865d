// Where the Nix language meets the store: derivations, copies of sources, and what evaluation knows of both.
//
// Evaluating writes nothing. A derivation that is evaluated is kept here, with the hash that stands for it in the
// hashes of others; sources are hashed where they lie. This file: the derivations known so far.

import { type ContextElement, parseContextElement } from "../eval/value/string.ts";
import { type CompleteDerivation, type Derivation, type ModuloHash, moduloHash } from "../derivation/index.ts";

/** What {@link KnownPaths.closure} answers, as absolute paths. */
export interface Closure {
  readonly derivations: ReadonlySet<string>;
  readonly sources: ReadonlySet<string>;
  readonly settled: ReadonlySet<string>;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Derivations by path, in the order in which they were evaluated: inputs always before what uses them. */
export class KnownPaths {
  private readonly derivations = new Map<string, CompleteDerivation>();
  private readonly hashes = new Map<string, ModuloHash>();
  private readonly elements = new Map<string, ContextElement>();
  private readonly readDerivation: (path: string) => Derivation | undefined;

  /** `readDerivation` reads a .drv file that was not evaluated here, when there is one. */
  constructor(readDerivation: (path: string) => Derivation | undefined = () => undefined) {
    this.readDerivation = readDerivation;
  }

  /** Adds a derivation; answers its absolute path. */
  add(complete: CompleteDerivation, storeDir: string): string {
    const path = complete.path.absolute(storeDir);
    if (!this.derivations.has(path)) {
      this.derivations.set(path, complete);
      this.hashes.set(path, complete.modulo);
    }
    return path;
  }

  /** The modulo hash of a derivation, for the hashes of those that use it. */
  readonly lookup = (path: string): ModuloHash | undefined => {
    let hash = this.hashes.get(path);
    if (hash === undefined) {
      const derivation = this.readDerivation(path);
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

  /** The text of a derivation that was evaluated here. */
  text(path: string): string | undefined {
    return this.derivations.get(path)?.text;
  }

  /** A derivation by its path. */
  derivation(path: string): Derivation | undefined {
    return this.derivations.get(path)?.derivation ?? this.readDerivation(path);
  }

  /** Everything evaluated so far. */
  all(): IterableIterator<[path: string, derivation: CompleteDerivation]> {
    return this.derivations.entries();
  }

  /**
   * The closure of derivations: the derivations, and the sources they use. What is `settled` is answered on its own, and
   * not looked into.
   */
  closure(roots: readonly string[], settled: ReadonlySet<string> = NOTHING): Closure {
    const closure = { derivations: new Set<string>(), sources: new Set<string>(), settled: new Set<string>() };
    const pending = [...roots];
    while (pending.length > 0) {
      const path = pending.pop() as string;
      if (closure.derivations.has(path)) continue;
      if (settled.has(path)) {
        closure.settled.add(path);
        continue;
      }
      closure.derivations.add(path);
      const derivation = this.derivation(path);
      if (derivation === undefined) continue;
      for (const source of derivation.inputSrcs) {
        if (source.endsWith(".drv")) pending.push(source);
        else (settled.has(source) ? closure.settled : closure.sources).add(source);
      }
      pending.push(...derivation.inputDrvs.keys());
    }
    return closure;
  }
}
