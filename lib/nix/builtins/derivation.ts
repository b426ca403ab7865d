// `derivationStrict`: from an attribute set to a derivation with its hashes.
//
// Attributes are taken in bytewise order of their names, which shows only in which error comes first and in what is
// forced. In the plain form each becomes an environment variable, as text; with `__structuredAttrs` all go into one
// JSON text. What the texts refer to (their contexts) becomes the inputs.

import { AssertionError } from "../../base/error.ts";
import { type Builtin, define } from "../../eval/builtins/define.ts";
import { fromJson, valueToJson } from "../../eval/builtins/json.ts";
import { EvalError } from "../../eval/error.ts";
import { type Attrs, attrsFromPairs } from "../../eval/value/attrs.ts";
import { ContextBuilder, ContextString, formatContextElement } from "../../eval/value/string.ts";
import { symbol, symbolName } from "../../eval/value/symbol.ts";
import { force } from "../../eval/value/thunk.ts";
import type { Value, Whnf } from "../../eval/value/value.ts";
import { coerceToString, STRONG_COPY } from "../../eval/vm/coerce.ts";
import { forceAttrs, forceBool, forceList, forcePlainString, forceString, textOf } from "../../eval/vm/demand.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { completeDerivation, type Derivation, type DerivationOutput } from "../../derivation/index.ts";
import { formatOutputMethod } from "../../formats/content-address.ts";
import { isHashAlgo, type NixHash, parseHash, zeroHash } from "../../formats/hash.ts";
import { toHex } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import type { KnownPaths } from "../known-paths.ts";

const NAME = symbol("name");
const STRUCTURED = symbol("__structuredAttrs");
const IGNORE_NULLS = symbol("__ignoreNulls");
const DRV_PATH = symbol("drvPath");

/** What is collected while the attributes are read. */
interface Draft {
  readonly name: string;
  readonly env: Map<string, string>;
  readonly json: Map<string, string> | null;
  readonly context: ContextBuilder;
  args: string[];
  builder: string;
  system: string;
  outputs: string[];
  outputHash: string | undefined;
  outputHashAlgo: string;
  outputHashMode: string;
}

/** Makes `derivationStrict` of a session. */
export function derivationBuiltins(known: KnownPaths): readonly Builtin[] {
  return [
    define("derivationStrict", "!", "Makes a derivation; `derivation` is the convenient form.", (rt, argument) =>
      derivationStrict(rt, known, forceAttrs(argument, "the argument passed to builtins.derivationStrict")),
    ),
  ];
}

function derivationStrict(rt: Runtime, known: KnownPaths, attrs: Attrs): Whnf {
  const nameValue = attrs.get(NAME);
  if (nameValue === undefined) {
    throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", "required attribute 'name' missing");
  }
  const name = forcePlainString(nameValue, "the `name` attribute passed to builtins.derivationStrict");
  try {
    return build(rt, known, attrs, name);
  } catch (error) {
    if (error instanceof EvalError) throw error.addFrame(`while evaluating derivation '${name}'`, null);
    if (error instanceof TvixError)
      throw new EvalError("ERR_EVAL_DERIVATION", error.message, { cause: error, notes: error.notes });
    throw error;
  }
}

function build(rt: Runtime, known: KnownPaths, attrs: Attrs, name: string): Whnf {
  checkName(name);
  const draft = readAttributes(rt, attrs, name);
  if (draft.json !== null) {
    const entries = [...draft.json].sort(([a], [b]) => (a < b ? -1 : 1));
    draft.env.set(
      "__json",
      `{${entries.map(([key, text]) => `${valueToJson(rt, key, draft.context)}:${text}`).join(",")}}`,
    );
  }
  if (draft.builder === "") throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", "required attribute 'builder' missing");
  if (draft.system === "") throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", "required attribute 'system' missing");
  const outputs = new Map<string, DerivationOutput>();
  if (draft.outputHash === undefined) {
    for (const output of draft.outputs) outputs.set(output, { path: "", hashAlgo: "", hash: "" });
  } else outputs.set("out", fixedOutput(draft));
  const { inputDrvs, inputSrcs } = inputsOf(draft.context, known);
  const derivation: Derivation = {
    name,
    outputs,
    inputDrvs,
    inputSrcs,
    system: draft.system,
    builder: draft.builder,
    args: draft.args,
    env: withBlanks(draft.env, outputs),
  };
  const { storeDir } = rt.settings;
  const complete = completeDerivation(derivation, known.lookup, { storeDir });
  const drvPath = known.add(complete, storeDir);
  const keys = [DRV_PATH];
  const values: Value[] = [new ContextString(drvPath, new Set([formatContextElement({ kind: "deep", drv: drvPath })]))];
  for (const [output, { path }] of complete.derivation.outputs) {
    if (path === "") throw new AssertionError(`output '${output}' of '${drvPath}' has no path`);
    keys.push(symbol(output));
    values.push(new ContextString(path, new Set([formatContextElement({ kind: "output", output, drv: drvPath })])));
  }
  return attrsFromPairs(keys, values);
}

