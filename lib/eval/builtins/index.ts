// All built-in functions of the language that need no store and no network, and which of them are global names.

import { ATTRS_BUILTINS } from "./attrs.ts";
import { CONTEXT_BUILTINS } from "./context.ts";
import { CONTROL_BUILTINS } from "./control.ts";
import type { BuiltinConstant, BuiltinTable } from "./define.ts";
import { LIST_BUILTINS } from "./lists.ts";
import { CONSTANTS, PATH_BUILTINS } from "./paths.ts";
import { TYPE_BUILTINS } from "./types.ts";

/** The families, each a table. */
export const BUILTIN_FAMILIES: readonly BuiltinTable[] = [
  ATTRS_BUILTINS,
  CONTEXT_BUILTINS,
  CONTROL_BUILTINS,
  LIST_BUILTINS,
  PATH_BUILTINS,
  TYPE_BUILTINS,
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
