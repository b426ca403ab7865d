import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { BuiltinTable } from "../../../lib/eval/builtins/define.ts";
import { HASH_BUILTINS } from "../../../lib/eval/builtins/hash.ts";
import { JSON_BUILTINS } from "../../../lib/eval/builtins/json.ts";
import { NUMBER_BUILTINS } from "../../../lib/eval/builtins/numbers.ts";
import { REGEX_BUILTINS } from "../../../lib/eval/builtins/regex.ts";
import { STRING_BUILTINS } from "../../../lib/eval/builtins/strings.ts";
import { VERSION_BUILTINS } from "../../../lib/eval/builtins/version.ts";
import { TOML_BUILTINS } from "../../../lib/eval/builtins/toml.ts";
import { XML_BUILTINS } from "../../../lib/eval/builtins/xml.ts";
import { callToNix, makeCall } from "./calls.ts";
import { CALLS } from "./cases.ts";

const TABLES: readonly BuiltinTable[] = [
  HASH_BUILTINS,
  JSON_BUILTINS,
  NUMBER_BUILTINS,
  REGEX_BUILTINS,
  STRING_BUILTINS,
  TOML_BUILTINS,
  VERSION_BUILTINS,
  XML_BUILTINS,
];

type Recorded = [nix: string, answer: { printed: string } | { error: string }];

/** Messages that differ from Nix's on purpose: ours say more. */
const OURS: readonly RegExp[] = [/has no exact floating point form/];

/** Of the messages of TOML, and of the shared ones of coercion and type errors, whose tests are elsewhere, only the kind counts here. */
function normal(answer: { printed: string } | { error: string }): unknown {
  if ("printed" in answer) return answer;
  // Our TOML messages are our own: toml11's are pictures of several lines.
  if (answer.error.startsWith("while parsing TOML")) return "TOML";
  // Messages of lib/formats keep their hints apart from the message.
  if (/^invalid (base-64|SRI) hash/.test(answer.error)) return "invalid hash";
  if (/hash|blake3/.test(answer.error)) return answer.error.split(/, (?:nor|expect)|;/)[0];
  if (answer.error.startsWith("cannot coerce")) return "cannot coerce";
  return answer.error.replace(/null: null$/, "null");
}

describe.each(Object.entries(CALLS))("%s answer as Nix 2.34.8", (family, calls) => {
  const recorded = JSON.parse(
    readFileSync(new URL(`../../data/eval/calls-${family}.json`, import.meta.url), "utf8"),
  ) as Recorded[];

  test("the recording is of these calls", () => {
    expect(recorded.map(([nix]) => nix)).toEqual(calls.map(callToNix));
  });

  test("every answer is the recorded one", () => {
    const wrong: unknown[] = [];
    calls.forEach((call, i) => {
      const ours = makeCall(TABLES, call);
      const [nix, theirs] = recorded[i] as Recorded;
      if ("error" in ours && "error" in theirs && OURS.some((message) => message.test(ours.error))) return;
      if (JSON.stringify(normal(ours)) !== JSON.stringify(normal(theirs))) wrong.push({ nix, ours, theirs });
    });
    expect(wrong).toEqual([]);
  });
});

test("every function has a line for people", () => {
  for (const builtin of TABLES.flat()) {
    expect(builtin.doc, builtin.name).toMatch(/^[A-Z].*\.$/);
    expect(builtin.arity).toBeLessThanOrEqual(3);
  }
});
