// `derivationStrict`: from an attribute set to a derivation with its hashes.
//
// Attributes are taken in bytewise order of their names, which shows only in which error comes first and in what is
// forced. In the plain form each becomes an environment variable, as text; with `__structuredAttrs` all go into one
// JSON text. What the texts refer to (their contexts) becomes the inputs.

import { type Builtin, define } from "../../eval/builtins/define.ts";
import { fromJson, valueToJson } from "../../eval/builtins/json.ts";
import { EvalError } from "../../eval/error.ts";
import { demandAlgo, demandFeature } from "../../eval/features.ts";
import { type Attrs, attrsFromPairs } from "../../eval/value/attrs.ts";
import { ContextBuilder, ContextString, formatContextElement } from "../../eval/value/string.ts";
import { symbol, symbolName } from "../../eval/value/symbol.ts";
import { force } from "../../eval/value/thunk.ts";
import type { Value, Whnf } from "../../eval/value/value.ts";
import { coerceToString, STRONG_COPY } from "../../eval/vm/coerce.ts";
import { forceAttrs, forceBool, forceList, forcePlainString, forceString, textOf } from "../../eval/vm/demand.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { type DerivationOutput, fillDerivation } from "../../derivation/index.ts";
import { type ContentMethod, formatOutputMethod } from "../../formats/content-address.ts";
import { type HashAlgo, isHashAlgo, type NixHash, parseHash, zeroHash } from "../../formats/hash.ts";
import { placeholder } from "../../formats/store-path.ts";
import { toHex } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { outputPlaceholder } from "../derived-path.ts";
import type { KnownPaths } from "../known-paths.ts";
import { inputsOf } from "./derivation-inputs.ts";

const NAME = symbol("name");
const STRUCTURED = symbol("__structuredAttrs");
const IGNORE_NULLS = symbol("__ignoreNulls");
const DRV_PATH = symbol("drvPath");

/** What is collected while the attributes are read. */
interface Draft {
  readonly name: string;
  /** The variables, in order. */
  readonly names: string[];
  readonly texts: string[];
  readonly json: Map<string, string> | null;
  readonly context: ContextBuilder;
  args: string[];
  builder: string;
  system: string;
  outputs: string[];
  contentAddressed: boolean;
  impure: boolean;
  outputHash: string | undefined;
  outputHashAlgo: HashAlgo | undefined;
  method: ContentMethod | undefined;
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
  const draft = readAttributes(rt, attrs, name);
  if (draft.json !== null) {
    const entries = [...draft.json].sort(([a], [b]) => (a < b ? -1 : 1));
    draft.names.push("__json");
    draft.texts.push(`{${entries.map(([key, text]) => `${valueToJson(rt, key, draft.context)}:${text}`).join(",")}}`);
  }
  if (draft.builder === "") throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", "required attribute 'builder' missing");
  if (draft.system === "") throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", "required attribute 'system' missing");
  checkName(draft);
  const outputs = declareOutputs(draft);
  const { inputDrvs, inputSrcs } = inputsOf(draft.context.context, known);
  const { storeDir } = rt.settings;
  const own = {
    name,
    outputs,
    inputDrvs,
    inputSrcs,
    system: draft.system,
    builder: draft.builder,
    args: draft.args,
    env: variables(draft, outputs.keys()),
  };
  const complete = fillDerivation(own, known.lookup, { storeDir });
  const drvPath = known.add(complete);
  const keys = [DRV_PATH];
  const values: Value[] = [new ContextString(drvPath, new Set([formatContextElement({ kind: "deep", drv: drvPath })]))];
  for (const [output, { path }] of complete.derivation.outputs) {
    const text = path === "" ? outputPlaceholder(drvPath, output, storeDir) : path;
    keys.push(symbol(output));
    values.push(new ContextString(text, new Set([formatContextElement({ kind: "output", output, drv: drvPath })])));
  }
  return attrsFromPairs(keys, values);
}

/** The variables with one for each output. Names stay in order, so that no text of them is sorted again. */
function variables(draft: Draft, outputNames: Iterable<string>): Map<string, string> {
  const { names, texts, contentAddressed, impure, outputHash } = draft;
  const floating = outputHash === undefined && (contentAddressed || impure);
  const outputs = [...outputNames].sort();
  const all = new Map<string, string>();
  const add = (output: string): unknown => all.set(output, floating ? placeholder(output) : "");
  let next = 0;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    while (next < outputs.length && (outputs[next] as string) < name) add(outputs[next++] as string);
    all.set(name, texts[i] as string);
  }
  outputs.forEach(add);
  return all;
}

