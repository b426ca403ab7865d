// Built-in functions on paths and files, and the constants that say where the evaluator runs.

import { placeholder } from "../../formats/store-path.ts";
import { EvalError } from "../error.ts";
import type { FileType } from "../io.ts";
import { attrsFromPairs } from "../value/attrs.ts";
import { ContextBuilder, makeString } from "../value/string.ts";
import { symbol } from "../value/symbol.ts";
import { force, Thunk } from "../value/thunk.ts";
import { NixPath, type Value, type Whnf } from "../value/value.ts";
import { coerceToPath, coerceToString, WEAK_TEXT } from "../vm/coerce.ts";
import { demandAttr, forceAttrs, forceList, forcePlainString } from "../vm/demand.ts";
import { baseName, directoryName } from "../text/path.ts";
import type { Runtime, SearchPathEntry } from "../vm/runtime.ts";
import { type Builtin, type BuiltinConstant, define } from "./define.ts";
import { forceAlgo, hashHex } from "./hash.ts";

const PREFIX = symbol("prefix");
const PATH = symbol("path");

/** The path a value means, with everything it refers to made readable. */
function readablePath(rt: Runtime, value: Value, follows = true): string {
  const context = new ContextBuilder();
  const path = coerceToPath(rt, value, context);
  if (context.context.size > 0) rt.realise(context.context);
  return rt.readable(path, follows);
}

function searchPathOf(rt: Runtime, value: Value): SearchPathEntry[] {
  const where = "an element of the list passed to builtins.findFile";
  return forceList(value, "the first argument passed to builtins.findFile").map((item) => {
    const entry = forceAttrs(item, where);
    const prefixValue = entry.get(PREFIX);
    const prefix =
      prefixValue === undefined
        ? ""
        : forcePlainString(prefixValue, "the `prefix` attribute of an element of the list passed to builtins.findFile");
    const context = new ContextBuilder();
    const path = coerceToString(rt, demandAttr(entry, PATH, "path", where), WEAK_TEXT, context);
    if (context.context.size > 0) rt.realise(context.context);
    return { prefix, path };
  });
}

function pathExists(rt: Runtime, value: Value): boolean {
  const v = force(value);
  const context = new ContextBuilder();
  const text = v instanceof NixPath ? v.text : coerceToString(rt, v, WEAK_TEXT, context);
  const path = coerceToPath(rt, v instanceof NixPath ? v : text, new ContextBuilder());
  if (context.context.size > 0) rt.realise(context.context);
  let type: FileType | undefined;
  // A trailing slash (or `/.`) asks for a directory, following symlinks.
  const demandsDirectory = /\/\.?$/.test(text) && text !== "/";
  try {
    const allowed = rt.readable(path, demandsDirectory);
    type = rt.io.fileType(demandsDirectory ? rt.io.realPath(allowed) : allowed);
  } catch (error) {
    if (error instanceof EvalError && error.code === "ERR_EVAL_RESTRICTED") return false;
    throw error;
  }
  return demandsDirectory ? type === "directory" : type !== undefined;
}

function readFile(rt: Runtime, value: Value): Whnf {
  const path = readablePath(rt, value);
  const text = rt.io.readFile(path);
  if (text.includes("\0")) {
    throw new EvalError("ERR_EVAL_IO", `the contents of the file '${path}' cannot be represented as a Nix string`);
  }
  return makeString(text, rt.fileContext(path, text));
}

function fileType(rt: Runtime, value: Value): string {
  const path = readablePath(rt, value, false);
  const type = rt.io.fileType(path);
  if (type === undefined) throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
  return type;
}

function readDirectory(rt: Runtime, value: Value): Whnf {
  const path = readablePath(rt, value);
  const entries = rt.io.readDirectory(path);
  return attrsFromPairs(
    entries.map(([name]) => symbol(name)),
    entries.map(([, type]) => type),
  );
}

