// The program in one file with V8's code cache beside it: what makes a command start fast.
//
// A hundred small modules cost a hundred milliseconds to find, read and compile. script/bundle.mjs joins them into
// program.cjs and keeps the compiled code in program.cache; without these files the modules are loaded one by one.
// What a replay needs is a small bundle of its own, replay.cjs. Code caches are for one version of V8 and its flags:
// another Node than the one that built the package keeps its own with the user's caches.
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";
import { cacheDirectory } from "./cache-home.ts";
import { writeWhole } from "./write-whole.ts";

/** A compiled bundle, and the function that runs it and answers what it exports. */
export interface Bundle<Exports> {
  readonly script: Script;
  evaluate(): Exports;
  /** Keeps the compiled code of what has run, if there was none for this engine. */
  keep(): void;
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Keeps a code cache where that is possible; on a read-only or full disk the next start compiles again. */
function keepCode(file: string, bytes: Uint8Array): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeWhole(file, bytes);
  } catch {
    // A cache is never necessary.
  }
}

/** The code cache beside the bundle at `path`: the one for a command, else the one for all. */
function packedCode(path: string, command: string): Buffer | undefined {
  const base = path.slice(0, -".cjs".length);
  const file = [`${base}-${command}.cache`, `${base}.cache`].find((name) => existsSync(name));
  return file === undefined ? undefined : readFileSync(file);
}

/**
 * Compiles the bundle at `file`, with its code cache if there is one for this engine; undefined without a bundle.
 * @param command what it will run: the functions that one command needs are not those of another
 */
export function loadBundle<Exports>(file: URL, command = ""): Bundle<Exports> | undefined {
  const path = fileURLToPath(file);
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return undefined;
  const kind = /^[a-z-]+$/.test(command) ? command : "";
  const own = join(
    cacheDirectory("program"),
    `${cachedDataVersionTag().toString(16)}-${facts.size}-${facts.mtimeMs}-${kind}`,
  );
  const code = readIfThere(own) ?? packedCode(path, kind);
  const script = new Script(readFileSync(path, "latin1"), {
    filename: path,
    ...(code === undefined ? {} : { cachedData: code }),
  });
  return {
    script,
    evaluate: () => {
      const module = { exports: {} };
      const body = script.runInThisContext() as (...parts: unknown[]) => void;
      const require = createRequire(file);
      const late = (name: string): object => new Proxy({}, { get: (_, key) => require(name)[key] });
      body(module.exports, require, late, module, file.href);
      return module.exports as Exports;
    },
    keep: () => {
      if (script.cachedDataRejected !== false) keepCode(own, script.createCachedData());
    },
  };
}
