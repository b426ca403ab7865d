// Programs as JSON and back: functions are numbered, and what JSON cannot say is tagged.

import { TvixError } from "../../base/error.ts";
import type { Fn, Program } from "./program.ts";

/** The form of {@link serialiseProgram}'s text, raised when it changes. */
const FORMAT = 3;

/** A program as JSON text. Lone chars beyond ASCII are kept: names are byte strings of one char per byte. */
export function serialiseProgram(program: Program): string {
  const ids = new Map<unknown, number>();
  const text = JSON.stringify({ format: FORMAT, program }, (_key, value: unknown) => {
    if (typeof value === "bigint") return { $int: String(value) };
    if (typeof value === "number" && !Number.isFinite(value)) return { $float: String(value) };
    if (Object.is(value, -0)) return { $float: "-0" };
    if (!isFn(value)) return value;
    // A function stands where it is first met; calls that know their callee refer to it by number.
    const known = ids.get(value);
    if (known !== undefined) return { $fn: known };
    ids.set(value, ids.size);
    return { $id: ids.size - 1, ...value };
  });
  return text;
}

function isFn(value: unknown): value is Fn {
  return typeof value === "object" && value !== null && "captured" in value && "body" in value;
}

/** The inverse of {@link serialiseProgram}. Throws `ERR_EVAL_PROGRAM` for text of another form. */
export function deserialiseProgram(text: string): Program {
  const functions = new Map<number, object>();
  const references: { holder: Record<string, unknown>; key: string; id: number }[] = [];
  const revive = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(revive);
    if (typeof value !== "object" || value === null) return value;
    const fields = value as Record<string, unknown>;
    if (typeof fields["$int"] === "string") return BigInt(fields["$int"]);
    if (typeof fields["$float"] === "string") return Number(fields["$float"]);
    const out: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(fields)) {
      if (key === "$id") continue;
      const id = (item as { $fn?: unknown } | null)?.$fn;
      if (typeof id === "number") references.push({ holder: out, key, id });
      else out[key] = revive(item);
    }
    if (typeof fields["$id"] === "number") functions.set(fields["$id"], out);
    return out;
  };
  const parsed = JSON.parse(text) as { format?: number; program?: unknown };
  if (parsed.format !== FORMAT || parsed.program === undefined) {
    throw new TvixError("ERR_EVAL_PROGRAM", "this is not a serialised program of this version");
  }
  const program = revive(parsed.program) as Program;
  for (const { holder, key, id } of references) holder[key] = functions.get(id);
  return program;
}
