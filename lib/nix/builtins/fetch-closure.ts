// `fetchClosure`: a store path and all it refers to, from a binary cache (experimental).

import { type Builtin, define } from "../../eval/builtins/define.ts";
import { EvalError } from "../../eval/error.ts";
import type { Attrs } from "../../eval/value/attrs.ts";
import { ContextBuilder, ContextString } from "../../eval/value/string.ts";
import { force } from "../../eval/value/thunk.ts";
import { NixPath, type Value } from "../../eval/value/value.ts";
import { coerceToString, WEAK_TEXT } from "../../eval/vm/coerce.ts";
import { forceAttrs, forceBool, forcePlainString } from "../../eval/vm/demand.ts";
import type { Runtime } from "../../eval/vm/runtime.ts";
import { StorePath } from "../../formats/store-path.ts";
import { attrEntries } from "../attr-set.ts";
import type { FetchedPath } from "../fetch/closure.ts";
import { unicodeText } from "../fetch/input.ts";
import { fetchErrors, type InputFetcher } from "../fetch/inputs.ts";
import { formatUrl, parseUrl } from "../fetch/url.ts";

interface Request {
  readonly fromStore: string;
  readonly fromPath: StorePath;
  /** `null` when it is to be told. */
  readonly toPath: StorePath | null | undefined;
  readonly inputAddressed: boolean;
}

function readRequest(rt: Runtime, argument: Attrs): Request {
  let fromStore: string | undefined;
  let fromPath: StorePath | undefined;
  let toPath: StorePath | null | undefined;
  let inputAddressed = false;
  for (const [name, value] of attrEntries(argument)) {
    const where = `the attribute '${name}' passed to builtins.fetchClosure`;
    if (name === "fromPath") fromPath = demandStorePath(rt, value, where);
    else if (name === "toPath") toPath = force(value) === "" ? null : demandStorePath(rt, value, where);
    else if (name === "fromStore") fromStore = forcePlainString(value, where);
    else if (name === "inputAddressed") inputAddressed = forceBool(value, where);
    else throw new EvalError("ERR_EVAL_ARGUMENT", `attribute '${name}' isn't supported in call to 'fetchClosure'`);
  }
  if (fromPath === undefined) throw missing("fromPath");
  if (inputAddressed && toPath !== undefined) {
    const message = "attribute 'inputAddressed' is set to true, but 'toPath' is also set. Please remove one of them";
    throw new EvalError("ERR_EVAL_ARGUMENT", message);
  }
  if (fromStore === undefined) throw missing("fromStore");
  return { fromStore: checkUrl(fromStore), fromPath, toPath, inputAddressed };
}

function missing(name: string): EvalError {
  return new EvalError("ERR_EVAL_ARGUMENT", `attribute '${name}' is missing in call to 'fetchClosure'`);
}

function demandStorePath(rt: Runtime, value: Value, where: string): StorePath {
  try {
    const v = force(value);
    const text = v instanceof NixPath ? v.text : coerceToString(rt, v, WEAK_TEXT, new ContextBuilder());
    return storePathOf(text, rt.settings.storeDir);
  } catch (error) {
    if (error instanceof EvalError) error.addFrame(`while evaluating ${where}`, null);
    throw error;
  }
}

function storePathOf(text: string, storeDir: string): StorePath {
  try {
    return StorePath.parseAbsolute(text, storeDir);
  } catch (cause) {
    throw new EvalError("ERR_EVAL_STORE", `path '${text}' is not in the Nix store`, { cause });
  }
}

function checkUrl(text: string): string {
  const url = parseUrl(text);
  if (url === undefined) throw new EvalError("ERR_EVAL_FETCH", `Cannot parse Nix store '${text}'`);
  if (!/^https?:/.test(text)) {
    throw new EvalError("ERR_EVAL_FETCH", "'fetchClosure' only supports http:// and https:// stores");
  }
  if (url.query.size > 0) {
    const message = `'fetchClosure' does not support URL query parameters (in '${text}')`;
    throw new EvalError("ERR_EVAL_FETCH", message);
  }
  return unicodeText(formatUrl(url));
}

/** Fetches closures for one session. */
class ClosureFetcher {
  readonly #rt: Runtime;
  readonly #inputs: InputFetcher;

  constructor(rt: Runtime, inputs: InputFetcher) {
    this.#rt = rt;
    this.#inputs = inputs;
  }

