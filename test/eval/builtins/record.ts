// Records the oracle's answers to the calls of cases.ts: `TVIX_ORACLE="…" npx tsx test/eval/builtins/record.ts [family…]`.
import { writeFileSync } from "node:fs";
import { askOracleEach } from "../engine/oracle.ts";
import { callToNix } from "./calls.ts";
import { CALLS } from "./cases.ts";

for (const [family, calls] of Object.entries(CALLS)) {
  if (process.argv.length > 2 && !process.argv.includes(family)) continue;
  const answers = askOracleEach(calls.map(callToNix));
  const lines = calls.map((call, i) => JSON.stringify([callToNix(call), answers[i]]));
  writeFileSync(new URL(`../../data/eval/calls-${family}.json`, import.meta.url), `[\n${lines.join(",\n")}\n]\n`);
  console.log(`recorded ${calls.length} calls of ${family}`);
}
