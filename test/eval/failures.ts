// Each code of an evaluation error with a program that fails with it, for whoever asks what becomes of such failures.
import type { EvalErrorCode } from "../../lib/eval/error.ts";

/** Programs that need nothing but the language. */
export const FAILURES: readonly (readonly [EvalErrorCode, string])[] = [
  ["ERR_EVAL_THROW", 'throw "x"'],
  ["ERR_EVAL_ASSERTION", "assert 1 == 2; 3"],
  ["ERR_EVAL_SEARCH_PATH", "<nothing>"],
  ["ERR_EVAL_ABORT", 'abort "x"'],
  ["ERR_EVAL_TYPE", "1 + { }"],
  ["ERR_EVAL_COERCE", '"${1}"'],
  ["ERR_EVAL_CALL", "({ a }: a) { }"],
  ["ERR_EVAL_ARGUMENT", "builtins.genList (x: x) (-1)"],
  ["ERR_EVAL_MISSING_ATTRIBUTE", "{ }.a"],
  ["ERR_EVAL_UNDEFINED_VARIABLE", "with { }; nothing"],
  ["ERR_EVAL_DUPLICATE_ATTRIBUTE", '{ a = 1; ${"a" + ""} = 2; }'],
  ["ERR_EVAL_INDEX", "builtins.elemAt [ ] 0"],
  ["ERR_EVAL_OVERFLOW", "9223372036854775807 + 1"],
  ["ERR_EVAL_DIVISION_BY_ZERO", "1 / 0"],
  ["ERR_EVAL_COMPARE", "{ } < { }"],
  ["ERR_EVAL_CONTEXT", 'builtins.appendContext "" { a.path = true; }'],
  ["ERR_EVAL_INFINITE_RECURSION", "let x = x; in x"],
  ["ERR_EVAL_STACK_OVERFLOW", "let f = n: 1 + f (n + 1); in f 0"],
  ["ERR_EVAL_REGEX", 'builtins.match "(" ""'],
  ["ERR_EVAL_JSON", 'builtins.fromJSON "{"'],
  ["ERR_EVAL_TOML", 'builtins.fromTOML "="'],
  ["ERR_EVAL_HASH", 'builtins.hashString "nope" ""'],
  ["ERR_EVAL_IO", "builtins.readFile /nothing/here"],
];

/** Programs that need a store, fetchers or a mode; the mode is that of both sides. */
export const WORLD_FAILURES: readonly (readonly [EvalErrorCode, string, mode?: "restricted"])[] = [
  ["ERR_EVAL_RESTRICTED", "builtins.readFile /etc/passwd", "restricted"],
  ["ERR_EVAL_STORE", "builtins.storePath /etc"],
  ["ERR_EVAL_DERIVATION", '(derivation { name = "a.drv"; system = "s"; builder = "b"; }).drvPath'],
  ["ERR_EVAL_BUILD", 'builtins.readFile (derivation { name = "a"; system = "s"; builder = "b"; })'],
  ["ERR_EVAL_FETCH", 'fetchTarball "file:///nothing.tar"'],
  ["ERR_EVAL_FLAKE", 'builtins.getFlake "path:/etc/default"'],
  ["ERR_EVAL_FEATURE", '(derivation { name = "a"; system = "s"; builder = "b"; __impure = true; }).drvPath'],
];
