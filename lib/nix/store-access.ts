// The store as evaluation needs it: where a source would go, what can be read, and that nothing is built.

import { EvalError } from "../eval/error.ts";
import type { StoreAccess } from "../eval/evaluator.ts";
import type { EvalIO } from "../eval/io.ts";
import { ContextString, parseContextElement, type StringContext } from "../eval/value/string.ts";
import { baseName } from "../eval/vm/path-text.ts";
import { sourcePath, StorePath } from "../formats/store-path.ts";
import { hashTree } from "./source-hash.ts";
import { storeErrors } from "./store-errors.ts";

/** Store access that computes paths and writes nothing. */
export function readOnlyStore(io: EvalIO, storeDir: string): StoreAccess {
  return {
    copyPath: (path) => {
      // What is in the store already is referred to, not copied.
      if (path.startsWith(`${storeDir}/`) && !path.slice(storeDir.length + 1).includes("/")) {
        storeErrors(() => StorePath.parseAbsolute(path, storeDir));
        return new ContextString(path, new Set([path]));
      }
      const copied = storeErrors(() => sourcePath({ name: baseName(path), storeDir, narSha256: hashTree(io, path) }));
      const absolute = copied.absolute(storeDir);
      return new ContextString(absolute, new Set([absolute]));
    },
    realise: (context: StringContext) => {
      for (const text of context) {
        const element = parseContextElement(text);
        if (element.kind === "path") continue;
        const built = element.kind === "output" ? `output '${element.output}' of '${element.drv}'` : `'${element.drv}'`;
        throw new EvalError("ERR_EVAL_BUILD", `cannot build ${built} during evaluation: there is no builder`, {
          notes: ["the expression reads a file that a derivation makes (import from derivation)"],
        });
      }
    },
  };
}
