// The program in one file with V8's code cache beside it: what makes a command start fast.
//
// A hundred small modules cost a hundred milliseconds to find, read and compile. script/bundle.mjs joins them into
// program.cjs and keeps the compiled code in program.cache; without these files the modules are loaded one by one.
// What a replay needs is a small bundle of its own, replay.cjs.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

/** A compiled bundle, and the function that runs it and answers what it exports. */
export interface Bundle<Exports> {
  readonly script: Script;
  evaluate(): Exports;
}

/** Compiles the bundle at `file`, with its code cache unless that is from another engine; undefined without a bundle. */
export function loadBundle<Exports>(file: URL): Bundle<Exports> | undefined {
  const path = fileURLToPath(file);
  if (!existsSync(path)) return undefined;
  const cache = path.replace(/\.cjs$/, ".cache");
  const script = new Script(`(function (exports, require, module, bundle_url) {${readFileSync(path, "utf8")}\n})`, {
    filename: path,
    ...(existsSync(cache) ? { cachedData: readFileSync(cache) } : {}),
  });
  return {
    script,
    evaluate: () => {
      const module = { exports: {} };
      const body = script.runInThisContext() as (...parts: unknown[]) => void;
      body(module.exports, createRequire(file), module, file.href);
      return module.exports as Exports;
    },
  };
}
