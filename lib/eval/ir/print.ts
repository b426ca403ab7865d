// Printing the intermediate form, for people: one instruction per line, operands indented below.

import { quoteString } from "../text/quote.ts";
import type { Constant, Fn, Node, Place, Program } from "./program.ts";
import { INSTRUCTIONS, type OperandKind } from "./table.ts";

/** A program as text. Functions are numbered in the order of their appearance. */
export function printIr(program: Program): string {
  const printer = new Printer();
  printer.fn(program.root, 0, "");
  return printer.lines.join("\n");
}

/** Deeper lines are not indented further: the text would grow with the square of the depth. */
const INDENT_LIMIT = 200;

class Printer {
  readonly lines: string[] = [];
  private readonly ids = new Map<Fn, number>();

  private line(depth: number, text: string): void {
    this.lines.push(`${"  ".repeat(Math.min(depth, INDENT_LIMIT))}${text}`);
  }

  private id(fn: Fn): number {
    let id = this.ids.get(fn);
    if (id === undefined) {
      id = this.ids.size;
      this.ids.set(fn, id);
    }
    return id;
  }

  fn(fn: Fn, depth: number, label: string): void {
    const slots = fn.names.map((name, slot) => `${slot}${fn.captured[slot] ? "*" : ""}:${name === "" ? "_" : name}`);
    const params = fn.arity === 0 ? "" : ` takes ${fn.arity}${fn.ellipsis ? " ..." : ""}`;
    this.line(
      depth,
      `${label}${fn.kind} #${this.id(fn)} ${fn.name}${params} [${slots.join(" ")}]`.replace(/ {2,}/g, " "),
    );
    for (const formal of fn.formals ?? []) {
      this.line(depth + 1, `formal ${formal.slot}:${formal.name}`);
      if (formal.fallback !== undefined) this.node(formal.fallback, depth + 2, "");
    }
    this.node(fn.body, depth + 1, "");
  }

  private node(node: Node, depth: number, label: string): void {
    const { operands } = INSTRUCTIONS[node.op];
    const fields = node as unknown as Readonly<Record<string, unknown>>;
    const inline: string[] = [];
    const nested: [string, OperandKind, unknown][] = [];
    for (const [name, kind] of Object.entries(operands)) {
      const value = fields[name];
      if (value === undefined) continue;
      const text = this.inline(kind, value);
      if (text === undefined) nested.push([name, kind, value]);
      else inline.push(name === "at" ? `@${text}` : text);
    }
    this.line(depth, [label + node.op, ...inline].join(" "));
    for (const [name, kind, value] of nested) this.nested(name, kind, value, depth + 1);
  }

  /** An operand that fits on the line of its instruction. */
  private inline(kind: OperandKind, value: unknown): string | undefined {
    switch (kind) {
      case "constant":
        return constantText(value as Constant);
      case "name":
        return quoteString(value as string);
      case "names":
        return `{${(value as readonly string[]).join(" ")}}`;
      case "slot":
      case "number":
        return String(value);
      case "numbers":
        return "";
      case "place":
        return placeText(value as Place);
      case "places":
        return (value as readonly Place[]).map(placeText).join(" ");
      case "reference":
        return `#${this.id(value as Fn)}`;
      case "renames":
        return (value as readonly { name: string; slot: number }[])
          .map(({ name, slot }) => `${slot}:${name}`)
          .join(" ");
      default:
        return undefined;
    }
  }

  private nested(name: string, kind: OperandKind, value: unknown, depth: number): void {
    switch (kind) {
      case "function":
        this.fn(value as Fn, depth, "");
        return;
      case "nodes":
        for (const item of value as readonly Node[]) this.node(item, depth, "");
        return;
      case "path":
        for (const step of value as readonly (string | Node)[]) {
          if (typeof step === "string") this.line(depth, `.${step}`);
          else this.node(step, depth, ".");
        }
        return;
      case "bindings":
        for (const { slot, value: bound } of value as readonly { slot: number; value: Node }[]) {
          this.node(bound, depth, `${slot} = `);
        }
        return;
      case "dynamics":
        for (const dynamic of value as readonly { name: Node; value: Node }[]) {
          this.node(dynamic.name, depth, "name ");
          this.node(dynamic.value, depth, "value ");
        }
        return;
      default:
        this.node(value as Node, depth, name === "body" || name === "of" ? "" : `${name}: `);
    }
  }
}

function placeText({ up, slot }: Place): string {
  return up === 0 ? `${slot}` : `${slot}^${up}`;
}

function constantText(value: Constant): string {
  if (typeof value === "string") return quoteString(value);
  if (typeof value !== "object" || value === null) return String(value);
  return "float" in value ? `float ${value.float}` : `path ${value.path}`;
}
