// Reads .drv files.
//
// The reader takes exactly what the writer writes: names and paths sorted and without repetition, one spelling of each
// string. A file that differs by a byte has a different store path, so a tolerant reader would only hide that its
// result is no longer the file that was read.

import { TvixError } from "../base/error.ts";
import { bytesToLatin1 } from "../base/text.ts";
import { AtermReader } from "../formats/aterm.ts";
import { type Derivation, type DerivationOutput, type InputDrv, UNESCAPED } from "./model.ts";

/** Derivations made by derivations made by derivations … at most. */
const DYNAMIC_DEPTH_MAX = 64;

/**
 * Reads a .drv file's contents; a string is taken as one char per byte. `name` is the derivation's name, without
 * `.drv`, which only the file's own path tells. What the fields mean together is for {@link validateDerivation}.
 *
 * @throws TvixError `ERR_ATERM_…` for the syntax, `ERR_DRV_VERSION`, `ERR_DRV_ORDER` or `ERR_DRV_NO_OUTPUTS`
 */
export function parseDerivation(contents: Uint8Array | string, name: string): Derivation {
  const reader = readerOf(contents);
  const isDynamic = readHeader(reader);
  const { outputs, inputDrvs, inputSrcs } = readOutline(reader, isDynamic);
  reader.expect(",");
  const system = plain(reader, reader.string());
  reader.expect(",");
  const builder = reader.string();
  reader.expect(",");
  const args = reader.strings();
  reader.expect(",");
  const env = readEnv(reader);
  reader.expect(")");
  reader.end();
  if (isDynamic && !someDynamic(inputDrvs)) {
    throw new TvixError("ERR_DRV_VERSION", "the file is marked as having dynamic inputs, and has none");
  }
  return { name, outputs, inputDrvs, inputSrcs, system, builder, args, env };
}

/** What a derivation makes and what it uses: the first half of its file. */
export type DerivationOutline = Pick<Derivation, "outputs" | "inputDrvs" | "inputSrcs">;

/** Reads the first half of a .drv file's contents, where that is all that is asked for; throws as {@link parseDerivation}. */
export function parseOutline(contents: Uint8Array | string): DerivationOutline {
  const reader = readerOf(contents);
  return readOutline(reader, readHeader(reader));
}

function readerOf(contents: Uint8Array | string): AtermReader {
  return new AtermReader(typeof contents === "string" ? contents : bytesToLatin1(contents));
}

function readOutline(reader: AtermReader, isDynamic: boolean): DerivationOutline {
  const outputs = readOutputs(reader);
  reader.expect(",");
  const inputDrvs = readInputs(reader, isDynamic, 0, "input derivations");
  reader.expect(",");
  return { outputs, inputDrvs, inputSrcs: sorted(reader, reader.strings(), "input sources") };
}

function readHeader(reader: AtermReader): boolean {
  if (reader.accept("Derive(")) return false;
  reader.expect("DrvWithVersion(");
  const version = reader.string();
  if (version !== "xp-dyn-drv") {
    throw new TvixError("ERR_DRV_VERSION", `unknown derivation format version '${version.slice(0, 40)}'`);
  }
  reader.expect(",");
  return true;
}

function readOutputs(reader: AtermReader): Map<string, DerivationOutput> {
  const outputs = new Map<string, DerivationOutput>();
  let previous: string | undefined;
  reader.list(() => {
    reader.expect("(");
    const name = plain(reader, reader.string());
    reader.expect(",");
    const path = plain(reader, reader.string());
    reader.expect(",");
    const hashAlgo = plain(reader, reader.string());
    reader.expect(",");
    const hash = plain(reader, reader.string());
    reader.expect(")");
    previous = ascending(reader, previous, name, "outputs");
    outputs.set(name, { path, hashAlgo, hash });
  });
  if (outputs.size === 0) throw new TvixError("ERR_DRV_NO_OUTPUTS", "the derivation has no outputs");
  return outputs;
}

function readInputs(reader: AtermReader, isDynamic: boolean, depth: number, what: string): Map<string, InputDrv> {
  const inputs = new Map<string, InputDrv>();
  let previous: string | undefined;
  reader.list(() => {
    reader.expect("(");
    const key = plain(reader, reader.string());
    reader.expect(",");
    const input = readInput(reader, isDynamic, depth);
    reader.expect(")");
    previous = ascending(reader, previous, key, what);
    inputs.set(key, input);
  });
  return inputs;
}

function readInput(reader: AtermReader, isDynamic: boolean, depth: number): InputDrv {
  if (!isDynamic || !reader.isNext("(")) return { outputs: sorted(reader, reader.strings(), "output names") };
  if (depth >= DYNAMIC_DEPTH_MAX) {
    throw new TvixError("ERR_DRV_TOO_DEEP", `dynamic inputs lie more than ${DYNAMIC_DEPTH_MAX} levels deep`);
  }
  reader.expect("(");
  const outputs = sorted(reader, reader.strings(), "output names");
  reader.expect(",");
  const dynamicOutputs = readInputs(reader, true, depth + 1, "dynamic outputs");
  reader.expect(")");
  if (dynamicOutputs.size === 0) {
    throw new TvixError("ERR_DRV_VERSION", `a dynamic input without dynamic outputs (at byte ${reader.at})`);
  }
  return { outputs, dynamicOutputs };
}

function readEnv(reader: AtermReader): Map<string, string> {
  const env = new Map<string, string>();
  let previous: string | undefined;
  reader.list(() => {
    reader.expect("(");
    const name = reader.string();
    reader.expect(",");
    env.set(name, reader.string());
    reader.expect(")");
    previous = ascending(reader, previous, name, "environment variables");
  });
  return env;
}

function sorted(reader: AtermReader, names: string[], what: string): string[] {
  let previous: string | undefined;
  for (const name of names) previous = ascending(reader, previous, plain(reader, name), what);
  return names;
}

function ascending(reader: AtermReader, previous: string | undefined, name: string, what: string): string {
  if (previous !== undefined && previous >= name) {
    throw new TvixError("ERR_DRV_ORDER", `${what} are not sorted, or repeat (before byte ${reader.at})`);
  }
  return name;
}

/** Names, paths, hashes and the system are written without escaping; one that would need it is none. */
function plain(reader: AtermReader, text: string): string {
  if (UNESCAPED.test(text)) {
    throw new TvixError("ERR_DRV_ESCAPED_NAME", `a name, path, hash or system with escapes (before byte ${reader.at})`);
  }
  return text;
}

function someDynamic(inputs: ReadonlyMap<string, InputDrv>): boolean {
  for (const input of inputs.values()) if (input.dynamicOutputs !== undefined) return true;
  return false;
}