/** Paths and files. */
export const PATH_BUILTINS: readonly Builtin[] = [
  define("baseNameOf", "!", "The last component of a path.", (rt, value) => {
    const context = new ContextBuilder();
    const text = coerceToString(rt, value, WEAK_TEXT, context);
    return makeString(baseName(text), context.context);
  }),
  define("dirOf", "!", "A path without its last component.", (rt, value) => {
    const v = force(value);
    if (v instanceof NixPath) return new NixPath(directoryName(v.text));
    const context = new ContextBuilder();
    const text = coerceToString(rt, v, WEAK_TEXT, context);
    return makeString(directoryName(text), context.context);
  }),
  define("findFile", "!!", "Finds a name along a search path.", (rt, entries, name) => {
    const searchPath = searchPathOf(rt, entries);
    const text = forcePlainString(name, "the second argument passed to builtins.findFile");
    return new NixPath(rt.findFile(searchPath, text));
  }),
  define("getEnv", "!", "An environment variable, empty when it is not set.", (rt, name) => {
    const text = forcePlainString(name, "the first argument passed to builtins.getEnv");
    return rt.settings.pure || rt.settings.restricted ? "" : (rt.io.variable(text) ?? "");
  }),
  define("hashFile", "!!", "The hash of a file's contents, as base-16.", (rt, algo, value) => {
    const known = forceAlgo(rt, algo, "the first argument passed to builtins.hashFile");
    return hashHex(known, rt.io.readFile(readablePath(rt, value)));
  }),
  define("import", "!", "The value of the expression in a file.", (rt, value) =>
    rt.importFile(readablePath(rt, value)),
  ),
  define("pathExists", "!", "Whether there is something at a path.", (rt, value) => pathExists(rt, value)),
  define("placeholder", "!", "The text that stands for the path of an output in its own derivation.", (_rt, output) =>
    placeholder(forcePlainString(output, "the first argument passed to builtins.placeholder")),
  ),
  define("readDir", "!", "The entries of a directory with their types.", (rt, value) => readDirectory(rt, value)),
  define("readFile", "!", "The contents of a file.", (rt, value) => readFile(rt, value)),
  define("readFileType", "!", "The type of the file at a path.", (rt, value) => fileType(rt, value)),
  define("scopedImport", "!!", "Like import, with the names of a set visible in the file.", (rt, scope, value) => {
    const set = forceAttrs(scope, "the first argument passed to builtins.scopedImport");
    return rt.importScoped(set, readablePath(rt, value));
  }),
  define("toPath", "!", "The text of an absolute path, made canonical; deprecated.", (rt, value) => {
    const context = new ContextBuilder();
    const path = coerceToPath(rt, value, context);
    return makeString(path, context.context);
  }),
];

/** Constants about the evaluator and its surroundings. */
export const CONSTANTS: readonly BuiltinConstant[] = [
  { name: "true", doc: "The Boolean true.", value: () => true },
  { name: "false", doc: "The Boolean false.", value: () => false },
  { name: "null", doc: "The null value.", value: () => null },
  {
    name: "currentSystem",
    doc: "The system that things are built for by default; absent in pure mode.",
    value: (rt) => (rt.settings.pure ? undefined : rt.settings.system),
  },
  {
    name: "currentTime",
    doc: "What time it was when it was first asked for, in seconds since 1970; absent in pure mode.",
    value: (rt) => (rt.settings.pure ? undefined : new Thunk(() => rt.io.time(), null)),
  },
  { name: "langVersion", doc: "The version of the language.", value: () => 6 },
  {
    name: "nixPath",
    doc: "The search path of `<name>`.",
    value: (rt) => rt.settings.searchPath.map(({ prefix, path }) => attrsFromPairs([PATH, PREFIX], [path, prefix])),
  },
  { name: "nixVersion", doc: "The version of Nix whose language this is.", value: (rt) => rt.settings.nixVersion },
  { name: "storeDir", doc: "Where the store is.", value: (rt) => rt.settings.storeDir },
];
