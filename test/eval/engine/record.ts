// Records the oracle's answers for the tests of this folder: `TVIX_ORACLE="…" npx tsx test/eval/engine/record.ts`.
import { writeFileSync } from "node:fs";
import { chosenCases, oracleAnswers, randomCases, type RegexCase } from "./regex-cases.ts";

const answers: RegexCase[] = oracleAnswers(chosenCases());
// In lots, because libstdc++ takes minutes over some patterns and a lot is given up then.
const cases = randomCases(1, 3000, 0).filter(([pattern]) => pattern.length < 32);
for (let at = 0; at < cases.length; at += 100) answers.push(...oracleAnswers(cases.slice(at, at + 100)));
writeFileSync(
  new URL("../../data/eval/regex.json", import.meta.url),
  `[\n${answers.map((answer) => JSON.stringify(answer)).join(",\n")}\n]\n`,
);
console.log(`recorded ${answers.length} regex cases`);
