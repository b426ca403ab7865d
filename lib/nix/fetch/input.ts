// Inputs: what can be fetched, as a type and attributes, and as a URL.
//
// Each type of input is a scheme (schemes/): which attributes it has, how they are written as a URL, when they say
// exactly what comes of them (locked), and how it is fetched. Locked inputs are the only ones that pure evaluation
// fetches. All text is byte strings, one char per byte.
import { fromByteString } from "../../base/text.ts";
import { EvalError } from "../../eval/error.ts";
import type { World } from "../world.ts";
import type { CachedTree } from "./cache.ts";
import type { Fetcher } from "./fetcher.ts";
import type { Url } from "./url.ts";

/** The value of an attribute. */
export type Attribute = string | number | boolean;

/** Attributes of an input; `type` names its scheme. */
export type InputAttrs = ReadonlyMap<string, Attribute>;

/** What fetching works with. */
export interface FetchContext {
  readonly world: World;
  readonly fetcher: Fetcher;
  /** Shows the user a line. */
  readonly warn: (text: string) => void;
}

/** A tree that was fetched: where it is in the store, and the input made exact. */
export interface FetchedInput {
  readonly storePath: string;
  /** The attributes asked for and those found out: `narHash`, `rev`, `lastModified` and others. */
  readonly attrs: InputAttrs;
}

/** What a scheme's `fetch` answers, before it gets its store path. */
export interface FetchedTree {
  /** A tree in the cache, or one that lies on the host: with `files`, only those of it (paths below the origin). */
  readonly tree: CachedTree | { readonly origin: string; readonly files: readonly string[] | undefined };
  readonly attrs: InputAttrs;
}

/** A type of input. */
export interface Scheme {
  readonly type: string;
  /** Attributes that it may have, besides `type`. */
  readonly attributes: readonly string[];
  /**
   * Reads the URLs of this scheme; `undefined` for those of others.
   * @param wantsTree whether a tree is expected of a URL that does not say what it is
   * @throws BadUrl for one that is of this scheme and wrong
   */
  fromUrl(url: Url, wantsTree: boolean): InputAttrs | undefined;
  /** Checks attributes, and brings them into one form. @throws EvalError */
  check(attrs: InputAttrs): InputAttrs;
  toUrl(attrs: InputAttrs): Url;
  isLocked(attrs: InputAttrs): boolean;
  /** @throws TvixError, EvalError */
  fetch(attrs: InputAttrs, context: FetchContext): FetchedTree;
}

/** A URL that a scheme cannot read: what it was part of may still be something else. */
export class BadUrl extends EvalError {
  constructor(message: string) {
    super("ERR_EVAL_FETCH", message);
  }
}

/** The error for an input that makes no sense. */
export function inputError(message: string): EvalError {
  return new EvalError("ERR_EVAL_FETCH", message);
}

/** Attributes as JSON, for messages. */
export function showAttrs(attrs: InputAttrs): string {
  return JSON.stringify(Object.fromEntries([...attrs].sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** A text among the attributes. @throws EvalError when it is something else */
export function textAttr(attrs: InputAttrs, name: string): string | undefined {
  const value = attrs.get(name);
  if (value === undefined || typeof value === "string") return value;
  throw inputError(`input attribute '${name}' is not a string ${showAttrs(attrs)}`);
}

/** The same for one that must be there. */
export function demandText(attrs: InputAttrs, name: string): string {
  const value = textAttr(attrs, name);
  if (value === undefined) throw inputError(`input attribute '${name}' is missing`);
  return value;
}

/** A truth value among the attributes. @throws EvalError when it is something else */
export function boolAttr(attrs: InputAttrs, name: string): boolean | undefined {
  const value = attrs.get(name);
  if (value === undefined || typeof value === "boolean") return value;
  throw inputError(`input attribute '${name}' is not a Boolean`);
}

/** A number among the attributes. @throws EvalError when it is something else */
export function intAttr(attrs: InputAttrs, name: string): number | undefined {
  const value = attrs.get(name);
  if (value === undefined || typeof value === "number") return value;
  throw inputError(`input attribute '${name}' is not an integer`);
}

/** The attributes with others added or replaced; those with `undefined` are left as they are. */
export function withAttrs(attrs: InputAttrs, added: Readonly<Record<string, Attribute | undefined>>): InputAttrs {
  const out = new Map(attrs);
  for (const [name, value] of Object.entries(added)) if (value !== undefined) out.set(name, value);
  return out;
}

/** A byte string as text, for programs and servers. @throws EvalError when it is not UTF-8 */
export function unicodeText(text: string): string {
  const decoded = fromByteString(text);
  if (decoded === undefined) throw inputError(`'${text}' is not UTF-8`);
  return decoded;
}
