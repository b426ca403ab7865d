// Compiling emitted text with Node's vm module.

import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";
import type { CachingScriptHost } from "./tier.ts";

/** Compiles in the current context. Flags for V8 must be set before. */
export function nodeScriptHost(): CachingScriptHost {
  return {
    engine: `${process.version} ${process.arch} ${cachedDataVersionTag()}`,
    compile: (text, file, code) => {
      const script = new Script(text, { filename: file, ...(code === undefined ? {} : { cachedData: code }) });
      return { run: () => script.runInThisContext(), codeCache: () => script.createCachedData() };
    },
  };
}
