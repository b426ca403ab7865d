// Compiling emitted text with Node's vm module.

import { Script } from "node:vm";
import type { ScriptHost } from "./javascript.ts";

/** Compiles in the current context, without a cache. */
export const NODE_SCRIPT_HOST: ScriptHost = {
  evaluate: (text, file) => new Script(text, { filename: file }).runInThisContext(),
};
