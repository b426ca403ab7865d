// fromTOML: the built-in function that reads TOML text into values.
import { parseToml } from "../engine/toml.ts";
import { force } from "../value/thunk.ts";
import { forcePlainString } from "../vm/demand.ts";
import { type BuiltinTable, define } from "./define.ts";
import { JSON_BUILDER } from "./json.ts";

/** TOML. */
export const TOML_BUILTINS: BuiltinTable = [
  define("fromTOML", "!", "The value of a TOML document; dates and times are refused.", (rt, text) => {
    const timestamps = rt.settings.features.has("parse-toml-timestamps");
    const document = forcePlainString(text, "the argument passed to builtins.fromTOML");
    return force(parseToml(document, JSON_BUILDER, { timestamps }));
  }),
];
