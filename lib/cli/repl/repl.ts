// The REPL without a terminal: what each input does to the variables, and what is answered.
//
// Variables are a set that grows. An input sees the variables as they are when it is typed: `x = x + 1` means the
// earlier x. `:r` starts anew with the files, which are then read again.
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1, encodeUtf8 } from "../../base/text.ts";
import { DiagnosticError } from "../../eval/diagnostic.ts";
import type { Evaluator } from "../../eval/evaluator.ts";
import { Source } from "../../eval/source.ts";
import { Attrs, attrsFromMap } from "../../eval/value/attrs.ts";
import { PrimOp } from "../../eval/value/function.ts";
import { ContextString } from "../../eval/value/string.ts";
import { type Sym, symbol, symbolName } from "../../eval/value/symbol.ts";
import { Thunk } from "../../eval/value/thunk.ts";
import { describeType, type Value, type Whnf } from "../../eval/value/value.ts";
import { forceAttrs } from "../../eval/vm/demand.ts";
import { showValue } from "./show.ts";

/** What an input came to: text to print (one char per byte), or that there must be more of it, or the end. */
export type Reply =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "more" }
  | { readonly kind: "quit" };

/** What the REPL needs from the command. */
export interface ReplWorld {
  readonly evaluator: Evaluator;
  /** Where relative paths start: a byte string. */
  readonly directory: string;
  /** The value of a file, given the arguments of the command line. */
  load(path: string): Whnf;
  /** The values that the command line names. */
  loadGiven(): readonly Whnf[];
}

interface ReplCommand {
  readonly words: readonly string[];
  readonly operand: string;
  readonly help: string;
  /** Answers what to print; nothing to leave. */
  run(repl: Repl, operand: string): string | undefined;
}

const COMMANDS: readonly ReplCommand[] = [
  {
    words: [":a", ":add"],
    operand: "<expr>",
    help: "make the attributes of a set variables",
    run: (repl, text) => repl.addAttributes(repl.evaluate(text)),
  },
  {
    words: [":doc"],
    operand: "<expr>",
    help: "tell what a built-in function does",
    run: (repl, text) => repl.doc(text),
  },
  {
    words: [":l", ":load"],
    operand: "<path>",
    help: "make the attributes of a file's value variables",
    run: (repl, text) => repl.load(text),
  },
  {
    words: [":p", ":print"],
    operand: "<expr>",
    help: "print a value with all that is in it; a string as it is",
    run: (repl, text) => repl.printAll(text),
  },
  { words: [":q", ":quit"], operand: "", help: "leave", run: () => undefined },
  {
    words: [":r", ":reload"],
    operand: "",
    help: "forget all variables and load the files again",
    run: (repl) => repl.reload(),
  },
  {
    words: [":t"],
    operand: "<expr>",
    help: "tell the type of a value",
    run: (repl, text) => `${describeType(repl.evaluate(text))}\n`,
  },
  { words: [":?", ":help"], operand: "", help: "show this", run: () => HELP },
];

const HELP: string = [
  ["<expr>", "evaluate and print"],
  ["<name> = <expr>", "make a variable"],
  ...COMMANDS.map(({ words, operand, help }) => [`${words.join(", ")} ${operand}`.trimEnd(), help]),
]
  .map(([what = "", help]) => `  ${what.padEnd(20)} ${help}\n`)
  .join("");

/** The words that start commands. */
export const COMMAND_WORDS: readonly string[] = COMMANDS.flatMap(({ words }) => words);

