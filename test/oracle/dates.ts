// Random dates and times of TOML, near the bounds of what there is, read here and by the oracle.

import type { ExperimentalFeature } from "../../lib/eval/features.ts";
import { Source } from "../../lib/eval/source.ts";
import { agrees, langEvaluator, runText } from "../lang/run.ts";
import { askOracle } from "./nix.ts";
import { Random } from "./random.ts";

const FEATURES: readonly ExperimentalFeature[] = ["parse-toml-timestamps"];

const BATCH = 100;

function randomTimestamp(random: Random): string {
  const number = (below: number, digits: number): string => {
    const value = random.chance(10) ? random.pick([0, below - 1, below, below + 1]) : random.below(below);
    return String(value).padStart(random.chance(97) ? digits : digits - 1, "0");
  };
  const date = `${number(10000, 4)}-${number(13, 2)}-${number(32, 2)}`;
  const digits = (count: number): string =>
    Array.from({ length: count }, () => random.below(random.chance(50) ? 10 : 1)).join("");
  const fraction = random.chance(50) ? `.${digits(random.below(13))}` : "";
  const time = `${number(24, 2)}:${number(60, 2)}:${number(61, 2)}${fraction}`;
  const offset = random.pick([
    "",
    "Z",
    "z",
    `+${number(25, 2)}:${number(61, 2)}`,
    `-${number(25, 2)}:${number(61, 2)}`,
  ]);
  const kind = random.below(10);
  if (kind < 2) return date;
  if (kind < 4) return `${time}${random.chance(10) ? offset : ""}`;
  return `${date}${random.pick(["T", "t", " ", "T", random.pick(["", "_", "  "])])}${time}${offset}`;
}

/** Compares `count` values; prints those that differ. */
export function dates(count: number, seed: number): void {
  console.log(`${count} dates, seed ${seed}`);
  const random = new Random(seed);
  const evaluator = langEvaluator(undefined, undefined, FEATURES);
  let different = 0;
  let valid = 0;
  for (let done = 0; done < count; done += BATCH) {
    const texts = Array.from({ length: Math.min(BATCH, count - done) }, () => {
      return `builtins.fromTOML "a = ${randomTimestamp(random)}\\nb = [ ${randomTimestamp(random)} ]"`;
    });
    const expected = askOracle(texts.map((text) => ({ topic: "dates", mode: "strict", text, features: FEATURES })));
    for (const [i, text] of texts.entries()) {
      const answer = runText(Source.string(text), "strict", evaluator);
      const wanted = expected[i] as (typeof expected)[number];
      if (wanted.value !== undefined) valid++;
      if (agrees(answer, wanted)) continue;
      different++;
      console.log(`${text}\n  Nix  ${JSON.stringify(wanted)}\n  here ${JSON.stringify(answer)}\n`);
    }
  }
  console.log(`${count} documents of two dates, ${valid} of them valid, ${different} differences`);
  if (different > 0) process.exitCode = 1;
}
