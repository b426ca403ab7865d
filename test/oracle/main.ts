// `script/oracle`: records the oracle's answers to the language cases, checks them again, and fuzzes against it.

import { existsSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

import { caseKey, goldenFile, readCases, readGolden, topics, writeGolden } from "../lang/cases.ts";
import { dates } from "./dates.ts";
import { fuzz } from "./fuzz.ts";
import { askOracle, oracleVersion } from "./nix.ts";
import { order } from "./order.ts";

const USAGE = `usage: script/oracle record [TOPIC...]   ask the oracle and write test/lang/golden/
       script/oracle check [TOPIC...]    ask the oracle and compare with test/lang/golden/
       script/oracle fuzz N [SEED]       compare N random programs
       script/oracle dates N [SEED]      compare N TOML documents with dates and times
       script/oracle order N [SEED]      compare the order in which N calls compute their arguments
TVIX_NIX is put before nix-instantiate to reach the oracle (Nix 2.34).`;

/** The Nix whose language is the target; another one's answers are not recorded. */
const TARGET = "2.34";

function record(names: readonly string[]): void {
  for (const topic of names) {
    const cases = readCases(topic);
    writeFileSync(goldenFile(topic), writeGolden(cases, askOracle(cases)), "latin1");
    console.log(`${topic}: ${cases.length} recorded`);
  }
}

function check(names: readonly string[]): void {
  let wrong = 0;
  for (const topic of names) {
    const cases = readCases(topic);
    const golden = existsSync(goldenFile(topic)) ? readGolden(topic) : new Map<string, unknown>();
    const answers = askOracle(cases);
    for (const [i, { mode, text }] of cases.entries()) {
      const recorded = golden.get(caseKey(mode, text));
      if (isDeepStrictEqual(recorded, answers[i])) continue;
      wrong++;
      console.log(
        `${topic} (${mode}): ${text}\n  recorded ${JSON.stringify(recorded)}\n  now      ${JSON.stringify(answers[i])}`,
      );
    }
    console.log(`${topic}: ${cases.length} checked`);
  }
  if (wrong > 0) {
    console.log(`${wrong} answers differ`);
    process.exitCode = 1;
  }
}

const [command = "", ...args] = process.argv.slice(2);
const version = oracleVersion();
if (version === undefined) {
  console.error("no oracle: nix-instantiate does not run (set TVIX_NIX)");
  process.exitCode = 1;
} else {
  console.log(`oracle: Nix ${version}`);
  if (command === "record" && !version.startsWith(TARGET)) {
    console.error(`answers are recorded from Nix ${TARGET} only`);
    process.exitCode = 1;
  } else if (command === "record") record(args.length > 0 ? args : topics());
  else if (command === "dates") dates(Number(args[0] ?? 500), Number(args[1] ?? Date.now() % 1_000_000));
  else if (command === "fuzz") fuzz(Number(args[0] ?? 1000), Number(args[1] ?? Date.now() % 1_000_000));
  else if (command === "order") order(Number(args[0] ?? 1000), Number(args[1] ?? Date.now() % 1_000_000));
  else if (command === "check") check(args.length > 0 ? args : topics());
  else {
    console.error(USAGE);
    process.exitCode = 2;
  }
}
