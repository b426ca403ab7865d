// Built-in functions that put things into the store: path, filterSource, toFile, storePath.

import { equalBytes } from "../../base/bytes.ts";
import { latin1ToBytes } from "../../base/text.ts";
import { type Builtin, define } from "../../eval/builtins/define.ts";
import { EvalError } from "../../eval/error.ts";
import { demandAlgo } from "../../eval/features.ts";
import { NO_CONTEXT, ContextBuilder, ContextString, parseContextElement } from "../../eval/value/string.ts";
import { symbolName } from "../../eval/value/symbol.ts";
import type { Value, Whnf } from "../../eval/value/value.ts";
import { call2 } from "../../eval/vm/call.ts";
import { coerceToPath } from "../../eval/vm/coerce.ts";
import { forceAttrs, forceBool, forceFunction, forcePlainString, forceString, textOf } from "../../eval/vm/demand.ts";
import { baseName } from "../../eval/text/path.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { formatHash, type NixHash, nixHash, parseHash } from "../../formats/hash.ts";
import { contentAddressedPath, StorePath, textPath } from "../../formats/store-path.ts";
import { parseDerivation } from "../../derivation/parse.ts";
import { storeErrors } from "../store-errors.ts";
import type { World } from "../world.ts";
import { hashFlat, hashTree, type SourceFilter } from "../source-hash.ts";

interface PathRequest {
  readonly path: string;
  readonly name: string;
  readonly filter: Value | undefined;
  readonly recursive: boolean;
  readonly expected: NixHash | undefined;
}

function addPath(rt: Runtime, world: World, request: PathRequest): ContextString {
  // A symlink stands for what it leads to, also in the paths that the filter sees.
  const path = rt.readable(rt.io.realPath(rt.readable(request.path)));
  if (rt.io.fileType(path) === "symlink") throw new EvalError("ERR_EVAL_IO", `path '${path}' leads nowhere`);
  const { filter } = request;
  const accepted = new Set<string>();
  const accept: SourceFilter | undefined =
    filter === undefined
      ? undefined
      : (entry, type) => {
          const taken = forceBool(call2(filter, entry, type), "the return value of the path filter function");
          if (taken) accepted.add(entry);
          return taken;
        };
  if (!request.recursive && rt.io.fileType(path) !== "regular") {
    throw new EvalError("ERR_EVAL_IO", `'${path}' is not a regular file, and a flat store object must be one`);
  }
  const digest = request.recursive ? hashTree(rt.io, path, "sha256", accept) : hashFlat(rt.io, path);
  if (request.expected !== undefined && !equalBytes(digest, request.expected.digest)) {
    const found = formatHash(nixHash("sha256", digest), "sri");
    throw new EvalError("ERR_EVAL_HASH", `hash mismatch in path '${path}'`, {
      notes: [`expected ${formatHash(request.expected, "sri")}`, `found    ${found}`],
    });
  }
  const storePath = storeErrors(() =>
    contentAddressedPath({
      name: request.name,
      storeDir: rt.settings.storeDir,
      address: { method: request.recursive ? "nar" : "flat", hash: nixHash("sha256", digest) },
    }),
  ).absolute(rt.settings.storeDir);
  world.sources.add(
    storePath,
    request.recursive
      ? { kind: "tree", origin: path, accepted: filter === undefined ? null : accepted }
      : { kind: "flat", origin: path },
  );
  return new ContextString(storePath, new Set([storePath]));
}

function realisedPath(rt: Runtime, value: Value): string {
  const context = new ContextBuilder();
  const path = coerceToPath(rt, value, context);
  if (context.context.size > 0) rt.realise(context.context);
  return path;
}