/** What is named like a derivation must be one. */
function checkName({ name, method, outputs }: Draft): void {
  if (!name.endsWith(".drv") || (method === "text" && outputs.length === 1 && outputs[0] === "out")) return;
  const message = "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
  throw new EvalError("ERR_EVAL_DERIVATION", message);
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
    names: [],
    texts: [],
    json: structured ? new Map() : null,
    context: new ContextBuilder(),
    args: [],
    builder: "",
    system: "",
    outputs: ["out"],
    contentAddressed: false,
    impure: false,
    outputHash: undefined,
    outputHashAlgo: undefined,
    method: undefined,
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
  if (attribute === "__contentAddressed") {
    draft.contentAddressed = forceBool(value, `the \`${attribute}\` attribute of a derivation`);
    if (draft.contentAddressed) demandFeature(rt.settings.features, "ca-derivations");
  } else if (attribute === "__impure") {
    draft.impure = forceBool(value, `the \`${attribute}\` attribute of a derivation`);
    if (draft.impure) demandFeature(rt.settings.features, "impure-derivations");
  } else if (draft.json !== null) readStructured(rt, draft, draft.json, attribute, value);
  else readPlain(rt, draft, attribute, coerceToString(rt, value, STRONG_COPY, draft.context));
}

function readPlain(rt: Runtime, draft: Draft, attribute: string, text: string): void {
  draft.names.push(attribute);
  draft.texts.push(text);
  // Builders would take it for structured attributes, so it must at least be readable as such.
  if (attribute === "__json") fromJson(text);
  if (attribute === "outputs") draft.outputs = checkOutputs(text.split(/[ \t\n\r]+/).filter((output) => output !== ""));
  else setField(rt, draft, attribute, text);
}

function readStructured(rt: Runtime, draft: Draft, json: Map<string, string>, attribute: string, value: Value): void {
  if (attribute === "__structuredAttrs") return;
  json.set(attribute, valueToJson(rt, value, draft.context));
  const where = `the \`${attribute}\` attribute of a derivation`;
  switch (attribute) {
    case "builder": {
      const builder = forceString(value, where);
      if (builder instanceof ContextString) draft.context.add(builder.context);
      setField(rt, draft, attribute, textOf(builder));
      return;
    }
    case "system":
    case "outputHash":
    case "outputHashAlgo":
    case "outputHashMode":
      setField(rt, draft, attribute, forcePlainString(value, where));
      return;
    case "outputs":
      draft.outputs = checkOutputs(forceList(value, where).map((output) => forcePlainString(output, where)));
      return;
    default:
  }
}

function setField(rt: Runtime, draft: Draft, attribute: string, text: string): void {
  switch (attribute) {
    case "builder":
      draft.builder = text;
      return;
    case "system":
      draft.system = text;
      return;
    case "outputHash":
      demandAlgo(rt.settings.features, text);
      draft.outputHash = text;
      return;
    case "outputHashAlgo":
      demandAlgo(rt.settings.features, text);
      // As in Nix, an unknown one is none.
      draft.outputHashAlgo = isHashAlgo(text) ? text : undefined;
      return;
    case "outputHashMode":
      draft.method = readMethod(rt, text);
      return;
    default:
  }
}

function readMethod({ settings }: Runtime, mode: string): ContentMethod {
  switch (mode) {
    case "recursive":
      return "nar";
    case "text":
      demandFeature(settings.features, "dynamic-derivations");
      return mode;
    case "git":
      demandFeature(settings.features, "git-hashing");
      return mode;
    case "flat":
    case "nar":
      return mode;
    default:
      throw new EvalError("ERR_EVAL_DERIVATION", `invalid value '${mode}' for 'outputHashMode' attribute`);
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

/** The outputs as far as they are known before hashing. */
function declareOutputs(draft: Draft): Map<string, DerivationOutput> {
  if (draft.outputHash !== undefined) return new Map([["out", fixedOutput(draft, draft.outputHash)]]);
  const outputs = new Map<string, DerivationOutput>();
  if (draft.contentAddressed && draft.impure) {
    throw new EvalError("ERR_EVAL_DERIVATION", "derivation cannot be both content-addressed and impure");
  }
  const floating = draft.contentAddressed || draft.impure;
  const hashAlgo = floating ? formatOutputMethod(draft.method ?? "nar", draft.outputHashAlgo ?? "sha256") : "";
  for (const output of draft.outputs) {
    outputs.set(output, { path: "", hashAlgo, hash: draft.impure ? "impure" : "" });
  }
  return outputs;
}

function fixedOutput(draft: Draft, text: string): DerivationOutput {
  if (draft.outputs.length !== 1 || draft.outputs[0] !== "out") {
    throw new EvalError("ERR_EVAL_DERIVATION", "multiple outputs are not supported in fixed-output derivations");
  }
  const hash = outputHash(text, draft.outputHashAlgo);
  return { path: "", hashAlgo: formatOutputMethod(draft.method ?? "flat", hash.algo), hash: toHex(hash.digest) };
}

function outputHash(text: string, algo: HashAlgo | undefined): NixHash {
  if (text !== "") return parseHash(text, algo);
  if (algo === undefined) throw new EvalError("ERR_EVAL_HASH", "empty hash requires explicit hash algorithm");
  return zeroHash(algo);
}
