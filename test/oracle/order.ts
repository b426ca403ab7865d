// In which order built-in functions and operators compute their arguments: every argument says so by `builtins.trace`.

import { Source } from "../../lib/eval/source.ts";
import { FILES } from "../lang/cases.ts";
import { langEvaluator, runText } from "../lang/run.ts";
import { askOracleTraced } from "./nix.ts";
import { Random } from "./random.ts";

/** Functions of two arguments whose values do not depend on where this runs. */
const TWO =
  `add all any appendContext bitAnd bitOr bitXor catAttrs compareVersions concatMap concatStringsSep deepSeq div elem
  elemAt filter findFile genList getAttr groupBy hasAttr hashFile hashString intersectAttrs lessThan map mapAttrs match
  mul partition removeAttrs seq sort split sub zipAttrsWith`.split(/\s+/);
const ONE =
  `attrNames attrValues baseNameOf ceil concatLists dirOf floor fromJSON functionArgs genericClosure getContext head
  hasContext isAttrs isBool isFloat isFunction isInt isList isNull isPath isString length listToAttrs parseDrvName
  readDir readFile splitVersion stringLength tail toJSON toXML toString tryEval typeOf unsafeDiscardStringContext`.split(
    /\s+/,
  );
const THREE = ["foldl'", "replaceStrings", "substring"];
const OPERATORS = ["+", "-", "*", "/", "==", "!=", "<", ">", "<=", ">=", "++", "//", "&&", "||", "->"];

const ARGUMENTS = [
  "1",
  "0",
  '"s"',
  "[ ]",
  "[ 1 2 ]",
  '[ "a" "b" ]',
  "{ }",
  "{ a = 1; }",
  "(x: x)",
  "(x: y: true)",
  "null",
  "1.5",
  "/a",
  '(throw "E")',
  '[ (builtins.trace "e1" 2) (builtins.trace "e2" 1) ]',
  '[ (builtins.trace "e1" "s") (throw "E2") ]',
  '[ (builtins.trace "e1" { a = builtins.trace "v" 1; }) (throw "E") ]',
  '{ a = builtins.trace "va" 1; s = builtins.trace "vs" (throw "X"); }',
  '(x: builtins.trace "call" x)',
  '(x: builtins.trace "call" (throw "F"))',
  '(x: builtins.trace "c1" (y: builtins.trace "c2" true))',
];

function program(random: Random): string {
  const argument = (i: number): string => `(builtins.trace "${i}" ${random.pick(ARGUMENTS)})`;
  const kind = random.below(10);
  if (kind === 0) return `builtins.${random.pick(ONE)} ${argument(1)}`;
  if (kind < 6) return `builtins.${random.pick(TWO)} ${argument(1)} ${argument(2)}`;
  if (kind < 8) return `builtins.${random.pick(THREE)} ${argument(1)} ${argument(2)} ${argument(3)}`;
  return `${argument(1)} ${random.pick(OPERATORS)} ${argument(2)}`;
}

const BATCH = 500;

/** Compares `count` programs of a seed: what they trace, and whether they fail; prints those that differ. */
export function order(count: number, seed: number): void {
  console.log(`${count} programs, seed ${seed}`);
  const random = new Random(seed);
  let different = 0;
  for (let done = 0; done < count; done += BATCH) {
    const texts = Array.from({ length: Math.min(BATCH, count - done) }, () => program(random));
    const asked = askOracleTraced(texts.map((text) => ({ topic: "order", mode: "strict", text, features: [] })));
    texts.forEach((text, i) => {
      const { answer, traces: theirs } = asked[i] as (typeof asked)[number];
      const ours: string[] = [];
      const evaluator = langEvaluator(undefined, (message) => ours.push(message));
      const here = runText(Source.stdin(text, FILES), "strict", evaluator);
      if (theirs.join() === ours.join() && (answer.error === undefined) === (here.error === undefined)) return;
      different++;
      console.log(
        `${text}\n  Nix  ${theirs.join()} ${JSON.stringify(answer)}\n  here ${ours.join()} ${JSON.stringify(here)}`,
      );
    });
  }
  console.log(`${count} programs, ${different} differences`);
  if (different > 0) process.exitCode = 1;
}
