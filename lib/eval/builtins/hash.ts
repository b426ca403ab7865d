// hashString and convertHash.
import { TvixError } from "../../base/error.ts";
import { latin1ToBytes } from "../../base/text.ts";
import { type DigestAlgo, digestBytes } from "../../formats/digest.ts";
import { formatHash, parseHash, parseHashAlgo, parseHashFormat } from "../../formats/hash.ts";
import { EvalError } from "../error.ts";
import { demandAlgo } from "../features.ts";
import { symbol } from "../value/symbol.ts";
import type { Value, Whnf } from "../value/value.ts";
import { demandAttr, forceAttrs, forcePlainString, forceText } from "../vm/demand.ts";
import type { Runtime } from "../vm/runtime.ts";
import { type BuiltinTable, define } from "./define.ts";

const HASH = symbol("hash");
const HASH_ALGO = symbol("hashAlgo");
const TO_HASH_FORMAT = symbol("toHashFormat");

/** Runs code of lib/formats, whose errors become those of an evaluation. */
function asEvalError<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof EvalError || !(error instanceof TvixError)) throw error;
    throw new EvalError("ERR_EVAL_HASH", error.message, { cause: error, notes: error.notes });
  }
}

/** The algorithm that the first argument of a hash function names; it is looked at before the second is computed. */
export function forceAlgo(rt: Runtime, value: Value, where: string): DigestAlgo {
  const name = forcePlainString(value, where);
  demandAlgo(rt.settings.features, name);
  return asEvalError(() => parseHashAlgo(name));
}

/** The lower-case hexadecimal digest of bytes (one char each). */
export function hashHex(algo: DigestAlgo, text: string): string {
  return formatHash({ algo, digest: digestBytes(algo, latin1ToBytes(text)) }, "base16");
}

function convertHash(rt: Runtime, input: Value): Whnf {
  const where = "the first argument passed to builtins.convertHash";
  const attrs = forceAttrs(input, where);
  const hash = forcePlainString(demandAttr(attrs, HASH, "hash", where), "the attribute 'hash'");
  const algoValue = attrs.get(HASH_ALGO);
  const algo = algoValue === undefined ? undefined : forcePlainString(algoValue, "the attribute 'hashAlgo'");
  const format = forcePlainString(
    demandAttr(attrs, TO_HASH_FORMAT, "toHashFormat", where),
    "the attribute 'toHashFormat'",
  );
  for (const text of [algo ?? "", hash]) demandAlgo(rt.settings.features, text);
  return asEvalError(() => {
    const known = algo === undefined ? undefined : parseHashAlgo(algo);
    return formatHash(parseHash(hash, known), parseHashFormat(format));
  });
}

/** Hashes. */
export const HASH_BUILTINS: BuiltinTable = [
  define(
    "convertHash",
    "!",
    "The `hash` of a set (with its `hashAlgo`, unless it names one itself) written as its `toHashFormat` says: base16, nix32, base64 or sri.",
    convertHash,
  ),
  define("hashString", "!!", "The digest of a string's bytes, in base-16.", (rt, algo, text) =>
    hashHex(
      forceAlgo(rt, algo, "the first argument passed to builtins.hashString"),
      forceText(text, "the second argument passed to builtins.hashString"),
    ),
  ),
];