function path(rt: Runtime, world: World, argument: Value): Whnf {
  const attrs = forceAttrs(argument, "the argument passed to 'builtins.path'").flatten();
  let source: string | undefined;
  let name = "";
  let filter: Value | undefined;
  let recursive = true;
  let expected: NixHash | undefined;
  attrs.shape.keys.forEach((key, i) => {
    const value = attrs.values[i] as Value;
    const attribute = symbolName(key);
    const where = `the \`${attribute}\` attribute passed to builtins.path`;
    if (attribute === "path") source = realisedPath(rt, value);
    else if (attribute === "name") name = forcePlainString(value, where);
    else if (attribute === "filter") filter = forceFunction(value, where);
    else if (attribute === "recursive") recursive = forceBool(value, where);
    else if (attribute === "sha256") {
      const text = forcePlainString(value, where);
      demandAlgo(rt.settings.features, text);
      expected = storeErrors(() => parseHash(text, "sha256"));
    } else {
      throw new EvalError("ERR_EVAL_ARGUMENT", `unsupported argument '${attribute}' to 'builtins.path'`);
    }
  });
  if (source === undefined) {
    throw new EvalError(
      "ERR_EVAL_ARGUMENT",
      "missing required 'path' attribute in the first argument to 'builtins.path'",
    );
  }
  return addPath(rt, world, { path: source, name: name || baseName(source), filter, recursive, expected });
}

function toFile(rt: Runtime, world: World, nameValue: Value, contents: Value): Whnf {
  const name = forcePlainString(nameValue, "the first argument passed to builtins.toFile");
  const value = forceString(contents, "the second argument passed to builtins.toFile");
  const context = value instanceof ContextString ? value.context : NO_CONTEXT;
  for (const element of context) {
    if (parseContextElement(element).kind === "path") continue;
    throw new EvalError(
      "ERR_EVAL_CONTEXT",
      `files created by builtins.toFile may not reference derivations, but ${name} references ${element}`,
    );
  }
  const { storeDir } = rt.settings;
  const made = storeErrors(() =>
    textPath({ name, storeDir, contents: latin1ToBytes(textOf(value)), references: context }),
  ).absolute(storeDir);
  const text = textOf(value);
  if (name.endsWith(".drv")) storeErrors(() => parseDerivation(latin1ToBytes(text), name.slice(0, -".drv".length)));
  world.sources.add(made, { kind: "text", text, references: [...context] });
  return new ContextString(made, new Set([made]));
}

function storePath(rt: Runtime, world: World, value: Value): Whnf {
  if (rt.settings.pure) {
    throw new EvalError("ERR_EVAL_RESTRICTED", "'builtins.storePath' is not allowed in pure evaluation mode");
  }
  const { storeDir } = rt.settings;
  const context = new ContextBuilder();
  let text = coerceToPath(rt, value, context);
  if (!text.startsWith(`${storeDir}/`)) text = rt.io.realPath(text);
  if (!text.startsWith(`${storeDir}/`)) throw new EvalError("ERR_EVAL_STORE", `path '${text}' is not in the Nix store`);
  const { path: root } = storeErrors(() => StorePath.split(text, storeDir));
  const absolute = root.absolute(storeDir);
  if (world.writable && !world.has(absolute)) throw new EvalError("ERR_EVAL_STORE", `path '${absolute}' is not valid`);
  context.add(new Set([absolute]));
  return new ContextString(text, context.context);
}

/** The builtins of paths that go into the store. */
export function storeBuiltins(world: World): readonly Builtin[] {
  return [
    define(
      "filterSource",
      "!!",
      "Copies the part of a tree that a function accepts to the store.",
      (rt, filter, value) => {
        const source = realisedPath(rt, value);
        const accept = forceFunction(filter, "the first argument passed to builtins.filterSource");
        const name = baseName(source);
        return addPath(rt, world, { path: source, name, filter: accept, recursive: true, expected: undefined });
      },
    ),
    define("path", "!", "Copies a path to the store, with a name, a filter or an expected hash.", (rt, argument) =>
      path(rt, world, argument),
    ),
    define("storePath", "!", "A path in the store as a string that refers to it.", (rt, value) =>
      storePath(rt, world, value),
    ),
    define("toFile", "!!", "Puts a text into the store.", (rt, name, contents) => toFile(rt, world, name, contents)),
  ];
}
