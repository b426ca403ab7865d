// Compiling emitted text with Node's vm module.

import { Script } from "node:vm";
import type { CachingScriptHost } from "./tier.ts";

/** Compiles in the current context; `flags` are V8 flags that were set while the process ran. */
export function nodeScriptHost(flags: readonly string[] = []): CachingScriptHost {
  return {
    engine: [process.version, process.arch, ...process.execArgv, ...flags].join(" "),
    compile: (text, file, code) => {
      const script = new Script(text, { filename: file, ...(code === undefined ? {} : { cachedData: code }) });
      return { run: () => script.runInThisContext(), codeCache: () => script.createCachedData() };
    },
  };
}
