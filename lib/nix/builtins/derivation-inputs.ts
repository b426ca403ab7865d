// From the context of a derivation's texts to its inputs.

import type { StringContext } from "../../eval/value/string.ts";
import type { Derivation, InputDrv } from "../../derivation/model.ts";
import { parseDerivationName } from "../derived-path.ts";
import type { KnownPaths } from "../known-paths.ts";

interface Input extends InputDrv {
  readonly outputs: string[];
  dynamicOutputs?: Map<string, Input>;
}

/** What a derivation with this context uses; in order, for the texts and paths that are made of it. */
export function inputsOf(context: StringContext, known: KnownPaths): Pick<Derivation, "inputDrvs" | "inputSrcs"> {
  const inputDrvs = new Map<string, Input>();
  const inputSrcs = new Set<string>();
  for (const text of context) {
    const element = known.element(text);
    if (element.kind === "path") inputSrcs.add(element.path);
    else if (element.kind === "output") addOutput(inputDrvs, element.drv, element.output);
    else {
      const { derivations, sources } = known.closure([element.drv]);
      for (const source of sources) inputSrcs.add(source);
      for (const [drv, outline] of derivations) {
        inputSrcs.add(drv);
        for (const output of outline?.outputs.keys() ?? []) addOutput(inputDrvs, drv, output);
      }
    }
  }
  return { inputDrvs: inKeyOrder(inputDrvs), inputSrcs: [...inputSrcs].sort() };
}

function addOutput(inputs: Map<string, Input>, drv: string, output: string): void {
  if (drv.startsWith("/")) {
    const known = inputs.get(drv);
    if (known === undefined) inputs.set(drv, { outputs: [output] });
    else if (!known.outputs.includes(output)) known.outputs.push(output);
    return;
  }
  const { path, outputs } = parseDerivationName(drv);
  let input = inputAt(inputs, path);
  for (const made of outputs) input = inputAt((input.dynamicOutputs ??= new Map()), made);
  if (!input.outputs.includes(output)) input.outputs.push(output);
}

function inputAt(inputs: Map<string, Input>, key: string): Input {
  let input = inputs.get(key);
  if (input === undefined) inputs.set(key, (input = { outputs: [] }));
  return input;
}

function inKeyOrder<T>(map: ReadonlyMap<string, T>): Map<string, T> {
  const ordered = new Map<string, T>();
  for (const key of [...map.keys()].sort()) ordered.set(key, map.get(key) as T);
  return ordered;
}