/** The variables with an empty one for each output. Names stay in order, so that no text of them is sorted again. */
function withBlanks(env: ReadonlyMap<string, string>, outputs: ReadonlyMap<string, unknown>): Map<string, string> {
  const blanks = [...outputs.keys()].sort();
  const all = new Map<string, string>();
  let next = 0;
  for (const [name, value] of env) {
    while (next < blanks.length && (blanks[next] as string) < name) all.set(blanks[next++] as string, "");
    all.set(name, value);
  }
  for (const name of blanks) all.set(name, "");
  return all;
}

function checkName(name: string): void {
  if (name.endsWith(".drv")) {
    throw new EvalError("ERR_EVAL_DERIVATION", `derivation names are not allowed to end in '.drv': '${name}'`);
  }
}

function readAttributes(rt: Runtime, attrs: Attrs, name: string): Draft {
  const flag = (key: number): boolean => {
    const value = attrs.get(key);
    return value !== undefined && forceBool(value, `the \`${symbolName(key)}\` attribute of a derivation`);
  };
  const structured = flag(STRUCTURED);
  const ignoreNulls = flag(IGNORE_NULLS);
  const draft: Draft = {
    name,
    env: new Map(),
    json: structured ? new Map() : null,
    context: new ContextBuilder(),
    args: [],
    builder: "",
    system: "",
    outputs: ["out"],
    outputHash: undefined,
    outputHashAlgo: "",
    outputHashMode: "flat",
  };
  const { shape, values } = attrs.flatten();
  shape.keys.forEach((key, i) => {
    if (key === IGNORE_NULLS) return;
    const value = values[i] as Value;
    if (ignoreNulls && force(value) === null) return;
    const attribute = symbolName(key);
    try {
      readAttribute(rt, draft, attribute, value);
    } catch (error) {
      if (error instanceof EvalError)
        throw error.addFrame(`while evaluating attribute '${attribute}' of derivation '${name}'`, null);
      throw error;
    }
  });
  return draft;
}

function readAttribute(rt: Runtime, draft: Draft, attribute: string, value: Value): void {
  if (attribute === "args") {
    draft.args = forceList(value, "the `args` attribute of a derivation").map((item) =>
      coerceToString(rt, item, STRONG_COPY, draft.context),
    );
    return;
  }
  if (
    (attribute === "__contentAddressed" || attribute === "__impure") &&
    forceBool(value, `the \`${attribute}\` attribute`)
  ) {
    throw new EvalError(
      "ERR_EVAL_DERIVATION",
      `derivations with '${attribute}' are an experimental feature that is not supported`,
    );
  }
  if (draft.json !== null) readStructured(rt, draft, draft.json, attribute, value);
  else readPlain(draft, attribute, coerceToString(rt, value, STRONG_COPY, draft.context));
}

function readPlain(draft: Draft, attribute: string, text: string): void {
  draft.env.set(attribute, text);
  // Builders would take it for structured attributes, so it must at least be readable as such.
  if (attribute === "__json") fromJson(text);
  if (attribute === "outputs") draft.outputs = checkOutputs(text.split(/[ \t\n\r]+/).filter((output) => output !== ""));
  else setField(draft, attribute, text);
}

