// Units: a compiled file or expression bound to the evaluator that runs it.

import type { ErrorPlace } from "../error.ts";
import type { Constant, Fn } from "../ir/program.ts";
import type { Source } from "../source.ts";
import { PathBase } from "../syntax/ast.ts";
import { type AttrPosition, Attrs, attrsFromPairs, EMPTY_ATTRS, type PositionSource } from "../value/attrs.ts";
import type { FormalInfo, LambdaInfo } from "../value/function.ts";
import { NixFloat } from "../value/number.ts";
import { symbol } from "../value/symbol.ts";
import { NixPath, type Value, type Whnf } from "../value/value.ts";
import { canonicalPath } from "../text/path.ts";
import { EvalError } from "../error.ts";
import type { Runtime } from "./runtime.ts";

/** What the code of a unit refers to. */
export class Unit implements PositionSource {
  readonly rt: Runtime;
  readonly source: Source;
  readonly globals: ReadonlyMap<string, Value>;
  /** The set given to scopedImport; empty otherwise. */
  readonly ambient: Attrs;
  /** What was emitted for it: by line (from 0), the offset in the source of what stands there, or -1. */
  lines: (() => readonly number[]) | null = null;

  constructor(rt: Runtime, source: Source, globals: ReadonlyMap<string, Value>, ambient: Attrs = EMPTY_ATTRS) {
    this.rt = rt;
    this.source = source;
    this.globals = globals;
    this.ambient = ambient;
  }

  position(offset: number): AttrPosition | null {
    const { line, column } = this.source.position(offset);
    return { file: this.source.name, line, column };
  }

  place(offset: number): ErrorPlace {
    return { source: this.source, offset };
  }

  /** The value of a constant. */
  constant(constant: Constant): Whnf {
    if (typeof constant !== "object" || constant === null) return constant;
    if ("float" in constant) return new NixFloat(constant.float);
    return new NixPath(this.absolute(constant.path, constant.base, constant.open));
  }

  /** A path literal made absolute and canonical; `open` keeps a slash at its end. */
  absolute(text: string, base: PathBase, open: boolean): string {
    let path = text;
    if (base === PathBase.Relative) path = `${this.source.directory}/${text}`;
    // Below the home directory Nix leaves the text as it is.
    else if (base === PathBase.Home) return `${homeDirectory(this.rt)}/${text}`;
    const canonical = canonicalPath(path);
    return open && text.endsWith("/") ? `${canonical}/` : canonical;
  }

  /** `__curPos`. */
  positionSet(offset: number): Attrs | null {
    return positionAttrs(this.position(offset));
  }
}

const FILE = symbol("file");
const LINE = symbol("line");
const COLUMN = symbol("column");

/** A position as Nix code sees it: `null` in text that came from no file. */
export function positionAttrs(at: AttrPosition | null): Attrs | null {
  if (at === null || !at.file.startsWith("/")) return null;
  return attrsFromPairs([COLUMN, FILE, LINE], [at.column, at.file, at.line]);
}

/** The unchanging part of a lambda's closures. */
export function lambdaInfo(fn: Fn, unit: Unit): LambdaInfo {
  const formals: FormalInfo[] | null =
    fn.formals === undefined
      ? null
      : fn.formals.map((formal) => ({
          key: symbol(formal.name),
          name: formal.name,
          hasDefault: formal.fallback !== undefined,
          offset: formal.at,
        }));
  return {
    name: fn.name,
    param: fn.param,
    formals,
    ellipsis: fn.ellipsis,
    offset: fn.at,
    immediate: fn.immediate,
    position: (offset) => unit.position(offset),
  };
}

/** The unchanging part of the function that `a: b: …` yields for its first argument. */
export function innerInfo(fn: Fn, unit: Unit): LambdaInfo {
  const inner = fn.inner as { param: string; at: number };
  return {
    name: fn.name,
    param: inner.param,
    formals: null,
    ellipsis: false,
    offset: inner.at,
    immediate: false,
    position: (offset) => unit.position(offset),
  };
}

function homeDirectory({ io, settings }: Runtime): string {
  if (settings.pure)
    throw new EvalError("ERR_EVAL_RESTRICTED", "a path that starts with '~' has no meaning in pure mode");
  return io.variable("HOME") ?? "";
}

/** The lambda that a program is, when it is one. */
export function functionOf(root: Fn): Fn | undefined {
  return root.body.op === "lambda" ? root.body.fn : undefined;
}
