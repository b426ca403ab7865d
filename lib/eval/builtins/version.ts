// Built-in functions on versions and package names.
import { compareVersions, parseDrvName, splitVersion } from "../engine/version.ts";
import { attrsFromPairs } from "../value/attrs.ts";
import { symbol } from "../value/symbol.ts";
import { forcePlainString } from "../vm/demand.ts";
import { type BuiltinTable, define } from "./define.ts";

const DRV_NAME_KEYS = [symbol("name"), symbol("version")];

/** Versions. */
export const VERSION_BUILTINS: BuiltinTable = [
  define(
    "compareVersions",
    "!!",
    "Compares two versions: -1 if the first is older, 0 if they are the same, 1 if it is newer.",
    (_rt, a, b) =>
      compareVersions(
        forcePlainString(a, "the first argument passed to builtins.compareVersions"),
        forcePlainString(b, "the second argument passed to builtins.compareVersions"),
      ),
  ),
  define(
    "parseDrvName",
    "!",
    "Splits a package name into its `name` and its `version`, which begins after the first dash without a letter.",
    (_rt, text) => {
      const parsed = parseDrvName(forcePlainString(text, "the first argument passed to builtins.parseDrvName"));
      return attrsFromPairs(DRV_NAME_KEYS, [parsed.name, parsed.version]);
    },
  ),
  define("splitVersion", "!", "The components of a version, as compareVersions sees them.", (_rt, version) =>
    splitVersion(forcePlainString(version, "the first argument passed to builtins.splitVersion")),
  ),
];
