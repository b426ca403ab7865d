// Flake references: an input and a directory in it, as a URL, as a path or as attributes.
//
// Three forms of text are tried in this order: a name for the registry (`nixpkgs/nixos-24.05`), a URL, a path. All
// text is byte strings, one char per byte.
import { BadUrl, type InputAttrs, inputError, textAttr, withAttrs } from "../fetch/input.ts";
import { formatInput, inputFromAttrs, inputFromUrl } from "../fetch/inputs.ts";
import { parseQuery, parseUrl, percentDecode, percentEncode, type Url, withQuery } from "../fetch/url.ts";

/** What a flake reference refers to. */
export interface FlakeRef {
  readonly input: InputAttrs;
  /** Below the top of the tree; empty for the top. */
  readonly dir: string;
}

/** How to read a reference. */
export interface FlakeRefOptions {
  /** Whether URLs that do not say what they are stand for trees (default), or may stand for files. */
  readonly wantsTree?: boolean;
  /** Whether paths may be relative to whatever refers to them. Default: false. */
  readonly relative?: boolean;
}

const REVISION = "[0-9a-fA-F]{40}";
const REF = "[a-zA-Z0-9@][a-zA-Z0-9_.\\/@+-]*";
const ID_FORM = new RegExp(`^([a-zA-Z][a-zA-Z0-9_-]*(?:/(?:${REVISION}|${REF}(?:/${REVISION})?))?)(?:#(.*))?$`, "s");

/** Reads a reference that must not have a fragment. @throws EvalError `ERR_EVAL_FETCH` */
export function parseFlakeRef(text: string, options: FlakeRefOptions = {}): FlakeRef {
  const { ref, fragment } = parseFlakeRefWithFragment(text, options);
  if (fragment === "") return ref;
  throw inputError(`unexpected fragment '${fragment}' in flake reference '${text}'`);
}

/** Reads a reference and what follows its `#`. @throws EvalError `ERR_EVAL_FETCH` */
export function parseFlakeRefWithFragment(
  text: string,
  options: FlakeRefOptions = {},
): { ref: FlakeRef; fragment: string } {
  const [, id, fragment = ""] = ID_FORM.exec(text) ?? [];
  if (id !== undefined) {
    const url: Url = { scheme: "flake", authority: undefined, path: id, query: new Map(), fragment: "" };
    return { ref: fromUrl(url, true), fragment: percentDecode(fragment) };
  }
  const url = parseUrl(text);
  if (url !== undefined) {
    try {
      return { ref: fromUrl({ ...url, fragment: "" }, options.wantsTree ?? true), fragment: url.fragment };
    } catch (error) {
      if (!(error instanceof BadUrl)) throw error;
    }
  }
  return fromPath(text, options);
}

/** The reference that attributes stand for. @throws EvalError `ERR_EVAL_FETCH` */
export function flakeRefFromAttrs(attrs: InputAttrs): FlakeRef {
  const dir = textAttr(attrs, "dir") ?? "";
  const input = new Map(attrs);
  input.delete("dir");
  return { input: inputFromAttrs(input), dir };
}

/** The attributes of a reference. */
export function flakeRefAttrs({ input, dir }: FlakeRef): InputAttrs {
  return dir === "" ? input : withAttrs(input, { dir });
}

/** The URL of a reference. */
export function formatFlakeRef({ input, dir }: FlakeRef): string {
  return formatInput(input, dir === "" ? {} : { dir });
}

/** Whether two references say the same. */
export function equalFlakeRefs(a: FlakeRef, b: FlakeRef): boolean {
  const left = flakeRefAttrs(a);
  const right = flakeRefAttrs(b);
  return left.size === right.size && [...left].every(([name, value]) => right.get(name) === value);
}

function fromUrl(url: Url, wantsTree: boolean): FlakeRef {
  const query = new Map(url.query);
  const dir = query.get("dir") ?? "";
  query.delete("dir");
  return { input: inputFromUrl(withQuery(url, query), wantsTree), dir };
}

function fromPath(text: string, options: FlakeRefOptions): { ref: FlakeRef; fragment: string } {
  const [, path = "", query = "", fragment = ""] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text) ?? [];
  const isRelative = options.relative === true && /^\.\.?(\/|$)/.test(path);
  if (!path.startsWith("/") && !isRelative) throw inputError(`flake reference '${text}' is not an absolute path`);
  const url: Url = {
    scheme: "path",
    authority: isRelative ? undefined : "",
    path: percentEncode(path, "/"),
    query: parseQuery(query),
    fragment: "",
  };
  return { ref: fromUrl(url, true), fragment: percentDecode(fragment) };
}