/** `name = expr`, with a semicolon or not, and not `name == expr`. */
const ASSIGNMENT = /^(\s*([A-Za-z_][A-Za-z0-9_'-]*)\s*=)(?!=)([^]*)$/;

/** A REPL's state. */
export class Repl {
  readonly world: ReplWorld;
  private readonly variables = new Map<Sym, Value>();
  private readonly files: string[] = [];

  constructor(world: ReplWorld) {
    this.world = world;
  }

  /** The names of the variables. */
  names(): string[] {
    return [...this.variables.keys()].map(symbolName);
  }

  /** Does what an input (a byte string) says. @throws the errors of evaluation */
  handle(input: string): Reply {
    if (input.trim() === "") return { kind: "text", text: "" };
    try {
      const text = this.answer(input);
      return text === undefined ? { kind: "quit" } : { kind: "text", text };
    } catch (error) {
      if (error instanceof Unfinished) return { kind: "more" };
      throw error;
    }
  }

  private answer(input: string): string | undefined {
    const [, word, operand = ""] = /^\s*(:\S*)\s*([^]*)$/.exec(input) ?? [];
    if (word !== undefined) {
      const command = COMMANDS.find(({ words }) => words.includes(word));
      if (command !== undefined) return command.run(this, operand.trim());
      throw new TvixError("ERR_CLI_USAGE", `unknown command '${word}'`, { notes: [":? lists the commands"] });
    }
    const [, head, name, text] = ASSIGNMENT.exec(input) ?? [];
    if (head === undefined || name === undefined || text === undefined)
      return `${showValue(this.evaluate(input), { depth: 1 })}\n`;
    // Blanks in place of what is before it, so that errors point into the input.
    const expression = head.replace(/\S/g, " ") + text.replace(/;\s*$/, "");
    this.variables.set(symbol(name), new Thunk(this.prepare(expression), null));
    return "";
  }

  private prepare(text: string): () => Whnf {
    const { evaluator, directory } = this.world;
    const source = Source.string(
      Uint8Array.from(text, (char) => char.charCodeAt(0)),
      directory,
    );
    try {
      evaluator.parse(source);
    } catch (error) {
      throw isUnfinished(error) ? new Unfinished() : error;
    }
    return evaluator.prepare(source, attrsFromMap(this.variables));
  }

  /** The value of an expression. */
  evaluate(text: string): Whnf {
    return this.prepare(text)();
  }

  /** Makes the attributes of a set variables. */
  addAttributes(value: Value): string {
    const { shape, values } = forceAttrs(value, "the set to be added").flatten();
    shape.keys.forEach((key, i) => this.variables.set(key, values[i] as Value));
    const { length } = values;
    const names = shape.keys.slice(0, LISTED).map(symbolName).join(", ");
    const rest = length > LISTED ? `, … and ${length - LISTED} more` : "";
    const listed = length === 0 ? "" : `${names}${bytesToLatin1(encodeUtf8(rest))}\n`;
    return `Added ${length} variable${length === 1 ? "" : "s"}.\n${listed}`;
  }

  /** `:l` */
  load(path: string): string {
    const added = this.addAttributes(this.world.load(path));
    if (!this.files.includes(path)) this.files.push(path);
    return added;
  }

  /** `:r`, and the start. */
  reload(): string {
    this.variables.clear();
    this.world.evaluator.forgetFiles();
    const given = this.world.loadGiven().map((value) => this.addAttributes(value));
    return [...given, ...this.files.map((path) => this.load(path))].join("");
  }

  /** `:p` */
  printAll(text: string): string {
    const value = this.evaluate(text);
    if (typeof value === "string") return `${value}\n`;
    if (value instanceof ContextString) return `${value.text}\n`;
    return `${showValue(value, { depth: Number.POSITIVE_INFINITY })}\n`;
  }

  /** `:doc` */
  doc(text: string): string {
    const value = this.evaluate(text);
    if (!(value instanceof PrimOp)) {
      throw new TvixError("ERR_CLI_USAGE", "there is documentation of built-in functions only");
    }
    const { name, arity, doc } = value.builtin;
    return `builtins.${name} takes ${arity} argument${arity === 1 ? "" : "s"}. ${doc}\n`;
  }

  /** The names in the set that an expression is; none when it is no set or fails. */
  attributesOf(text: string): string[] {
    try {
      const value = this.evaluate(text);
      return value instanceof Attrs ? value.flatten().shape.keys.map(symbolName) : [];
    } catch (error) {
      if (error instanceof TvixError) return [];
      throw error;
    }
  }
}

/** How many names `:a` and `:l` list. */
const LISTED = 10;

/** Says that an input goes on. */
class Unfinished extends Error {}

/** Whether text is not wrong, but goes on. */
function isUnfinished(error: unknown): boolean {
  if (!(error instanceof DiagnosticError)) return false;
  return error.code === "ERR_PARSE_UNTERMINATED" || error.message.includes("unexpected end of file");
}
