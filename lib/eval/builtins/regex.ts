// The built-in functions on regular expressions.
import { compileRegex } from "../engine/regex/regex.ts";
import { textOf, forcePlainString, forceString } from "../vm/demand.ts";
import { type BuiltinTable, define } from "./define.ts";

/** Regular expressions. Groups carry no context, as in Nix. */
export const REGEX_BUILTINS: BuiltinTable = [
  define(
    "match",
    "!!",
    "The groups of a POSIX extended regular expression if it matches the whole string (null for those that take no part), else null.",
    (_rt, pattern, subject) => {
      const regex = compileRegex(forcePlainString(pattern, "the first argument passed to builtins.match"));
      const text = textOf(forceString(subject, "the second argument passed to builtins.match"));
      return regex.match(text) ?? null;
    },
  ),
  define(
    "split",
    "!!",
    "The parts of a string between the matches of a POSIX extended regular expression, in turn with the lists of groups of those matches.",
    (_rt, pattern, subject) => {
      const regex = compileRegex(forcePlainString(pattern, "the first argument passed to builtins.split"));
      const string = forceString(subject, "the second argument passed to builtins.split");
      const parts = regex.split(textOf(string));
      // Without a match the string is passed on as it is, context and all.
      return parts.length === 1 ? [string] : parts;
    },
  ),
];
