// Built-in functions that fetch: files, archives, repositories.

import { equalBytes } from "../../base/bytes.ts";
import { type Builtin, define } from "../../eval/builtins/define.ts";
import { EvalError } from "../../eval/error.ts";
import { demandAlgo } from "../../eval/features.ts";
import { Attrs } from "../../eval/value/attrs.ts";
import { ContextBuilder, ContextString } from "../../eval/value/string.ts";
import { symbol } from "../../eval/value/symbol.ts";
import { force } from "../../eval/value/thunk.ts";
import { describeType, isString, NixPath, type Value, type Whnf } from "../../eval/value/value.ts";
import { coerceToString, WEAK_TEXT } from "../../eval/vm/coerce.ts";
import { forcePlainString } from "../../eval/vm/demand.ts";
import { baseName } from "../../eval/text/path.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { formatPrefixedHash, type NixHash, nixHash, parseHash, zeroHash } from "../../formats/hash.ts";
import { checkStoreName } from "../../formats/store-path.ts";
import { attrEntries, attrSet } from "../attr-set.ts";
import type { CachedTree } from "../fetch/cache.ts";
import {
  type Attribute,
  type InputAttrs,
  inputError,
  intAttr,
  textAttr,
  unicodeText,
  withAttrs,
} from "../fetch/input.ts";
import {
  fetchErrors,
  formatInput,
  hashMismatch,
  inputFromAttrs,
  type InputFetcher,
  isLocked,
} from "../fetch/inputs.ts";
import { NO_REVISION, REVISION, revAttr } from "../fetch/revision.ts";
import { fixGitUrl } from "../fetch/schemes/git.ts";
import { treeAttrs } from "../fetch/tree-attrs.ts";
import { parseUrl } from "../fetch/url.ts";
import { parseFlakeRef } from "../flake/reference.ts";
import { lookUp } from "../flake/registry.ts";
import { channelUrl } from "../search-path.ts";
import { storeErrors } from "../store-errors.ts";

/** Refuses to fetch in restricted mode, which allows no URLs. */
function checkUrl(rt: Runtime, url: string): void {
  if (!rt.settings.restricted) return;
  throw new EvalError("ERR_EVAL_RESTRICTED", `access to URI '${url}' is forbidden in restricted mode`);
}

/** What `fetchurl` and `fetchTarball` are asked for. */
interface UrlRequest {
  readonly url: string;
  readonly name: string;
  /** Whether the program gave the name. */
  readonly isNamed: boolean;
  readonly expected: NixHash | undefined;
}

function readUrlRequest(rt: Runtime, who: string, argument: Value, defaultName: string): UrlRequest {
  const value = force(argument);
  const where = "the url we should fetch";
  let url: string | undefined;
  let name = defaultName;
  let expected: NixHash | undefined;
  if (value instanceof Attrs) {
    for (const [attribute, item] of attrEntries(value)) {
      if (attribute === "url") url = forcePlainString(item, where);
      else if (attribute === "name") name = forcePlainString(item, "the name of the content we should fetch");
      else if (attribute === "sha256") {
        expected = expectedHash(rt, forcePlainString(item, "the sha256 of the content we should fetch"));
      } else throw new EvalError("ERR_EVAL_ARGUMENT", `unsupported argument '${attribute}' to '${who}'`);
    }
    if (url === undefined) throw new EvalError("ERR_EVAL_ARGUMENT", "'url' argument required");
  } else url = forcePlainString(value, where);
  if (who === "fetchTarball") url = channelUrl(url);
  return { url, name: name === "" ? baseName(url) : name, isNamed: value instanceof Attrs && name !== "", expected };
}

function expectedHash(rt: Runtime, text: string): NixHash {
  demandAlgo(rt.settings.features, text);
  if (text !== "") return storeErrors(() => parseHash(text, "sha256"));
  rt.message("warning", "found empty hash, assuming 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='");
  return zeroHash("sha256");
}

