// Built-in functions that belong to the language but need a store or the network: defined here by name, so that every
// program that mentions them is read alike; an embedder replaces them (`EvaluatorOptions.builtins`), as lib/nix does.

import { EvalError, type EvalErrorCode } from "../error.ts";
import { type Builtin, type BuiltinTable, define } from "./define.ts";

/** A function that says what this evaluator lacks when it is called. */
function lacking(name: string, signature: string, code: EvalErrorCode, need: string, doc: string): Builtin {
  return define(name, signature, doc, () => {
    throw new EvalError(code, `cannot call builtins.${name}: this evaluator has no ${need}`, {
      notes: [`whoever embeds the evaluator gives it '${name}' as one of its own built-in functions`],
    });
  });
}

const store = (name: string, signature: string, doc: string): Builtin =>
  lacking(name, signature, "ERR_EVAL_STORE", "store", doc);

const fetcher = (name: string, signature: string, doc: string): Builtin =>
  lacking(name, signature, "ERR_EVAL_FETCH", "fetchers", doc);

/** What an embedder provides. */
export const PROVIDED_BUILTINS: BuiltinTable = [
  store("derivationStrict", "!", "Makes a derivation; `derivation` is the convenient form."),
  store("filterSource", "!!", "Copies a path to the store, without what a function rejects."),
  store("path", "!", "Copies a path to the store, with a name, a filter or an expected hash."),
  store("storePath", "!", "A path in the store as a string that refers to it."),
  store("toFile", "!!", "Puts a text into the store."),
  fetcher("fetchGit", "!", "Fetches a revision of a Git repository."),
  fetcher("fetchMercurial", "!", "Fetches a revision of a Mercurial repository."),
  fetcher("fetchTarball", "!", "Fetches an archive and unpacks it."),
  fetcher("fetchTree", "!", "Fetches a tree that a set of attributes or a URL describes."),
  fetcher("fetchurl", "!", "Fetches a file."),
  fetcher("flakeRefToString", "!", "The URL form of a flake reference."),
  fetcher("getFlake", "!", "The outputs of a flake, and what is known of it."),
  fetcher("parseFlakeRef", "!", "The attributes of a flake reference in its URL form."),
];
