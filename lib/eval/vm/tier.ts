// Which back end runs a unit, and the cache of compiled units around the JavaScript one.
//
// - A file with a cached unit runs as JavaScript: its functions come compiled out of V8's code cache.
// - Otherwise the first small sources run as JavaScript at once, and their entries are written afterwards, when V8 knows
//   which functions ran. Large ones, and all when there have been many, run as closures, which start sooner.
// - Of what runs as closures for the first time only that is written: most of what is evaluated once is never evaluated
//   again, and making JavaScript of it takes as long as running it. When it is met again, its JavaScript is written.
// - In an evaluation of thousands of files the first ones are read from the cache and added to it; of the others making
//   the instructions anew takes no longer than reading them, and they would fill the cache.
// - Code that counts is always JavaScript, and kept out of the cache.
// - Where code generation is forbidden or fails (text nested too deeply for V8's parser), closures do all the work.

import {
  cacheRealm,
  decodeUnit,
  encodeUnit,
  type StoredUnit,
  type UnitEntry,
  type UnitStorage,
  unitKey,
} from "../cache.ts";
import type { Backend } from "../evaluator.ts";
import type { Program } from "../ir/program.ts";
import type { Whnf } from "../value/value.ts";
import { compileClosures, KEPT_FUNCTIONS } from "./closures.ts";
import { emitProgram } from "./emit.ts";
import type { Emitted } from "./emitted.ts";
import { linkEmitted } from "./javascript.ts";
import { freshName, nameOfKey } from "./script-trace.ts";
import type { Unit } from "./unit.ts";

/** A compiled script. */
export interface HostScript {
  /** The value of the text. */
  run(): unknown;
  /** V8's code cache for it, with the functions that have run so far. */
  codeCache(): Uint8Array;
}

/** Compiles JavaScript text, with a code cache when there is one. */
export interface CachingScriptHost {
  /** Identifies the engine, its version and its flags. */
  readonly engine: string;
  compile(text: string, name: string, code: Uint8Array | undefined): HostScript;
}

/** Options of {@link tieredBackend}. */
export interface TierOptions {
  readonly host: CachingScriptHost;
  readonly storage?: UnitStorage;
  /** Sources without a cached unit run as JavaScript up to this many bytes. Default 20 000. */
  readonly javascriptLimit?: number;
  /** From so many sources on the cache is left alone. Default 2000, as many as a large NixOS system has. */
  readonly cachedSources?: number;
}

/** A back end that chooses, and writes what it learnt when asked. */
export interface TieredBackend extends Backend {
  /** Writes the entries of units that ran without one, or with a cold one. */
  flush(): void;
}

/** The entry of a source that ran as closures once. */
const SEEN = Uint8Array.of(1);

interface Pending {
  readonly key: string;
  readonly emitted: () => Emitted;
  readonly script: HostScript | undefined;
}

const DEFAULT_LIMIT = 20_000;
const CACHED_SOURCES = 2000;
/** So many times the limit of one source runs as JavaScript in all: a program of more sources runs little of each. */
const LIMIT_OF_ALL = 5;
const NO_CODE = new Uint8Array(0);

/** The back end for Node. */
export function tieredBackend(options: TierOptions): TieredBackend {
  const { host, storage } = options;
  const limit = options.javascriptLimit ?? DEFAULT_LIMIT;
  const cachedSources = options.cachedSources ?? CACHED_SOURCES;
  const pending: Pending[] = [];
  const seen: string[] = [];
  const budget = { left: KEPT_FUNCTIONS };
  let started = 0;
  let loaded = 0;
  let realm: string | undefined;

  const runStored = (unit: Unit, key: string, stored: StoredUnit): (() => Whnf) => {
    const shared = nameOfKey(key, unit);
    const name = shared ?? freshName();
    const usable = shared !== undefined && stored.code.length > 0;
    const script = host.compile(stored.emitted.text, name, usable ? stored.code : undefined);
    if (!stored.warm && shared !== undefined) pending.push({ key, emitted: () => stored.emitted, script });
    return linkEmitted(stored.emitted, script.run(), name, unit);
  };
  const runEmitted = (unit: Unit, key: string | undefined, program: Program): (() => Whnf) => {
    const shared = key === undefined ? undefined : nameOfKey(key, unit);
    const name = shared ?? freshName();
    let emitted: Emitted;
    let script: HostScript;
    let wrapper: unknown;
    try {
      emitted = emitProgram(program.root, unit.rt.observer?.counts !== undefined);
      script = host.compile(emitted.text, name, undefined);
      wrapper = script.run();
    } catch (error) {
      if (error instanceof RangeError || error instanceof SyntaxError) return compileClosures(program.root, unit);
      throw error;
    }
    if (key !== undefined && shared !== undefined) pending.push({ key, emitted: () => emitted, script });
    return linkEmitted(emitted, wrapper, name, unit);
  };
  const runClosures = (unit: Unit, program: (late: boolean) => Program): (() => Whnf) =>
    compileClosures(program(true).root, unit, { budget, again: () => program(true) });
  return {
    load: (unit, program, purpose) => {
      const { text } = unit.source;
      if (unit.rt.observer?.counts !== undefined) return runEmitted(unit, undefined, program(false));
      if (purpose === "expression" || storage === undefined) {
        if (text.length <= limit) return runEmitted(unit, undefined, program(false));
        return compileClosures(program(true).root, unit);
      }
      if (loaded++ >= cachedSources) return runClosures(unit, program);
      realm ??= cacheRealm(unit.globals.keys(), unit.rt.settings.features, host.engine);
      const key = unitKey(realm, text);
      const bytes = storage.read(key);
      const stored = bytes === undefined ? undefined : decodeUnit(bytes);
      if (stored !== undefined) return runStored(unit, key, stored);
      if (text.length <= limit && started + text.length <= LIMIT_OF_ALL * limit) {
        started += text.length;
        return runEmitted(unit, key, program(false));
      }
      if (bytes === undefined) {
        seen.push(key);
        return runClosures(unit, program);
      }
      const compiled = program(false);
      pending.push({ key, emitted: () => emitProgram(compiled.root), script: undefined });
      return compileClosures(compiled.root, unit);
    },
    flush: () => {
      const entries: UnitEntry[] = seen.splice(0).map((key) => ({ key, bytes: SEEN }));
      started = 0;
      loaded = 0;
      for (const { key, emitted, script } of pending.splice(0)) {
        try {
          const warm = script !== undefined;
          entries.push({ key, bytes: encodeUnit({ emitted: emitted(), code: script?.codeCache() ?? NO_CODE, warm }) });
        } catch (error) {
          // Text too deep to emit: the unit simply has no entry.
          if (!(error instanceof RangeError)) throw error;
        }
      }
      storage?.write(entries);
    },
  };
}
