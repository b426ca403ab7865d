// All types of inputs together: reading them, writing them, and fetching them into the store of an evaluation.
import { equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import { toByteString } from "../../base/text.ts";
import { EvalError } from "../../eval/error.ts";
import { formatHash, nixHash } from "../../formats/hash.ts";
import {
  type FetchContext,
  type FetchedInput,
  type FetchedTree,
  type InputAttrs,
  inputError,
  type Scheme,
  showAttrs,
  textAttr,
  withAttrs,
} from "./input.ts";
import { narHashAttr } from "./revision.ts";
import { FILE, TARBALL } from "./schemes/archive.ts";
import { GITHUB, GITLAB, SOURCEHUT } from "./schemes/forge.ts";
import { GIT } from "./schemes/git.ts";
import { INDIRECT } from "./schemes/indirect.ts";
import { MERCURIAL } from "./schemes/mercurial.ts";
import { PATH } from "./schemes/path.ts";
import { formatUrl, type Url, withQuery } from "./url.ts";

const SCHEMES: readonly Scheme[] = [PATH, GIT, MERCURIAL, INDIRECT, GITHUB, GITLAB, SOURCEHUT, TARBALL, FILE];

/** The name of a tree in the store, unless its input says another. */
const DEFAULT_NAME = "source";

function schemeOf(attrs: InputAttrs): Scheme {
  const scheme = SCHEMES.find(({ type }) => type === attrs.get("type"));
  if (scheme === undefined) throw inputError(`cannot show unsupported input '${showAttrs(attrs)}'`);
  return scheme;
}

/**
 * Reads a URL as an input.
 * @throws EvalError for one of no scheme, BadUrl (an EvalError) for one that its scheme cannot read
 */
export function inputFromUrl(url: Url, wantsTree: boolean): InputAttrs {
  for (const scheme of SCHEMES) {
    const attrs = scheme.fromUrl(url, wantsTree);
    if (attrs !== undefined) return scheme.check(attrs);
  }
  throw inputError(`input '${formatUrl(url)}' is unsupported`);
}

/** Reads attributes as an input. @throws EvalError */
export function inputFromAttrs(attrs: InputAttrs): InputAttrs {
  if (!attrs.has("type")) {
    throw inputError("'type' attribute to specify input scheme is required but not provided");
  }
  const scheme = schemeOf(attrs);
  for (const name of attrs.keys()) {
    if (name === "type" || scheme.attributes.includes(name)) continue;
    throw inputError(`input attribute '${name}' not supported by scheme '${scheme.type}'`);
  }
  return scheme.check(attrs);
}

/** The URL of an input, with further parameters. */
export function formatInput(attrs: InputAttrs, parameters: Readonly<Record<string, string>> = {}): string {
  const url = schemeOf(attrs).toUrl(attrs);
  return formatUrl(withQuery(url, new Map([...url.query, ...Object.entries(parameters)])));
}

/** Whether an input says exactly what comes of it. */
export function isLocked(attrs: InputAttrs): boolean {
  return schemeOf(attrs).isLocked(attrs);
}

/** Whether an input is a path that begins at whatever refers to it. */
export function isRelative(attrs: InputAttrs): boolean {
  return attrs.get("type") === "path" && !textAttr(attrs, "path")?.startsWith("/");
}

/** Fetches inputs for one evaluation: each once. */
export class InputFetcher {
  readonly context: FetchContext;
  readonly #fetched = new Map<string, FetchedInput>();

  constructor(context: FetchContext) {
    this.context = context;
  }

  /**
   * Fetches an input.
   * @param final whether its attributes are all there is to know of it (those of a lock file are): then a tree with
   *   its hash is taken wherever it is found
   * @throws EvalError `ERR_EVAL_FETCH`
   */
  fetch(attrs: InputAttrs, final = false): FetchedInput {
    const key = `${final} ${showAttrs(attrs)}`;
    let fetched = this.#fetched.get(key);
    if (fetched === undefined) {
      fetched = (final ? this.#find(attrs) : undefined) ?? this.#fetch(attrs);
      this.#fetched.set(key, fetched);
    }
    return fetched;
  }

  /** The tree with the hash that an input names, when it is here. */
  #find(attrs: InputAttrs): FetchedInput | undefined {
    const narSha256 = narHashAttr(attrs);
    if (narSha256 === undefined) return undefined;
    const { world, fetcher } = this.context;
    const name = textAttr(attrs, "name") ?? DEFAULT_NAME;
    const path = world.fixedPath(name, "nar", narSha256);
    if (world.has(path)) {
      world.allow(path);
      return { storePath: path, attrs };
    }
    const tree = fetcher.call("tree", narSha256);
    return tree && { storePath: world.addFetched(name, tree, fetcher.reader), attrs };
  }

  #fetch(attrs: InputAttrs): FetchedInput {
    const fetched = fetchErrors(() => schemeOf(attrs).fetch(attrs, this.context), `the input '${formatInput(attrs)}'`);
    checkSame(attrs, fetched.attrs);
    const name = textAttr(attrs, "name") ?? DEFAULT_NAME;
    const { storePath, narSha256 } = this.#store(name, fetched.tree);
    const expected = narHashAttr(attrs);
    if (expected !== undefined && !equalBytes(expected, narSha256)) {
      throw hashMismatch(`NAR hash mismatch in input '${formatInput(attrs)}'`, sri(expected), sri(narSha256));
    }
    return { storePath, attrs: withAttrs(fetched.attrs, { narHash: sri(narSha256) }) };
  }

  #store(name: string, tree: FetchedTree["tree"]): { storePath: string; narSha256: Uint8Array } {
    const { world, fetcher } = this.context;
    if ("origin" in tree) return world.addTree(name, tree.origin, tree.files);
    return { storePath: world.addFetched(name, tree, fetcher.reader), narSha256: tree.narSha256 };
  }
}

/** What was found out must not contradict what was said. */
function checkSame(asked: InputAttrs, found: InputAttrs): void {
  for (const name of ["rev", "lastModified", "revCount"]) {
    const expected = asked.get(name);
    const got = found.get(name);
    if (expected === undefined || got === undefined || expected === got) continue;
    throw inputError(`'${name}' attribute mismatch in input '${formatInput(asked)}', expected ${expected}, got ${got}`);
  }
}

function sri(narSha256: Uint8Array): string {
  return formatHash(nixHash("sha256", narSha256), "sri");
}

/** The error for contents that are not those expected. */
export function hashMismatch(what: string, specified: string, got: string): EvalError {
  return new EvalError("ERR_EVAL_HASH", what, { notes: [`specified: ${specified}`, `got:       ${got}`] });
}

/** Runs `work`; what goes wrong outside becomes an evaluation error. */
export function fetchErrors<T>(work: () => T, what?: string): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TvixError)) throw error;
    const found =
      error instanceof EvalError
        ? error
        : new EvalError("ERR_EVAL_FETCH", toByteString(error.message), {
            cause: error,
            notes: error.notes.map(toByteString),
          });
    throw what === undefined ? found : found.addFrame(`while fetching ${what}`, null);
  }
}
