// docs/evaluator.md says what the tables in the source say.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EVAL_ERRORS } from "../../lib/eval/error.ts";
import { INSTRUCTIONS } from "../../lib/eval/ir/table.ts";

const rows = readFileSync(new URL("../../docs/evaluator.md", import.meta.url), "utf8").split("\n");
const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

test.each(Object.entries(INSTRUCTIONS))("instruction %s", (op, { operands, meaning }) => {
  const described = Object.entries(operands).map(([name, kind]) => `${name}: ${kind}`);
  expect(rows).toContain(row([`\`${op}\``, described.join(", "), meaning]));
});

test.each(Object.entries(EVAL_ERRORS))("error %s", (code, { catchable, meaning }) => {
  expect(rows).toContain(row([`\`${code}\``, catchable ? "yes" : "no", meaning]));
});