function fetchUrl(rt: Runtime, inputs: InputFetcher, who: "fetchurl" | "fetchTarball", argument: Value): Whnf {
  const unpack = who === "fetchTarball";
  const { url, name, isNamed, expected } = readUrlRequest(rt, who, argument, unpack ? "source" : "");
  checkFetchName(who, url, name, isNamed);
  if (rt.settings.pure && expected === undefined) {
    throw new EvalError("ERR_EVAL_RESTRICTED", `in pure evaluation mode, '${who}' requires a 'sha256' argument`);
  }
  checkUrl(rt, url);
  const { world, fetcher } = inputs.context;
  const method = unpack ? "nar" : "flat";
  const store = (tree: CachedTree): ContextString => {
    const path = world.addFetched(name, tree, fetcher.reader, method);
    return new ContextString(path, new Set([path]));
  };
  if (expected !== undefined) {
    const path = world.fixedPath(name, method, expected.digest);
    if (world.has(path)) {
      world.allow(path);
      return new ContextString(path, new Set([path]));
    }
    const known = fetchErrors(() => fetcher.call(unpack ? "tree" : "contents", expected.digest));
    if (known !== undefined) return store(known);
  }
  const request = { url: unicodeText(url), ttl: fetcher.ttl };
  const { tree } = fetchErrors(() => {
    if (parseUrl(url) === undefined) throw inputError(`URL '${url}' doesn't have a scheme, or is none`);
    return fetcher.call(unpack ? "tarball" : "file", request);
  });
  const digest = (unpack ? tree.narSha256 : tree.sha256) as Uint8Array;
  if (expected !== undefined && !equalBytes(expected.digest, digest)) {
    const show = (hash: NixHash): string => formatPrefixedHash(hash, "nix32");
    const what = `hash mismatch in file downloaded from '${url}'`;
    throw hashMismatch(what, show(expected), show(nixHash("sha256", digest)));
  }
  return store(tree);
}

function checkFetchName(who: string, url: string, name: string, isNamed: boolean): void {
  try {
    checkStoreName(name);
  } catch (error) {
    const advice = isNamed
      ? `change the value of the 'name' attribute passed to '${who}'`
      : `pass an attribute set with 'url' and 'name' to '${who}'`;
    throw new EvalError(
      "ERR_EVAL_STORE",
      `invalid store path name when fetching URL '${url}': ${(error as Error).message}`,
      { cause: error, notes: [`${advice}, so that it makes a valid store path`] },
    );
  }
}

function fetchTree(rt: Runtime, inputs: InputFetcher, who: "fetchTree" | "fetchGit", argument: Value): Whnf {
  const isGit = who === "fetchGit";
  let input = readTreeRequest(rt, who, argument);
  const { warn } = inputs.context;
  if (!rt.settings.pure && input.get("type") === "indirect") {
    input = lookUp({ input, dir: "" }, inputs.context, "shared").input;
  }
  if (rt.settings.pure && !isLocked(input)) {
    if (!input.has("narHash")) {
      const message = `in pure evaluation mode, '${who}' doesn't fetch unlocked input '${formatInput(input)}'`;
      throw new EvalError("ERR_EVAL_RESTRICTED", message);
    }
    warn(`input '${formatInput(input)}' is unlocked (it lacks a revision) but is checked by its NAR hash`);
  }
  checkUrl(rt, formatInput(input));
  return treeAttrs(inputs.fetch(input), { emptyRevision: isGit });
}

function readTreeRequest(rt: Runtime, who: "fetchTree" | "fetchGit", argument: Value): InputAttrs {
  const isGit = who === "fetchGit";
  const value = force(argument);
  if (value instanceof Attrs) return treeRequestOf(rt, who, value);
  if (!isString(value) && !(value instanceof NixPath)) {
    const message = `cannot coerce ${describeType(value)} to a string`;
    throw new EvalError("ERR_EVAL_COERCE", message).addFrame(
      `while evaluating the first argument passed to '${who}'`,
      null,
    );
  }
  const url = coerceToString(rt, value, WEAK_TEXT, new ContextBuilder());
  if (isGit) return gitRequest(new Map([["url", fixGitUrl(url)]]));
  if (parseUrl(url) === undefined) throw inputError(`'${url}' doesn't have a scheme`);
  return parseFlakeRef(url).input;
}

