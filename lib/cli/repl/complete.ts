// What may follow in an input: commands, variables, attributes of what stands before a dot, files.
import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { bytesToLatin1, encodeUtf8 } from "../../base/text.ts";
import { quoteName } from "../../eval/text/quote.ts";
import { COMMAND_WORDS, type Repl } from "./repl.ts";
import { display } from "./show.ts";

const KEYWORDS = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/** The completions of the last word of a line, and that word, in the form that node:readline wants. */
export function complete(line: string, repl: Repl): [completions: string[], word: string] {
  const command = /^\s*(:\S*)$/.exec(line)?.[1];
  if (command !== undefined) return [COMMAND_WORDS.filter((word) => word.startsWith(command)), command];
  const path = /(?:^|[\s([{"=])((?:~|\.{0,2})\/[^\s"]*)$/.exec(line)?.[1];
  if (path !== undefined) return [filesLike(path), path];
  const word = /(?:[A-Za-z_][\w'-]*\.|"[^"]*"\.)*(?:[A-Za-z_][\w'-]*)?$/.exec(line)?.[0] ?? "";
  const dot = word.lastIndexOf(".");
  const candidates = dot < 0 ? variables(repl) : attributes(word.slice(0, dot), repl);
  return [candidates.filter((candidate) => candidate.startsWith(word)).sort(), word];
}

function variables(repl: Repl): string[] {
  const globals = [...repl.world.evaluator.globalNames()].filter((name) => !name.startsWith("__"));
  return [...new Set([...repl.names().map(display), ...globals, ...KEYWORDS])];
}

function attributes(set: string, repl: Repl): string[] {
  const names = repl.attributesOf(bytesToLatin1(encodeUtf8(set)));
  return names.map((name) => `${set}.${display(quoteName(name))}`);
}

function filesLike(path: string): string[] {
  const directory = path.slice(0, path.lastIndexOf("/") + 1);
  const opened = directory.startsWith("~/") ? homedir() + directory.slice(1) : directory;
  try {
    return readdirSync(opened, { withFileTypes: true })
      .map((entry) => `${directory}${entry.name}${entry.isDirectory() ? "/" : ""}`)
      .filter((name) => name.startsWith(path));
  } catch {
    return [];
  }
}
