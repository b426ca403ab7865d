// `tvix drv diff`: why two derivations differ, as text or JSON.
import {
  diffDerivations,
  type DerivationDifference,
  type FieldDifference,
  withoutHashes,
} from "../../../derivation/diff.ts";
import { byteStringToText } from "../../../eval/source.ts";
import { print } from "../../output.ts";
import { compare } from "../../render/error.ts";
import type { StoreOptions } from "../store/session.ts";
import { withDerivations } from "./read.ts";

/** Longest value that is shown whole; of longer ones, the part around the first difference. */
const SHOWN = 160;

/** Prints one block (with `--json`, one line) per pair of derivations that differ. */
export async function run(before: string, after: string, flags: StoreOptions): Promise<void> {
  await compare(() => printDifferences(before, after, flags));
}

async function printDifferences(before: string, after: string, flags: StoreOptions): Promise<boolean> {
  let isDifferent = false;
  await withDerivations(flags, async (read) => {
    const [left, right] = [await read(before), await read(after)];
    const named = new Map([
      [before, left.derivation],
      [after, right.derivation],
    ]);
    const differences = diffDerivations(
      before,
      after,
      async (path) => named.get(path) ?? (await read(path)).derivation,
    );
    for await (const difference of differences) {
      if (!hasDifference(difference)) continue;
      isDifferent = true;
      await print(flags.json ? `${JSON.stringify(toText(difference))}\n` : render(difference));
    }
  });
  return isDifferent;
}

/** Byte strings as text. */
function toText(difference: DerivationDifference): DerivationDifference {
  const text = (value: string | undefined): string | undefined => value && byteStringToText(value);
  const fields = difference.fields.map(
    ({ field, before, after }): FieldDifference => ({
      field: byteStringToText(field),
      before: text(before),
      after: text(after),
    }),
  );
  return { ...difference, fields };
}

function hasDifference({ fields, removed, added, changed }: DerivationDifference): boolean {
  return fields.length + removed.length + added.length + changed.length > 0;
}

function render(difference: DerivationDifference): string {
  const { via, before, after, fields, removed, added, changed } = toText(difference);
  const lines = [
    ...(via.length === 0 ? [] : [`input ${via.join(" > ")}`]),
    `- ${before}`,
    `+ ${after}`,
    ...fields.flatMap(renderField),
    ...removed.map((path) => `    - input ${path}`),
    ...added.map((path) => `    + input ${path}`),
    ...changed.map(({ before: path }) => `    ~ input ${path.slice(path.lastIndexOf("/") + 34)}`),
  ];
  return `${lines.join("\n")}\n\n`;
}

function renderField({ field, before, after }: FieldDifference): string[] {
  // Hashes differ where something behind them does: the first difference of their own is what tells.
  const start =
    before === undefined || after === undefined ? 0 : commonStart(withoutHashes(before), withoutHashes(after));
  return [
    `    ${field}`,
    ...(before === undefined ? [] : [`      - ${excerpt(before, start)}`]),
    ...(after === undefined ? [] : [`      + ${excerpt(after, start)}`]),
  ];
}

function commonStart(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

function excerpt(text: string, around: number): string {
  if (text.length <= SHOWN) return JSON.stringify(text);
  const from = Math.max(0, Math.min(around - SHOWN / 4, text.length - SHOWN));
  const part = JSON.stringify(text.slice(from, from + SHOWN));
  return `${from > 0 ? "…" : ""}${part}${from + SHOWN < text.length ? "…" : ""}`;
}
