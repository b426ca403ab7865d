// Random texts of the grammar: operators and brackets in any place, sometimes broken by a slip. They test the parser's edges.

import type { Random } from "./random.ts";

const PIECES =
  `{ } ( ) [ ] ; : , @ . ... = ? ! - + * / ++ // == != < > <= >= && || -> |> <| " '' \${ } ' $ # /* */ a b x y or if then else let in rec with assert inherit 1 2.5 .5 1. a/b ./c ~/d <e> u:v /f __curPos null true \\ "s" ''t'' ./g/ a.b c? \n`.split(
    " ",
  );

/** Text of the grammar with operators and brackets in any place, sometimes broken by a slip. */
export function randomSyntax(random: Random): string {
  const text = new Loose(random).expression(4);
  if (random.chance(60)) return text;
  const at = random.below(text.length + 1);
  if (random.chance(50)) return `${text.slice(0, at)}${random.pick(["", " "])}${random.pick(PIECES)}${text.slice(at)}`;
  return text.slice(0, at) + text.slice(at + 1 + random.below(3));
}

/** Expressions as text without regard to types or to which brackets are needed. */
class Loose {
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  private space(): string {
    return this.random.pick([" ", " ", " ", " ", "", "\n", " # c\n", "/**/", "\t"]);
  }

  private join(...parts: string[]): string {
    return parts.join(this.space());
  }

  expression(depth: number): string {
    const { random } = this;
    if (depth <= 0) return this.atom(0);
    const e = (): string => this.expression(depth - 1);
    switch (random.below(16)) {
      case 0:
        return `if ${e()} then ${e()} else ${e()}`;
      case 1:
        return `let ${this.bindings(depth - 1)} in ${e()}`;
      case 2:
        return `with ${e()}; ${e()}`;
      case 3:
        return `assert ${e()}; ${e()}`;
      case 4:
        return this.join(`${random.pick(["a", "b", "or", "_"])} :`, e());
      case 5:
        return `${this.formals(depth - 1)}: ${e()}`;
      default:
        return this.operation(depth - 1);
    }
  }

  private operation(depth: number): string {
    const { random } = this;
    const parts = [this.operand(depth)];
    while (random.chance(45)) {
      parts.push(random.pick("+ - * / ++ // == != < > <= >= && || -> |> <|".split(" ")), this.operand(depth));
    }
    return parts.join(this.space());
  }

  private operand(depth: number): string {
    const { random } = this;
    const prefix = random.chance(15) ? random.pick(["-", "!", "- ", "! ", "--"]) : "";
    const application = [this.selection(depth)];
    while (random.chance(25)) application.push(this.selection(depth));
    const suffix = random.chance(10) ? ` ? ${this.path(depth)}` : "";
    return prefix + application.join(random.pick([" ", " ", "\n", ""])) + suffix;
  }

  private selection(depth: number): string {
    const { random } = this;
    let text = this.atom(depth);
    if (random.chance(20)) text += `${random.pick([".", ".", " . "])}${this.path(depth)}`;
    if (random.chance(6)) text += ` or ${this.atom(depth)}`;
    return text;
  }

  private path(depth: number): string {
    const names = [this.name(depth)];
    while (this.random.chance(30)) names.push(this.name(depth));
    return names.join(".");
  }

  private name(depth: number): string {
    const { random } = this;
    if (random.chance(70) || depth <= 0) return random.pick(["a", "b", "x-y", "or", "c'", '"q"', '"r s"', "__proto__"]);
    return random.chance(50) ? `\${${this.expression(depth - 1)}}` : `"n\${${this.expression(depth - 1)}}"`;
  }

  private atom(depth: number): string {
    const { random } = this;
    if (depth <= 0 || random.chance(45)) {
      return random.pick(
        `a b x y null true 0 1 42 1.5 .5 2. 1.e3 "s" "t\\n" ''i'' ./p /q ~/r <s> <s/t> u:v http://w __curPos [] {} a/b 1/2 a-b x'`.split(
          " ",
        ),
      );
    }
    const e = (): string => this.expression(depth - 1);
    switch (random.below(9)) {
      case 0:
        return `(${e()})`;
      case 1:
        return `[ ${Array.from({ length: random.below(4) }, () => this.selection(depth - 1)).join(" ")} ]`;
      case 2:
        return `{ ${this.bindings(depth - 1)} }`;
      case 3:
        return `rec { ${this.bindings(depth - 1)} }`;
      case 4:
        return `"${random.pick(["", "a", "$", "$$", "\\", "\\$", "''"])}\${${e()}}${random.pick(["", "b", "$", "'"])}"`;
      case 5:
        return this.indented(depth - 1);
      case 6:
        return `${random.pick(["./a", "/", "~/", "b/", "./c/"])}\${${e()}}${random.pick(["", "/d", "e", "//f", "/", ".g"])}`;
      case 7:
        return `let { ${this.bindings(depth - 1)} }`;
      default:
        return `(${this.operation(depth - 1)})`;
    }
  }

  private indented(depth: number): string {
    const { random } = this;
    let text = "''";
    const pieces = [
      "\n",
      "\n  ",
      "\n    ",
      " ",
      "a",
      "'",
      "$",
      "''$",
      "'''",
      "''\\n",
      "''\\t",
      "\t",
      "$$",
      "\\",
      '"',
      "\r\n",
      "b\n",
      "'x",
    ];
    for (let n = random.below(9); n > 0; n--) {
      text += random.chance(20) ? `\${${this.expression(depth - 1)}}` : random.pick(pieces);
    }
    return `${text}''`;
  }

  private bindings(depth: number): string {
    const { random } = this;
    const out: string[] = [];
    for (let n = random.below(4); n > 0; n--) {
      const form = random.below(100);
      if (form < 15) out.push(`inherit ${random.pick(["", "a", "a b", '"q"', "or", '${"z"}'])};`);
      else if (form < 30) out.push(`inherit (${this.expression(depth)}) ${random.pick(["", "c", "c d"])};`);
      else out.push(this.join(this.path(depth), "=", this.expression(depth), ";"));
    }
    return out.join(" ");
  }

  private formals(depth: number): string {
    const { random } = this;
    const items = ["a", "b", "c"]
      .filter(() => random.chance(50))
      .map((name) => {
        return random.chance(30) ? `${name} ? ${this.expression(depth)}` : name;
      });
    if (random.chance(30)) items.push("...");
    const set = `{ ${items.join(", ")}${random.chance(10) ? "," : ""} }`;
    if (random.chance(20)) return random.chance(50) ? `${set}@args` : `args @ ${set}`;
    return set;
  }
}