  fetch({ fromStore, fromPath, toPath, inputAddressed }: Request): ContextString {
    const path = toPath === undefined ? fromPath : this.#rewritten(fromStore, fromPath, toPath);
    const absolute = this.#absolute(path);
    const isContentAddressed =
      this.#isContentAddressed(path) ?? this.#take(this.#call("closure", fromStore, fromPath)).isContentAddressed;
    if (toPath !== undefined && !isContentAddressed) throw notRewritten(absolute);
    if (inputAddressed === isContentAddressed)
      throw (inputAddressed ? notInputAddressed : notContentAddressed)(absolute);
    this.#inputs.context.world.allow(absolute);
    return new ContextString(absolute, new Set([absolute]));
  }

  /** The path that another one becomes when it is made content-addressed, which is put in mind. */
  #rewritten(fromStore: string, fromPath: StorePath, toPath: StorePath | null): StorePath {
    const { fetcher } = this.#inputs.context;
    if (toPath !== null) {
      if (this.#isContentAddressed(toPath) !== undefined) return toPath;
      const held = fetchErrors(() => fetcher.call("heldClosure", toPath.basename));
      if (held !== undefined) {
        this.#take(held);
        return toPath;
      }
    }
    const made = StorePath.parse(this.#take(this.#call("rewrittenClosure", fromStore, fromPath)).path);
    if (made.basename === toPath?.basename) return made;
    const yielded = `rewriting '${this.#absolute(fromPath)}' to content-addressed form yielded '${this.#absolute(made)}'`;
    throw toPath === null
      ? new EvalError("ERR_EVAL_FETCH", yielded, {
          notes: ["Use this value for the 'toPath' attribute passed to 'fetchClosure'"],
        })
      : new EvalError("ERR_EVAL_FETCH", `${yielded}, while '${this.#absolute(toPath)}' was expected`);
  }

  #call(what: "closure" | "rewrittenClosure", url: string, path: StorePath): readonly FetchedPath[] {
    const { fetcher } = this.#inputs.context;
    return fetchErrors(() => fetcher.call(what, { url, path: path.basename, keys: fetcher.trustedKeys }));
  }

  /** Whether a path that is here already follows from its contents; `undefined` for one that is not here. */
  #isContentAddressed(path: StorePath): boolean | undefined {
    return this.#inputs.context.world.isContentAddressed(this.#absolute(path));
  }

  /** Puts a closure in mind; answers the path whose closure it is. */
  #take(paths: readonly FetchedPath[]): FetchedPath {
    const { world, fetcher } = this.#inputs.context;
    for (const { path, references, root, isContentAddressed } of paths) {
      world.sources.add(this.#absolute(path), {
        kind: "substituted",
        root,
        reader: fetcher.reader,
        references: references.map((reference) => this.#absolute(reference)),
        isContentAddressed,
        store: fetcher.store,
      });
    }
    return paths.at(-1) as FetchedPath;
  }

  #absolute(path: StorePath | string): string {
    return `${this.#rt.settings.storeDir}/${typeof path === "string" ? path : path.basename}`;
  }
}

function notRewritten(path: string): EvalError {
  return new EvalError(
    "ERR_EVAL_FETCH",
    `The 'toPath' value '${path}' is input-addressed, so it can't possibly be the result of rewriting to a content-addressed path.`,
    { notes: ["Set 'toPath' to an empty string to make Nix report the correct content-addressed path."] },
  );
}

function notContentAddressed(path: string): EvalError {
  return new EvalError(
    "ERR_EVAL_FETCH",
    `The 'fromPath' value '${path}' is input-addressed, but 'inputAddressed' is set to 'false' (default).`,
    {
      notes: [
        "If you do intend to fetch an input-addressed store path, add `inputAddressed = true;` to the 'fetchClosure' arguments.",
        "Input-addressed paths must be signed with a trusted key (--trusted-public-keys); content-addressed ones need not.",
      ],
    },
  );
}

function notInputAddressed(path: string): EvalError {
  return new EvalError(
    "ERR_EVAL_FETCH",
    `The store object referred to by 'fromPath' at '${path}' is not input-addressed, but 'inputAddressed' is set to 'true'.`,
    {
      notes: [
        "Remove the 'inputAddressed' attribute (it defaults to 'false') to expect 'fromPath' to be content-addressed",
      ],
    },
  );
}

/** The builtin, for sessions that allow it. */
export function fetchClosureBuiltin(inputs: InputFetcher): Builtin {
  return define("fetchClosure", "!", "A store path and all it refers to, from a binary cache.", (rt, argument) => {
    const request = readRequest(rt, forceAttrs(argument, "the argument passed to builtins.fetchClosure"));
    return new ClosureFetcher(rt, inputs).fetch(request);
  });
}
