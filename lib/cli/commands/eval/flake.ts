// Flakes on the command line: `REF#ATTR`, and where in the flake's outputs ATTR is looked for.
import { readFileSync } from "node:fs";
import { TvixError } from "../../../base/error.ts";
import { bytesToLatin1, latin1ToBytes, toByteString } from "../../../base/text.ts";
import { findAlongPath, splitAttrPath } from "../../../eval/attr-path.ts";
import { EvalError } from "../../../eval/error.ts";
import type { Evaluator } from "../../../eval/evaluator.ts";
import { Attrs } from "../../../eval/value/attrs.ts";
import { symbol } from "../../../eval/value/symbol.ts";
import { force } from "../../../eval/value/thunk.ts";
import type { Value, Whnf } from "../../../eval/value/value.ts";
import type { EvalIO } from "../../../eval/io.ts";
import { parseInputPath } from "../../../nix/flake/flake-file.ts";
import type { LockWishes } from "../../../nix/flake/lock.ts";
import type { FlakeRef } from "../../../nix/flake/reference.ts";
import { parseLocalFlakeRef } from "../../../nix/flake/local.ts";
import type { Session } from "../../../nix/session.ts";
import { writeWhole } from "../../write-whole.ts";
import type { FlakeFlags } from "./flake-flags.ts";
import { splitPair, type WorldFlags } from "./flags.ts";

/** The flags with what `--flake` implies. @throws TvixError `ERR_CLI_USAGE` for flags that exclude each other */
export function withPurity<F extends WorldFlags & FlakeFlags>(flags: F): F {
  if (flags.flake !== true) {
    const other = LOCK_FLAGS.find(([name]) => flags[name] !== undefined)?.[1];
    const stray = flags.impure === true ? "--impure" : flags.updateLockFile ? other : "--no-update-lock-file";
    if (stray !== undefined) throw new TvixError("ERR_CLI_USAGE", `${stray} goes with --flake`);
    return flags;
  }
  if (flags.expr === true) throw new TvixError("ERR_CLI_USAGE", "--flake and --expr exclude each other");
  return { ...flags, pure: flags.impure !== true };
}

/** The flags that say something about locking, by the names that users know. */
const LOCK_FLAGS: readonly (readonly [keyof FlakeFlags, string])[] = [
  ["overrideInput", "--override-input"],
  ["updateInput", "--update-input"],
  ["recreateLockFile", "--recreate-lock-file"],
  ["referenceLockFile", "--reference-lock-file"],
  ["outputLockFile", "--output-lock-file"],
];

/** What the flags say about locking. @throws EvalError, TvixError `ERR_CLI_READ` */
function lockWishes(flags: FlakeFlags, io: EvalIO): LockWishes {
  const directory = toByteString(process.cwd());
  const overrides = new Map<string, FlakeRef>();
  for (const pair of flags.overrideInput ?? []) {
    const [path, text] = splitPair(pair, "--override-input");
    const { ref, fragment } = parseLocalFlakeRef(toByteString(text), directory, io, { mayLackFlake: true });
    if (fragment !== "") {
      throw new TvixError("ERR_CLI_USAGE", `--override-input takes a flake without an attribute, not '${text}'`);
    }
    overrides.set(inputName(path), ref);
  }
  const { referenceLockFile: reference, outputLockFile: output } = flags;
  return {
    overrides,
    updates: new Set((flags.updateInput ?? []).map(inputName)),
    ...(reference === undefined ? {} : { reference: readLockFile(reference) }),
    ...(flags.recreateLockFile ? { reference: null } : {}),
    mayChange: flags.updateLockFile,
    ...(output === undefined ? {} : { write: (text: string) => writeLockFile(output, text) }),
  };
}

/** An input by its path, in the one way in which it is written. */
function inputName(text: string): string {
  const path = parseInputPath(toByteString(text));
  if (path.length === 0) throw new TvixError("ERR_CLI_USAGE", "the name of an input cannot be empty");
  return path.join("/");
}

function readLockFile(file: string): NonNullable<LockWishes["reference"]> {
  try {
    return { text: bytesToLatin1(readFileSync(file)), where: toByteString(file) };
  } catch (cause) {
    throw new TvixError("ERR_CLI_READ", `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

function writeLockFile(file: string, text: string): void {
  try {
    writeWhole(file, latin1ToBytes(text));
  } catch (cause) {
    throw new TvixError("ERR_CLI_WRITE", `cannot write ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** The value that `REF#ATTR` names, at a path below it. Arguments without a reference mean the flake of this directory. */
export function evaluateFlakeArgument(
  argument: string,
  path: string,
  given: ReadonlyMap<string, Value>,
  session: Session,
  evaluator: Evaluator,
  flags: FlakeFlags,
): Whnf {
  const { ref, fragment } = parseLocalFlakeRef(toByteString(argument), toByteString(process.cwd()), evaluator.io);
  const flake = session.flake(ref, evaluator, lockWishes(flags, evaluator.io));
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