function readStructured(rt: Runtime, draft: Draft, json: Map<string, string>, attribute: string, value: Value): void {
  if (attribute === "__structuredAttrs") return;
  json.set(attribute, valueToJson(rt, value, draft.context));
  const where = `the \`${attribute}\` attribute of a derivation`;
  switch (attribute) {
    case "builder": {
      const builder = forceString(value, where);
      if (builder instanceof ContextString) draft.context.add(builder.context);
      setField(draft, attribute, textOf(builder));
      return;
    }
    case "system":
    case "outputHash":
    case "outputHashAlgo":
    case "outputHashMode":
      setField(draft, attribute, forcePlainString(value, where));
      return;
    case "outputs":
      draft.outputs = checkOutputs(forceList(value, where).map((output) => forcePlainString(output, where)));
      return;
    default:
  }
}

function setField(draft: Draft, attribute: string, text: string): void {
  switch (attribute) {
    case "builder":
      draft.builder = text;
      return;
    case "system":
      draft.system = text;
      return;
    case "outputHash":
      draft.outputHash = text;
      return;
    case "outputHashAlgo":
      draft.outputHashAlgo = text;
      return;
    case "outputHashMode":
      draft.outputHashMode = text;
      return;
    default:
  }
}

function checkOutputs(outputs: string[]): string[] {
  const seen = new Set<string>();
  for (const output of outputs) {
    if (seen.has(output)) throw new EvalError("ERR_EVAL_DERIVATION", `duplicate derivation output '${output}'`);
    if (output === "drvPath") {
      throw new EvalError("ERR_EVAL_DERIVATION", `invalid derivation output name '${output}'`);
    }
    seen.add(output);
  }
  if (outputs.length === 0)
    throw new EvalError("ERR_EVAL_DERIVATION", "derivation cannot have an empty set of outputs");
  return outputs;
}

function fixedOutput(draft: Draft): DerivationOutput {
  if (draft.outputs.length !== 1 || draft.outputs[0] !== "out") {
    throw new EvalError("ERR_EVAL_DERIVATION", "multiple outputs are not supported in fixed-output derivations");
  }
  const method = { flat: "flat", recursive: "nar", nar: "nar" }[draft.outputHashMode] as "flat" | "nar" | undefined;
  if (method === undefined) {
    throw new EvalError(
      "ERR_EVAL_DERIVATION",
      `invalid value '${draft.outputHashMode}' for 'outputHashMode' attribute`,
    );
  }
  const hash = outputHash(draft.outputHash as string, draft.outputHashAlgo);
  return { path: "", hashAlgo: formatOutputMethod(method, hash.algo), hash: toHex(hash.digest) };
}

function outputHash(text: string, algo: string): NixHash {
  if (algo !== "" && !isHashAlgo(algo)) throw new EvalError("ERR_EVAL_HASH", `unknown hash algorithm '${algo}'`);
  if (text === "") {
    if (!isHashAlgo(algo)) throw new EvalError("ERR_EVAL_HASH", "empty hash requires explicit hash algorithm");
    return zeroHash(algo);
  }
  return isHashAlgo(algo) ? parseHash(text, algo) : parseHash(text);
}

function inputsOf(
  context: ContextBuilder,
  known: KnownPaths,
): { inputDrvs: Map<string, { outputs: string[] }>; inputSrcs: string[] } {
  const inputDrvs = new Map<string, { outputs: string[] }>();
  const inputSrcs = new Set<string>();
  const addOutput = (drv: string, output: string): void => {
    const input = inputDrvs.get(drv);
    if (input === undefined) inputDrvs.set(drv, { outputs: [output] });
    else if (!input.outputs.includes(output)) input.outputs.push(output);
  };
  for (const text of context.context) {
    const element = known.element(text);
    if (element.kind === "path") inputSrcs.add(element.path);
    else if (element.kind === "output") addOutput(element.drv, element.output);
    else {
      const { derivations, sources } = known.closure([element.drv]);
      for (const source of sources) inputSrcs.add(source);
      for (const drv of derivations) {
        inputSrcs.add(drv);
        for (const output of known.derivation(drv)?.outputs.keys() ?? []) addOutput(drv, output);
      }
    }
  }
  // In order once, for the texts and paths that are made of them.
  return { inputDrvs: inKeyOrder(inputDrvs), inputSrcs: [...inputSrcs].sort() };
}

function inKeyOrder<T>(map: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...map.keys()].sort().map((key) => [key, map.get(key) as T]));
}
