// The abstract syntax tree of the Nix language, as the parser builds it and the compiler and printer read it.
//
// Three conventions hold everywhere:
// - Source text is a byte string: one JS char (0…255) per byte. So are names, string values and path texts here;
//   decoding to Unicode happens only at the edges (source.ts, diagnostics).
// - `start` and `end` are byte offsets into the source, end exclusive. Parentheses leave no node: a parenthesised
//   expression keeps its own span.
// - Attribute sets are already merged as Nix merges them while parsing (`a.b = 1; a = { c = 2; };` is one set `a`
//   with two attributes), escapes are decoded, and indented strings have lost their indentation.
//
// The tree can be as deep as the source text: whoever walks it recursively must expect a RangeError from the
// JavaScript stack, or loop down the long sides (the left of operators, the bodies of let, with, assert and lambda,
// the else of if).

/** The discriminant of {@link Expr}. The numbers are dense, so that a switch over them is a jump table. */
export const Kind = {
  Int: 0,
  Float: 1,
  String: 2,
  Interpolation: 3,
  Path: 4,
  SearchPath: 5,
  Variable: 6,
  CurPos: 7,
  InheritSource: 8,
  Select: 9,
  HasAttr: 10,
  AttrSet: 11,
  Let: 12,
  LegacyLet: 13,
  List: 14,
  Lambda: 15,
  Apply: 16,
  If: 17,
  Assert: 18,
  With: 19,
  Unary: 20,
  Binary: 21,
  Deferred: 22,
} as const;

/** Prefix operators. */
export const UnaryOp = {
  /** `-a`, which means `__sub 0 a` with `__sub` looked up where the operator stands. */
  Negate: 0,
  /** `!a`. */
  Not: 1,
} as const;
export type UnaryOp = (typeof UnaryOp)[keyof typeof UnaryOp];

/** Infix operators. The pipes `|>` and `<|` are not here: the parser turns them into {@link ApplyExpr}. */
export const BinaryOp = {
  Implies: 0,
  Or: 1,
  And: 2,
  Equal: 3,
  NotEqual: 4,
  Less: 5,
  LessEqual: 6,
  Greater: 7,
  GreaterEqual: 8,
  Update: 9,
  Add: 10,
  Subtract: 11,
  Multiply: 12,
  Divide: 13,
  Concat: 14,
} as const;
export type BinaryOp = (typeof BinaryOp)[keyof typeof BinaryOp];

/** How operators are written, by {@link BinaryOp}. */
export const BINARY_SYMBOLS: readonly string[] = [
  "->",
  "||",
  "&&",
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "//",
  "+",
  "-",
  "*",
  "/",
  "++",
];

/**
 * What an operator means when it is a call in disguise, by {@link BinaryOp}; `undefined` for the operators that are
 * operations of their own. The function is looked up lexically where the operator stands, so a binding named `__sub`
 * takes effect. `a > b` is `__lessThan b a`, `a <= b` is `! (__lessThan b a)`, `a >= b` is `! (__lessThan a b)`.
 */
export const BINARY_CALLS: readonly ({ name: string; swapped: boolean; negated: boolean } | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  undefined,
  { name: "__lessThan", swapped: false, negated: false },
  { name: "__lessThan", swapped: true, negated: true },
  { name: "__lessThan", swapped: true, negated: false },
  { name: "__lessThan", swapped: false, negated: true },
  undefined,
  undefined,
  { name: "__sub", swapped: false, negated: false },
  { name: "__mul", swapped: false, negated: false },
  { name: "__div", swapped: false, negated: false },
  undefined,
];

/** Where a path literal starts from. */
export const PathBase = {
  /** `./x`, `../x`, `x/y`: the directory of the source file. */
  Relative: 0,
  /** `/x`. */
  Absolute: 1,
  /** `~/x`: the user's home directory. */
  Home: 2,
} as const;
export type PathBase = (typeof PathBase)[keyof typeof PathBase];

/** `1`: 0 … 2^63-1, a bigint only when it is not a safe integer. */
export interface IntExpr {
  readonly kind: typeof Kind.Int;
  readonly start: number;
  readonly end: number;
  readonly value: number | bigint;
}

/** `1.5`. */
export interface FloatExpr {
  readonly kind: typeof Kind.Float;
  readonly start: number;
  readonly end: number;
  readonly value: number;
}

/** A string without interpolation, in any notation: `"a"`, `''a''`, a bare URL. */
export interface StringExpr {
  readonly kind: typeof Kind.String;
  readonly start: number;
  readonly end: number;
  readonly value: string;
}

/**
 * A string of parts, most often with a `${…}`. Literal parts are {@link StringExpr}s and never empty; they may stand
 * side by side, or all be literal, where an indented string has escapes.
 */
export interface InterpolationExpr {
  readonly kind: typeof Kind.Interpolation;
  readonly start: number;
  readonly end: number;
  readonly parts: readonly Expr[];
}

