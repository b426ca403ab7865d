// All built-in functions of the language, and which of them are global names.

import { ATTRS_BUILTINS } from "./attrs.ts";
import { CONTEXT_BUILTINS } from "./context.ts";
import { CONTROL_BUILTINS } from "./control.ts";
import type { BuiltinConstant, BuiltinTable } from "./define.ts";
import { HASH_BUILTINS } from "./hash.ts";
import { JSON_BUILTINS } from "./json.ts";
import { LIST_BUILTINS } from "./lists.ts";
import { NUMBER_BUILTINS } from "./numbers.ts";
import { CONSTANTS, PATH_BUILTINS } from "./paths.ts";
import { PROVIDED_BUILTINS } from "./provided.ts";
import { REGEX_BUILTINS } from "./regex.ts";
import { STRING_BUILTINS } from "./strings.ts";
import { TOML_BUILTINS } from "./toml.ts";
import { TYPE_BUILTINS } from "./types.ts";
import { VERSION_BUILTINS } from "./version.ts";
import { XML_BUILTINS } from "./xml.ts";

/** The families, each a table. */
export const BUILTIN_FAMILIES: readonly BuiltinTable[] = [
  ATTRS_BUILTINS,
  CONTEXT_BUILTINS,
  CONTROL_BUILTINS,
  HASH_BUILTINS,
  JSON_BUILTINS,
  LIST_BUILTINS,
  NUMBER_BUILTINS,
  PATH_BUILTINS,
  PROVIDED_BUILTINS,
  REGEX_BUILTINS,
  STRING_BUILTINS,
  TOML_BUILTINS,
  TYPE_BUILTINS,
  VERSION_BUILTINS,
  XML_BUILTINS,
];

/** Built-in values that are not functions. */
export const BUILTIN_CONSTANTS: readonly BuiltinConstant[] = CONSTANTS;

/** The names that need no `builtins.` in front; all others are global with two underscores in front. */
export const GLOBAL_NAMES: readonly string[] = [
  "abort",
  "baseNameOf",
  "break",
  "builtins",
  "derivation",
  "derivationStrict",
  "dirOf",
  "false",
  "fetchGit",
  "fetchMercurial",
  "fetchTarball",
  "fetchTree",
  "fromTOML",
  "import",
  "isNull",
  "map",
  "null",
  "placeholder",
  "removeAttrs",
  "scopedImport",
  "throw",
  "toString",
  "true",
];
