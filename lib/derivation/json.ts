// Derivations as JSON, in the fourth version of Nix's format (`nix derivation show` of 2.33 and later).
//
// Store paths appear without their store directory and keys are sorted bytewise. Strings become text here: a derivation
// whose fields are not UTF-8 has no JSON form.

import { compareBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { decodeUtf8, encodeUtf8, latin1ToBytes } from "../base/text.ts";
import { parseOutputMethod } from "../formats/content-address.ts";
import { formatHash, parseDigest } from "../formats/hash.ts";
import { STORE_DIR, StorePath } from "../formats/store-path.ts";
import { type Derivation, type DerivationOutput, type InputDrv, outputKind } from "./model.ts";

const VERSION = 4;

/** The variable that holds the JSON of structured attributes; JSON shows its content instead. */
const STRUCTURED = "__json";

/** What {@link formatDerivations} writes: a derivation and the path of its file. */
export interface NamedDerivation {
  readonly path: StorePath;
  readonly derivation: Derivation;
}

/** Writes the object that `nix derivation show` prints, compact: all derivations by the base names of their paths. */
export function formatDerivations(derivations: Iterable<NamedDerivation>, storeDir: string = STORE_DIR): string {
  const members = new Map<string, string>();
  for (const { path, derivation } of derivations) members.set(path.basename, formatDerivation(derivation, storeDir));
  return `{"derivations":${object(members)},"version":${VERSION}}`;
}

/**
 * Writes one derivation, compact.
 *
 * @throws TvixError `ERR_DRV_JSON_NOT_UTF8`, `ERR_DRV_JSON_STRUCTURED` when the structured attributes are not JSON, or
 *   the errors of a derivation that is not valid
 */
export function formatDerivation(derivation: Derivation, storeDir: string = STORE_DIR): string {
  const env = new Map<string, string>();
  for (const [name, value] of derivation.env) if (name !== STRUCTURED) env.set(text(name), json(value));
  const members = new Map<string, string>([
    ["args", array(derivation.args)],
    ["builder", json(derivation.builder)],
    ["env", object(env)],
    ["inputs", `{"drvs":${inputDrvs(derivation, storeDir)},"srcs":${inputSrcs(derivation, storeDir)}}`],
    ["name", json(derivation.name)],
    [
      "outputs",
      object(new Map(Array.from(derivation.outputs, ([name, fields]) => [text(name), output(fields, storeDir)]))),
    ],
    ["system", json(derivation.system)],
    ["version", String(VERSION)],
  ]);
  const structured = derivation.env.get(STRUCTURED);
  if (structured !== undefined) members.set("structuredAttrs", checkStructured(derivation.name, text(structured)));
  return object(members);
}

function output(fields: DerivationOutput, storeDir: string): string {
  const kind = outputKind(fields);
  if (kind === "deferred") return "{}";
  if (kind === "input-addressed") return `{"path":${basename(fields.path, storeDir)}}`;
  const { method, algo } = parseOutputMethod(fields.hashAlgo);
  if (kind === "fixed") return `{"hash":"${formatHash(parseDigest(fields.hash, algo), "sri")}","method":"${method}"}`;
  return `{"hashAlgo":"${algo}",${kind === "impure" ? '"impure":true,' : ""}"method":"${method}"}`;
}

function inputDrvs(derivation: Derivation, storeDir: string): string {
  const members = new Map<string, string>();
  for (const [path, input] of derivation.inputDrvs) {
    members.set(StorePath.parseAbsolute(path, storeDir).basename, inputDrv(input));
  }
  return object(members);
}

function inputDrv(input: InputDrv): string {
  const dynamic = new Map(Array.from(input.dynamicOutputs ?? [], ([name, inner]) => [text(name), inputDrv(inner)]));
  return `{"dynamicOutputs":${object(dynamic)},"outputs":${array(input.outputs.toSorted())}}`;
}

function inputSrcs(derivation: Derivation, storeDir: string): string {
  return `[${derivation.inputSrcs
    .map((path) => basename(path, storeDir))
    .sort()
    .join(",")}]`;
}

function basename(path: string, storeDir: string): string {
  return json(StorePath.parseAbsolute(path, storeDir).basename);
}

function checkStructured(name: string, structured: string): string {
  try {
    const value: unknown = JSON.parse(structured);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return structured;
  } catch (cause) {
    throw new TvixError("ERR_DRV_JSON_STRUCTURED", `the structured attributes of '${name}' are not JSON`, { cause });
  }
  throw new TvixError("ERR_DRV_JSON_STRUCTURED", `the structured attributes of '${name}' are not a JSON object`);
}

/** Writes an object of members that are JSON already, sorted by the bytes of their keys. */
function object(members: ReadonlyMap<string, string>): string {
  const sorted = Array.from(members, ([key, value]) => ({
    bytes: encodeUtf8(key),
    member: `${JSON.stringify(key)}:${value}`,
  }));
  sorted.sort((a, b) => compareBytes(a.bytes, b.bytes));
  return `{${sorted.map(({ member }) => member).join(",")}}`;
}

function array(strings: readonly string[]): string {
  return `[${strings.map(json).join(",")}]`;
}

function json(bytes: string): string {
  return JSON.stringify(text(bytes));
}

/** The text that a byte string encodes. */
function text(bytes: string): string {
  const decoded = decodeUtf8(latin1ToBytes(bytes));
  if (decoded === undefined) {
    throw new TvixError(
      "ERR_DRV_JSON_NOT_UTF8",
      `${JSON.stringify(bytes.slice(0, 80))} is not UTF-8, which JSON needs`,
    );
  }
  return decoded;
}