/**
 * A path literal. `text` is the text as written up to the first `${`, with `~/` cut off for {@link PathBase.Home};
 * `parts` is what follows (literals as {@link StringExpr}), empty for a plain path. The whole is made absolute and
 * canonical by whoever knows the base.
 */
export interface PathExpr {
  readonly kind: typeof Kind.Path;
  readonly start: number;
  readonly end: number;
  readonly base: PathBase;
  readonly text: string;
  readonly parts: readonly Expr[];
}

/** `<name>`, which means `__findFile __nixPath "name"`, both looked up lexically. */
export interface SearchPathExpr {
  readonly kind: typeof Kind.SearchPath;
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

export interface VariableExpr {
  readonly kind: typeof Kind.Variable;
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

/** `__curPos`: the position of itself. */
export interface CurPosExpr {
  readonly kind: typeof Kind.CurPos;
  readonly start: number;
  readonly end: number;
}

/**
 * The expression in `inherit (expr) a b;`, as the value of `a` and `b` refers to it: entry `index` of the
 * {@link AttrSetExpr.sources} of the nearest set. It is evaluated at most once for all names inherited from it.
 */
export interface InheritSourceExpr {
  readonly kind: typeof Kind.InheritSource;
  readonly start: number;
  readonly end: number;
  readonly index: number;
}

/** One step of an attribute path: a name known while parsing, or an expression (then `name` is undefined). */
export interface AttrName {
  readonly start: number;
  readonly end: number;
  readonly name: string | undefined;
  readonly expr: Expr | undefined;
}

/** `subject.a."b".${c}`, with `or fallback` when there is one. The path is never empty. */
export interface SelectExpr {
  readonly kind: typeof Kind.Select;
  readonly start: number;
  readonly end: number;
  readonly subject: Expr;
  readonly path: readonly AttrName[];
  readonly fallback: Expr | undefined;
}

/** `subject ? a."b".${c}`. */
export interface HasAttrExpr {
  readonly kind: typeof Kind.HasAttr;
  readonly start: number;
  readonly end: number;
  readonly subject: Expr;
  readonly path: readonly AttrName[];
}

/** In which scope the value of a {@link Binding} is evaluated, and how it was written. */
export const BindingKind = {
  /** `name = value;`: inside the set when it is recursive, else around it. */
  Plain: 0,
  /** `inherit name;`: always around the set; `value` is the variable. */
  Inherited: 1,
  /** `inherit (source) name;`: `value` selects `name` from an {@link InheritSourceExpr}. */
  InheritedFrom: 2,
} as const;
export type BindingKind = (typeof BindingKind)[keyof typeof BindingKind];

/** One attribute of a set or let. `start` and `end` are the attribute path's (all of `a.b` for `b` in `a.b = 1`). */
export interface Binding {
  readonly kind: BindingKind;
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly value: Expr;
}

/** `${nameExpr} = value;`: `null` for the name drops the attribute. */
export interface DynamicBinding {
  readonly start: number;
  readonly end: number;
  readonly nameExpr: Expr;
  readonly value: Expr;
}

/**
 * `{ … }` or `rec { … }`, also the set that an attribute path `a.b = …` implies for `a` (never recursive by itself).
 * `bindings` has each name once, in the order of the source. In a recursive set the names of `bindings` are in scope
 * in all values, in `sources` and in `dynamics`; dynamic names are never in scope.
 */
export interface AttrSetExpr {
  readonly kind: typeof Kind.AttrSet;
  readonly start: number;
  readonly end: number;
  readonly recursive: boolean;
  readonly bindings: readonly Binding[];
  readonly dynamics: readonly DynamicBinding[];
  readonly sources: readonly Expr[];
}

/** `let … in body`; `scope.recursive` is true and `scope.dynamics` empty. */
export interface LetExpr {
  readonly kind: typeof Kind.Let;
  readonly start: number;
  readonly end: number;
  readonly scope: AttrSetExpr;
  readonly body: Expr;
}

/** `let { …; body = e; }`, which means `(rec { … }).body`. */
export interface LegacyLetExpr {
  readonly kind: typeof Kind.LegacyLet;
  readonly start: number;
  readonly end: number;
  readonly scope: AttrSetExpr;
}

export interface ListExpr {
  readonly kind: typeof Kind.List;
  readonly start: number;
  readonly end: number;
  readonly items: readonly Expr[];
}

/** One name of a set pattern. */
export interface Formal {
  readonly start: number;
  readonly end: number;
  readonly name: string;
  readonly fallback: Expr | undefined;
}

/** `{ a, b ? 1, ... }`, in the order of the source, no name twice. */
export interface Formals {
  readonly start: number;
  readonly end: number;
  readonly items: readonly Formal[];
  readonly ellipsis: boolean;
}

/** `param: body`, `{ … }: body`, `param@{ … }: body`. At least one of `param` and `formals` is there. */
export interface LambdaExpr {
  readonly kind: typeof Kind.Lambda;
  readonly start: number;
  readonly end: number;
  readonly param: string | undefined;
  readonly formals: Formals | undefined;
  readonly body: Expr;
}

/** `callee arg1 arg2 …`; `args` is never empty. */
export interface ApplyExpr {
  readonly kind: typeof Kind.Apply;
  readonly start: number;
  readonly end: number;
  readonly callee: Expr;
  readonly args: readonly Expr[];
}

export interface IfExpr {
  readonly kind: typeof Kind.If;
  readonly start: number;
  readonly end: number;
  readonly condition: Expr;
  readonly consequent: Expr;
  readonly alternative: Expr;
}

export interface AssertExpr {
  readonly kind: typeof Kind.Assert;
  readonly start: number;
  readonly end: number;
  readonly condition: Expr;
  readonly body: Expr;
}

export interface WithExpr {
  readonly kind: typeof Kind.With;
  readonly start: number;
  readonly end: number;
  readonly scope: Expr;
  readonly body: Expr;
}

export interface UnaryExpr {
  readonly kind: typeof Kind.Unary;
  readonly start: number;
  readonly end: number;
  readonly op: UnaryOp;
  readonly operand: Expr;
}

/** `left op right`; `at` is the offset of the operator, where its errors are reported. */
export interface BinaryExpr {
  readonly kind: typeof Kind.Binary;
  readonly start: number;
  readonly end: number;
  readonly at: number;
  readonly op: BinaryOp;
  readonly left: Expr;
  readonly right: Expr;
}

/**
 * An expression that has been parsed, and whose tree was dropped to save memory: `parse` makes it anew. The parser leaves
 * such when asked to, as values of large sets inside a `with`. It stands for what is always a delayed value: an
 * application, a selection, `let`, `with`, `if` or `assert`.
 */
export interface DeferredExpr {
  readonly kind: typeof Kind.Deferred;
  readonly start: number;
  readonly end: number;
  parse(): Expr;
}

/** Any expression. */
export type Expr =
  | DeferredExpr
  | IntExpr
  | FloatExpr
  | StringExpr
  | InterpolationExpr
  | PathExpr
  | SearchPathExpr
  | VariableExpr
  | CurPosExpr
  | InheritSourceExpr
  | SelectExpr
  | HasAttrExpr
  | AttrSetExpr
  | LetExpr
  | LegacyLetExpr
  | ListExpr
  | LambdaExpr
  | ApplyExpr
  | IfExpr
  | AssertExpr
  | WithExpr
  | UnaryExpr
  | BinaryExpr;

/** The expressions that stand directly in an expression, in the order of evaluation or of the source. */
export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case Kind.Interpolation:
    case Kind.Path:
      return expr.parts;
    case Kind.Select:
      return [expr.subject, ...computed(expr.path), ...(expr.fallback === undefined ? [] : [expr.fallback])];
    case Kind.HasAttr:
      return [expr.subject, ...computed(expr.path)];
    case Kind.AttrSet:
      return [
        ...expr.sources,
        ...expr.bindings.map(({ value }) => value),
        ...expr.dynamics.flatMap(({ nameExpr, value }) => [nameExpr, value]),
      ];
    case Kind.Let:
      return [expr.scope, expr.body];
    case Kind.LegacyLet:
      return [expr.scope];
    case Kind.List:
      return expr.items;
    case Kind.Lambda:
      return [
        ...(expr.formals?.items ?? []).flatMap(({ fallback }) => (fallback === undefined ? [] : [fallback])),
        expr.body,
      ];
    case Kind.Apply:
      return [expr.callee, ...expr.args];
    case Kind.If:
      return [expr.condition, expr.consequent, expr.alternative];
    case Kind.Assert:
      return [expr.condition, expr.body];
    case Kind.With:
      return [expr.scope, expr.body];
    case Kind.Unary:
      return [expr.operand];
    case Kind.Binary:
      return [expr.left, expr.right];
    case Kind.Deferred:
      return [expr.parse()];
    default:
      return [];
  }
}

function computed(path: readonly AttrName[]): Expr[] {
  return path.flatMap(({ expr }) => (expr === undefined ? [] : [expr]));
}

/** An application; the application of an application is one with more arguments. */
export function applied(callee: Expr, args: Expr[], start: number, end: number): Expr {
  if (callee.kind !== Kind.Apply) return { kind: Kind.Apply, start, end, callee, args };
  return { kind: Kind.Apply, start, end, callee: callee.callee, args: [...callee.args, ...args] };
}

/** A name of an attribute as it is written: a text, or an expression that yields one. */
export function attrNameOf(expr: Expr, start: number, end: number): AttrName {
  if (expr.kind === Kind.String) return { start, end, name: expr.value, expr: undefined };
  return { start, end, name: undefined, expr };
}
