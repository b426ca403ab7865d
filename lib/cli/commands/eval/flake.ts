// Flakes on the command line: `REF#ATTR`, and where in the flake's outputs ATTR is looked for.
import { TvixError } from "../../../base/error.ts";
import { toByteString } from "../../../base/text.ts";
import { findAlongPath, splitAttrPath } from "../../../eval/attr-path.ts";
import { EvalError } from "../../../eval/error.ts";
import type { Evaluator } from "../../../eval/evaluator.ts";
import { Attrs } from "../../../eval/value/attrs.ts";
import { symbol } from "../../../eval/value/symbol.ts";
import { force } from "../../../eval/value/thunk.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import { parseLocalFlakeRef } from "../../../nix/flake/local.ts";
import type { Session } from "../../../nix/session.ts";
import type { FlakeFlags } from "./flake-flags.ts";
import type { WorldFlags } from "./flags.ts";

/** The flags with what `--flake` implies. @throws TvixError `ERR_CLI_USAGE` for flags that exclude each other */
export function withPurity<F extends WorldFlags & FlakeFlags>(flags: F): F {
  if (flags.flake !== true) {
    if (flags.impure === true) throw new TvixError("ERR_CLI_USAGE", "--impure goes with --flake");
    return flags;
  }
  if (flags.expr === true) throw new TvixError("ERR_CLI_USAGE", "--flake and --expr exclude each other");
  return { ...flags, pure: flags.impure !== true };
}

/** The value that `REF#ATTR` names, at a path below it. Arguments without a reference mean the flake of this directory. */
export function evaluateFlakeArgument(
  argument: string,
  path: string,
  given: ReadonlyMap<string, Value>,
  session: Session,
  evaluator: Evaluator,
): Whnf {
  const { ref, fragment } = parseLocalFlakeRef(toByteString(argument), toByteString(process.cwd()), evaluator.io);
  const flake = session.flake(ref, evaluator);
  const found = findOutput(flake, candidates(fragment, evaluator.settings.system), argument);
  return findAlongPath(found, toByteString(path), given);
}

/** Where Nix looks for an attribute, in this order. */
function candidates(attribute: string, system: string): string[] {
  if (attribute === "") return [`packages.${system}.default`, `defaultPackage.${system}`];
  if (attribute.startsWith(".")) return [attribute.slice(1)];
  return [`packages.${system}.${attribute}`, `legacyPackages.${system}.${attribute}`, attribute];
}

function findOutput(flake: Attrs, paths: readonly string[], argument: string): Value {
  for (const path of paths) {
    const found = lookUp(flake, path);
    if (found !== undefined) return found;
  }
  const shown = paths.map((path) => `'${path}'`).join(", ");
  throw new EvalError("ERR_EVAL_MISSING_ATTRIBUTE", `flake '${argument}' does not provide attribute ${shown}`);
}

/** The value at a path; `undefined` where there is none. What goes wrong on the way is an error. */
function lookUp(flake: Attrs, path: string): Value | undefined {
  let at: Value = flake;
  for (const name of splitAttrPath(path)) {
    const set = force(at);
    const next = set instanceof Attrs ? set.get(symbol(name)) : undefined;
    if (next === undefined) return undefined;
    at = next;
  }
  return at;
}
