// Random programs, run here and by the oracle: what they print, how they parse, and which errors they give.

import { tmpdir } from "node:os";

import { Source } from "../../lib/eval/source.ts";
import { type Backend, CLOSURE_BACKEND } from "../../lib/eval/evaluator.ts";
import { nodeBackend } from "../../lib/eval/node.ts";
import type { Answer } from "../lang/cases.ts";
import { agrees, langEvaluator, runText } from "../lang/run.ts";
import { askOracleInBulk } from "./nix.ts";
import { randomProgram } from "./programs.ts";
import { Random } from "./random.ts";
import { randomSyntax } from "./syntax.ts";

const BATCH = 200;
/** As deep as where the oracle's programs are. */
const DIRECTORY = `${tmpdir()}/tvix-fuzz`;
const BACKENDS = [CLOSURE_BACKEND, nodeBackend({ javascriptLimit: Number.POSITIVE_INFINITY })] as const;

/** Compares `count` programs, half of them by their values and half by how they parse; prints what differs. */
export function fuzz(count: number, seed: number): void {
  console.log(`${count} programs, seed ${seed}`);
  const random = new Random(seed);
  const tally: Tally = { different: 0, reordered: 0, repeated: 0 };
  for (let done = 0; done < count; ) {
    const mode = random.chance(50) ? "strict" : "parse";
    const size = Math.min(BATCH, count - done);
    const texts = Array.from({ length: size }, () => {
      if (mode === "strict") return toBytes(randomProgram(random, 2 + random.below(4)));
      return toBytes(`with { }; ${randomSyntax(random)}`);
    });
    compareBatch(texts, mode, BACKENDS[random.below(2)] as Backend, tally);
    done += size;
    if (done % (BATCH * 10) === 0) console.log(summary(done, tally));
  }
  console.log(summary(count, tally));
  if (tally.different > 0) process.exitCode = 1;
}

function toBytes(text: string): string {
  return Source.string(text).text;
}

interface Tally {
  different: number;
  /** Programs with several mistakes of which Nix meets another first. */
  reordered: number;
  /** Values in which other lists are marked as repeated. */
  repeated: number;
}

const REPEATED = "\xc2\xabrepeated\xc2\xbb";

function summary(count: number, { different, reordered, repeated }: Tally): string {
  return `${count} programs, ${different} differences, ${reordered} with another error first, ${repeated} with other lists marked`;
}

function compareBatch(texts: readonly string[], mode: "strict" | "parse", backend: Backend, tally: Tally): void {
  const expected = askOracleInBulk(texts, mode);
  const evaluator = langEvaluator(backend);
  for (const [i, text] of texts.entries()) {
    const source = Source.file(`${DIRECTORY}/program.nix`, text);
    const raw = runText(source, mode, evaluator);
    const answer: Answer = raw.value === undefined ? raw : { value: raw.value.replaceAll(DIRECTORY, "$DIR") };
    const wanted = expected[i] as Answer;
    if (agrees(answer, wanted)) continue;
    const crashed = answer.error?.kind === "crash";
    const marked = wanted.value?.includes(REPEATED) !== answer.value?.includes(REPEATED);
    if (wanted.error !== undefined && answer.error !== undefined && !crashed) tally.reordered++;
    else if (wanted.value !== undefined && answer.value !== undefined && marked) tally.repeated++;
    else tally.different++;
    console.log(`${mode}: ${text}\n  Nix  ${JSON.stringify(wanted)}\n  here ${JSON.stringify(answer)}\n`);
  }
}
