// `import` of a derivation's file: the set that stands for the derivation, as `derivation` would have made it.

import { type Builtin, define } from "../../eval/builtins/define.ts";
import type { Derivation } from "../../derivation/model.ts";
import { EvalError } from "../../eval/error.ts";
import { type Attrs, attrsFromPairs } from "../../eval/value/attrs.ts";
import { ContextBuilder, ContextString, formatContextElement } from "../../eval/value/string.ts";
import { symbol } from "../../eval/value/symbol.ts";
import { Thunk } from "../../eval/value/thunk.ts";
import type { Value } from "../../eval/value/value.ts";
import { coerceToPath } from "../../eval/vm/coerce.ts";
import { outputPlaceholder } from "../derived-path.ts";
import type { World } from "../world.ts";

/** Makes `import` of a session: for all other files, that of the evaluator. */
export function importBuiltin(world: World): Builtin {
  return define(
    "import",
    "!",
    "The value of the expression in a file, or the derivation of a .drv file.",
    (rt, value) => {
      const context = new ContextBuilder();
      const asked = coerceToPath(rt, value, context);
      if (context.context.size > 0) rt.realise(context.context);
      const path = rt.readable(asked);
      if (!isDerivationFile(world, path)) return rt.importFile(path);
      const derivation = world.known.derivation(path);
      if (derivation === undefined) throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
      return importedDerivation(path, derivation, world.storeDir);
    },
  );
}

function isDerivationFile(world: World, path: string): boolean {
  if (!path.endsWith(".drv") || !path.startsWith(`${world.storeDir}/`)) return false;
  return !path.slice(world.storeDir.length + 1).includes("/") && world.has(path);
}

function importedDerivation(drv: string, derivation: Derivation, storeDir: string): Attrs {
  const outputs = [...derivation.outputs.keys()].sort();
  const drvPath = new ContextString(drv, new Set([formatContextElement({ kind: "deep", drv })]));
  const values = outputs.map((output) => new Thunk(() => outputOf(output), null));
  const common = new Map<string, Value>([
    ...outputs.map((output, i): [string, Value] => [output, values[i] as Value]),
    ["all", values],
    ["drvPath", drvPath],
    // As Nix has it: empty with structured attributes, where the name is no variable.
    ["name", derivation.env.get("name") ?? ""],
    ["type", "derivation"],
  ]);
  const outputOf = (output: string): Attrs => {
    const path = derivation.outputs.get(output)?.path;
    const text = path ? path : outputPlaceholder(drv, output, storeDir);
    const outPath = new ContextString(text, new Set([formatContextElement({ kind: "output", output, drv })]));
    const all = new Map<string, Value>([...common, ["outPath", outPath], ["outputName", output]]);
    return attrsFromPairs([...all.keys()].map(symbol), [...all.values()]);
  };
  return outputOf(outputs[0] ?? "out");
}
