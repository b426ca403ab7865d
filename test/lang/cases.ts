// The language cases: expressions in files by topic, how each is to be run, and the oracle's recorded answer.
//
// A case file (`cases/<topic>.lang`) holds one expression a line. Blank lines and lines that start with `#` do not
// count. An expression of several lines stands between lines `<<<` and `>>>`. Directives start with `%`:
//
//   %mode strict|lazy|xml|json|parse     how the following expressions are run (strict at first)
//   %features NAMES                      experimental features that the following expressions have
//   %for name = a | b | c                until `%end`, each expression that has `@name@` in it stands for one with each
//   %end                                 of the alternatives, in which earlier names may stand
//                                        again; several `%for`s make the product
//
// An answer file (`golden/<topic>.txt`) holds for each case `> expression` (further lines after `| `), and below it
// `= output` or `! class: message`. Answers are found by mode and expression, so cases can be moved freely.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ExperimentalFeature, isExperimentalFeature } from "../../lib/eval/features.ts";

export const MODES = ["strict", "lazy", "xml", "json", "parse"] as const;
export type Mode = (typeof MODES)[number];

export interface Case {
  readonly topic: string;
  readonly mode: Mode;
  /** The source, as a byte string (one char per byte). */
  readonly text: string;
  /** Experimental features, besides those that all cases have. */
  readonly features: readonly ExperimentalFeature[];
}

/** What the oracle said: its standard output, or the class and first line of its error. */
export interface Answer {
  readonly value?: string;
  readonly error?: { readonly kind: string; readonly message: string };
}

/** The folder of fixtures in which cases are run; `$DIR` stands for it in answers. */
export const FILES: string = fileURLToPath(new URL("./files", import.meta.url));

/** The home directory of the cases. */
export const LANG_HOME = "/lang-home";

/** The environment of the cases. */
export const LANG_VARIABLES: ReadonlyMap<string, string> = new Map([
  ["HOME", LANG_HOME],
  ["LANG_VARIABLE", "set"],
  ["NIX_PATH", ""],
]);

const here = (path: string): URL => new URL(path, import.meta.url);

/** The topics, sorted. */
export function topics(): string[] {
  return readdirSync(here("./cases"))
    .filter((name) => name.endsWith(".lang"))
    .map((name) => name.slice(0, -".lang".length))
    .sort();
}

export function goldenFile(topic: string): URL {
  return here(`./golden/${topic}.txt`);
}

/** All cases of a topic, in order, each once. */
export function readCases(topic: string): Case[] {
  return parseCases(topic, readFileSync(here(`./cases/${topic}.lang`), "latin1"));
}

interface Loop {
  readonly name: string;
  readonly values: readonly string[];
}

export function parseCases(topic: string, text: string): Case[] {
  const cases = new Map<string, Case>();
  let mode: Mode = "strict";
  let features: readonly ExperimentalFeature[] = [];
  let loops: Loop[] = [];
  let block: string[] | undefined;
  const add = (source: string): void => {
    for (const expanded of expand(source, loops))
      cases.set(caseKey(mode, expanded), { topic, mode, text: expanded, features });
  };
  for (const line of text.split("\n")) {
    if (block !== undefined) {
      if (line === ">>>") {
        add(block.join("\n"));
        block = undefined;
      } else block.push(line);
    } else if (line === "<<<") block = [];
    else if (line.startsWith("%mode ")) mode = modeOf(line.slice(6).trim());
    else if (line.startsWith("%features ")) features = line.split(" ").filter(isExperimentalFeature);
    else if (line.startsWith("%for ")) loops.push(loopOf(line.slice(5)));
    else if (line === "%end") loops = [];
    else if (line !== "" && !line.startsWith("#")) add(line);
  }
  if (block !== undefined || loops.length > 0) throw new Error(`${topic}.lang: a block or loop is not closed`);
  return [...cases.values()];
}

function modeOf(word: string): Mode {
  const mode = MODES.find((known) => known === word);
  if (mode === undefined) throw new Error(`no mode ${word}`);
  return mode;
}

function loopOf(text: string): Loop {
  const [name = "", values = ""] = text.split(/ = (.*)/s);
  return { name: name.trim(), values: values.split(" | ").map((value) => value.trim()) };
}

function expand(source: string, loops: readonly Loop[]): string[] {
  let out = [source];
  for (const { name, values } of [...loops].reverse()) {
    const mark = `@${name}@`;
    if (out[0]?.includes(mark)) out = out.flatMap((text) => values.map((value) => text.replaceAll(mark, value)));
  }
  return out;
}

export function caseKey(mode: Mode, text: string): string {
  return `${mode} ${text}`;
}

/** The recorded answers of a topic, by {@link caseKey}. */
export function readGolden(topic: string): Map<string, Answer> {
  const answers = new Map<string, Answer>();
  let mode: Mode = "strict";
  let key = "";
  for (const record of readFileSync(goldenFile(topic), "latin1").split("\n\n")) {
    const fields: { mark: string; text: string }[] = [];
    for (const line of record.split("\n")) {
      if (line === "") continue;
      const mark = line.slice(0, 1);
      if (mark === "|") (fields.at(-1) as { text: string }).text += `\n${line.slice(2)}`;
      else fields.push({ mark, text: line.slice(2) });
    }
    for (const { mark, text } of fields) {
      if (mark === "%") mode = modeOf(text);
      else if (mark === ">") key = caseKey(mode, text);
      else if (mark === "=") answers.set(key, { value: text });
      else {
        const [kind = "", message = ""] = text.split(/: (.*)/s);
        answers.set(key, { error: { kind, message } });
      }
    }
  }
  return answers;
}

/** The text of an answer file. */
export function writeGolden(cases: readonly Case[], answers: readonly Answer[]): string {
  const out: string[] = [];
  let mode: Mode = "strict";
  for (const [i, { mode: own, text }] of cases.entries()) {
    const lines: string[] = [];
    if (own !== mode) lines.push(`% ${own}`);
    mode = own;
    const answer = answers[i] as Answer;
    lines.push(field(">", text));
    if (answer.error) lines.push(field("!", `${answer.error.kind}: ${answer.error.message}`));
    else lines.push(field("=", answer.value ?? ""));
    out.push(lines.join("\n"));
  }
  return `${out.join("\n\n")}\n`;
}

function field(mark: string, text: string): string {
  return `${mark} ${text.replaceAll("\n", "\n| ")}`;
}

/** Keys of cases that do not pass yet: each must fail, so that the list can only shrink. */
export function readPending(): Set<string> {
  const text = readFileSync(here("./pending.txt"), "latin1");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Set(lines.map((line) => JSON.parse(line) as string));
}
