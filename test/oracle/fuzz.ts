// Random programs, run here and by the oracle: what they print, how they parse, and which errors they give.

import { Source } from "../../lib/eval/source.ts";
import { CLOSURE_BACKEND } from "../../lib/eval/evaluator.ts";
import type { Answer, Mode } from "../lang/cases.ts";
import { agrees, langEvaluator, runText } from "../lang/run.ts";
import { askOracleInBulk } from "./nix.ts";
import { Random, randomProgram, randomSyntax } from "./random.ts";

const BATCH = 200;

/** Compares `count` programs, half of them by their values and half by how they parse; prints what differs. */
export function fuzz(count: number, seed: number): void {
  console.log(`${count} programs, seed ${seed}`);
  const random = new Random(seed);
  let different = 0;
  for (let done = 0; done < count; ) {
    const mode = random.chance(50) ? "strict" : "parse";
    const size = Math.min(BATCH, count - done);
    const texts = Array.from({ length: size }, () => {
      if (mode === "strict") return toBytes(randomProgram(random, 2 + random.below(4)));
      return toBytes(`with { }; ${randomSyntax(random)}`);
    });
    different += compareBatch(texts, mode);
    done += size;
    if (done % (BATCH * 10) === 0) console.log(`${done} programs, ${different} differences`);
  }
  console.log(`${count} programs, ${different} differences`);
  if (different > 0) process.exitCode = 1;
}

function toBytes(text: string): string {
  return Source.string(text).text;
}

function compareBatch(texts: readonly string[], mode: Mode & ("strict" | "parse")): number {
  const expected = askOracleInBulk(texts, mode);
  const evaluator = langEvaluator(CLOSURE_BACKEND);
  let different = 0;
  for (const [i, text] of texts.entries()) {
    const source = Source.file("/fuzz/program.nix", text);
    const raw = runText(source, mode, evaluator);
    const answer: Answer = raw.value === undefined ? raw : { value: raw.value.replaceAll("/fuzz", "$DIR") };
    const wanted = expected[i] as Answer;
    if (agrees(answer, wanted)) continue;
    different++;
    console.log(`${mode}: ${text}\n  Nix  ${JSON.stringify(wanted)}\n  here ${JSON.stringify(answer)}\n`);
  }
  return different;
}
