// `outputOf`: an output of a derivation that another derivation makes (Nix's experimental dynamic derivations).

import { type Builtin, define } from "../../eval/builtins/define.ts";
import { EvalError } from "../../eval/error.ts";
import { ContextString, formatContextElement } from "../../eval/value/string.ts";
import type { Value } from "../../eval/value/value.ts";
import { forcePlainString, forceString } from "../../eval/vm/demand.ts";
import { outputPlaceholder } from "../derived-path.ts";
import type { KnownPaths } from "../known-paths.ts";

/** Makes `outputOf` of a session. */
export function outputOfBuiltin(known: KnownPaths, storeDir: string): Builtin {
  return define(
    "outputOf",
    "!~",
    "An output of a derivation, which may itself be the output of another.",
    (_rt, reference, name) => {
      const drv = derivationName(known, storeDir, reference);
      const output = forcePlainString(name, "the second argument passed to builtins.outputOf");
      const context = new Set([formatContextElement({ kind: "output", drv, output })]);
      return new ContextString(textOfOutput(known, storeDir, drv, output), context);
    },
  );
}

/** The derivation that a string means: the one element of its context, of which the string must be the text. */
function derivationName(known: KnownPaths, storeDir: string, reference: Value): string {
  const value = forceString(reference, "the first argument passed to builtins.outputOf");
  const [text, context] = value instanceof ContextString ? [value.text, value.context] : [value, new Set<string>()];
  const [only] = context;
  if (only === undefined || context.size > 1) {
    const message = `string '${text}' has ${context.size} entries in its context. It should only have exactly one entry`;
    throw new EvalError("ERR_EVAL_CONTEXT", message);
  }
  const element = known.element(only);
  if (element.kind === "deep") {
    const message = `string '${text}' has a context which refers to a complete source and binary closure. This is not supported at this time`;
    throw new EvalError("ERR_EVAL_CONTEXT", message);
  }
  const expected = element.kind === "path" ? element.path : textOfOutput(known, storeDir, element.drv, element.output);
  if (text !== expected) {
    throw new EvalError("ERR_EVAL_CONTEXT", `string '${text}' is not what its context says: '${expected}'`);
  }
  return element.kind === "path" ? element.path : `${element.output}!${element.drv}`;
}

/** The path of an output where it is known, else the text that stands for it. */
function textOfOutput(known: KnownPaths, storeDir: string, drv: string, output: string): string {
  if (!drv.startsWith("/")) return outputPlaceholder(drv, output, storeDir);
  const derivation = drv.endsWith(".drv") ? known.outline(drv) : undefined;
  if (derivation === undefined) throw new EvalError("ERR_EVAL_STORE", `path '${drv}' is not a valid derivation`);
  const path = derivation.outputs.get(output)?.path;
  if (path === undefined) {
    throw new EvalError("ERR_EVAL_STORE", `derivation '${drv}' does not have output '${output}'`);
  }
  return path === "" ? outputPlaceholder(drv, output, storeDir) : path;
}