function treeRequestOf(rt: Runtime, who: "fetchTree" | "fetchGit", value: Attrs): InputAttrs {
  const isGit = who === "fetchGit";
  const attrs = new Map<string, Attribute>();
  const typeValue = value.get(symbol("type"));
  if (typeValue !== undefined) {
    if (isGit) throw new EvalError("ERR_EVAL_ARGUMENT", "unexpected argument 'type'");
    attrs.set("type", forcePlainString(typeValue, `the \`type\` argument passed to '${who}'`));
  } else if (!isGit) throw new EvalError("ERR_EVAL_ARGUMENT", `argument 'type' is missing in call to '${who}'`);
  for (const [name, delayed] of attrEntries(value)) {
    if (name === "type") continue;
    const item = force(delayed);
    if (isString(item) || item instanceof NixPath) {
      const text = coerceToString(rt, item, WEAK_TEXT, new ContextBuilder());
      attrs.set(name, isGit && name === "url" ? fixGitUrl(text) : text);
    } else if (typeof item === "boolean") attrs.set(name, item);
    else if (typeof item === "number" || typeof item === "bigint") {
      if (item < 0) {
        throw new EvalError("ERR_EVAL_ARGUMENT", `negative value given for '${who}' argument '${name}': ${item}`);
      }
      attrs.set(name, Number(item));
    } else {
      const found = describeType(item);
      const message = `argument '${name}' to '${who}' is ${found} while a string, Boolean or integer is expected`;
      throw new EvalError("ERR_EVAL_TYPE", message);
    }
  }
  if (isGit) return gitRequest(attrs);
  if (attrs.has("name")) {
    throw new EvalError("ERR_EVAL_ARGUMENT", `argument 'name' isn't supported in call to '${who}'`);
  }
  const isShallow = attrs.get("type") === "git" && !attrs.has("shallow");
  return inputFromAttrs(isShallow ? withAttrs(attrs, { shallow: true }) : attrs);
}

/** What `fetchGit` means by its attributes. */
function gitRequest(attrs: ReadonlyMap<string, Attribute>): InputAttrs {
  const exportIgnore = attrs.has("exportIgnore") || attrs.get("submodules") === true ? undefined : true;
  return inputFromAttrs(withAttrs(attrs, { type: "git", exportIgnore }));
}

function fetchMercurial(rt: Runtime, inputs: InputFetcher, argument: Value): Whnf {
  const value = force(argument);
  const attrs = new Map<string, Attribute>([["type", "hg"]]);
  const context = new ContextBuilder();
  let url = "";
  if (value instanceof Attrs) {
    for (const [attribute, item] of attrEntries(value)) {
      if (attribute === "url") url = coerceToString(rt, item, WEAK_TEXT, context);
      else if (attribute === "rev") {
        const rev = forcePlainString(item, "the `rev` attribute passed to builtins.fetchMercurial");
        attrs.set(REVISION.test(rev) ? "rev" : "ref", rev);
      } else if (attribute === "name") {
        attrs.set("name", forcePlainString(item, "the `name` attribute passed to builtins.fetchMercurial"));
      } else {
        throw new EvalError("ERR_EVAL_ARGUMENT", `unsupported argument '${attribute}' to 'fetchMercurial'`);
      }
    }
    if (url === "") throw new EvalError("ERR_EVAL_ARGUMENT", "'url' argument required");
  } else url = coerceToString(rt, value, WEAK_TEXT, context);
  checkUrl(rt, url);
  if (rt.settings.pure && !attrs.has("rev")) {
    const message = "in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision";
    throw new EvalError("ERR_EVAL_RESTRICTED", message);
  }
  attrs.set("url", url.includes("://") ? url : `file://${url}`);
  const fetched = inputs.fetch(inputFromAttrs(attrs));
  const rev = revAttr(fetched.attrs) ?? NO_REVISION;
  return attrSet({
    outPath: new ContextString(fetched.storePath, new Set([fetched.storePath])),
    branch: textAttr(fetched.attrs, "ref") ?? "default",
    rev,
    shortRev: rev.slice(0, 12),
    revCount: intAttr(fetched.attrs, "revCount"),
  });
}

/** The builtins that fetch. */
export function fetchBuiltins(inputs: InputFetcher): readonly Builtin[] {
  return [
    define("fetchGit", "!", "Fetches a revision of a Git repository.", (rt, argument) =>
      fetchTree(rt, inputs, "fetchGit", argument),
    ),
    define("fetchMercurial", "!", "Fetches a revision of a Mercurial repository.", (rt, argument) =>
      fetchMercurial(rt, inputs, argument),
    ),
    define("fetchTarball", "!", "Fetches an archive and unpacks it.", (rt, argument) =>
      fetchUrl(rt, inputs, "fetchTarball", argument),
    ),
    define("fetchTree", "!", "Fetches a tree that a set of attributes or a URL describes.", (rt, argument) =>
      fetchTree(rt, inputs, "fetchTree", argument),
    ),
    define("fetchurl", "!", "Fetches a file.", (rt, argument) => fetchUrl(rt, inputs, "fetchurl", argument)),
  ];
}
