// Random Nix programs: well-typed ones, which mostly have a value, and loose ones, which test the grammar's edges.

/** A stream of numbers that a seed determines (mulberry32). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 … n-1. */
  below(n: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const TYPES = ["int", "float", "bool", "string", "null", "list", "set", "function"] as const;
type Type = (typeof TYPES)[number];
interface Variable {
  readonly name: string;
  readonly type: Type;
}
type Scope = readonly Variable[];

const NAMES = ["a", "b", "c", "x", "y", "foo", "a-b", "x'", "_k", "__proto__", "constructor", "or'"];
const INTS = ["0", "1", "2", "3", "7", "10", "255", "4294967296", "9007199254740993", "9223372036854775807"];
const FLOATS = ["0.0", "1.0", "0.5", "2.5", "1.0e10", "1.5e-3", ".25", "100000.0", "1234567.0", "3."];
const STRINGS = [
  '""',
  '"a"',
  '"b c"',
  '"\\n"',
  '"\\${x}"',
  "''a''",
  "''\n  a\n    b\n''",
  '"é"',
  '"1.2"',
  '"/a/b"',
  '"$"',
];

/** A program that has, but for one slip in a few, a value. */
export function randomProgram(random: Random, size = 5): string {
  return new Typed(random).any(size, []);
}

class Typed {
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  any(depth: number, scope: Scope): string {
    return this.of(this.random.pick(TYPES), depth, scope);
  }

  /** An expression of a type, in parentheses unless it is one token or bracketed. */
  of(wanted: Type, depth: number, scope: Scope): string {
    const { random } = this;
    const type = random.chance(1) ? random.pick(TYPES) : wanted;
    const variables = scope.filter((variable) => variable.type === type);
    if (variables.length > 0 && random.chance(depth <= 0 ? 70 : 25)) return random.pick(variables).name;
    if (depth <= 0) return this.literal(type);
    if (random.chance(30)) return this.wrapped(type, depth - 1, scope);
    switch (type) {
      case "int":
        return this.int(depth - 1, scope);
      case "float":
        return this.float(depth - 1, scope);
      case "bool":
        return this.bool(depth - 1, scope);
      case "string":
        return this.string(depth - 1, scope);
      case "list":
        return this.list(depth - 1, scope);
      case "set":
        return this.set(depth - 1, scope);
      case "function":
        return this.lambda(depth - 1, scope);
      default:
        return "null";
    }
  }

  private literal(type: Type): string {
    const { random } = this;
    switch (type) {
      case "int":
        return random.chance(20) ? `(-${random.pick(INTS)})` : random.pick(INTS);
      case "float":
        return random.pick(FLOATS);
      case "bool":
        return random.pick(["true", "false"]);
      case "string":
        return random.pick(STRINGS);
      case "list":
        return random.pick(["[ ]", "[ 1 2 ]", '[ "a" ]', "[ null ]"]);
      case "set":
        return random.pick(["{ }", "{ a = 1; }", "{ b = 2; c.d = 3; }"]);
      case "function":
        return random.pick(["(x: x)", "(x: [ x ])", "builtins.typeOf", "(x: y: x)", "({ a ? 1, ... }: a)"]);
      default:
        return "null";
    }
  }

  /** Constructs that can have any type. */
  private wrapped(type: Type, depth: number, scope: Scope): string {
    const { random } = this;
    const value = (more: Scope = scope): string => this.of(type, depth, more);
    const name = random.pick(NAMES);
    const other = random.pick(TYPES);
    const inner: Scope = [...scope.filter((variable) => variable.name !== name), { name, type: other }];
    const bound = this.of(
      other,
      depth - 1,
      scope.filter((variable) => variable.name !== name),
    );
    switch (random.below(19)) {
      case 14:
        return `(builtins.deepSeq ${bound} ${value()})`;
      case 15:
        return `(let t = builtins.tryEval (throw "x"); in if t.success then t.value else ${value()})`;
      case 16:
        return `(builtins.elemAt [ ${bound} ${value()} ] ${random.below(3)})`;
      case 17:
        return `(builtins.getAttr "${name}" { "${name}" = ${value()}; })`;
      case 18:
        return `{ __functor = self: ${name}: ${value(inner)}; } ${bound}`.replace(/^/, "(").concat(")");
      case 0:
        return `(if ${this.of("bool", depth, scope)} then ${value()} else ${value()})`;
      case 1:
        return `(let ${name} = ${bound}; in ${value(inner)})`;
      case 2:
        return `(with { ${name} = ${bound}; }; ${value()})`;
      case 3:
        return `((${name}: ${value(inner)}) ${bound})`;
      case 4:
        return `(assert ${random.chance(90) ? "true" : this.of("bool", depth, scope)}; ${value()})`;
      case 5:
        return `{ ${name} = ${value()}; }.${name}`;
      case 6:
        return `(rec { ${name} = ${bound}; r = ${value(inner)}; }).r`;
      case 7:
        return `(({ ${name}, ... }@args: ${value(inner)}) { ${name} = ${bound}; extra = 1; })`;
      case 8:
        return `(({ ${name} ? ${bound} }: ${value(inner)}) { })`;
      case 9:
        return `(builtins.tryEval ${value()}).value`;
      case 10:
        return `(builtins.head [ ${value()} ${bound} ])`;
      case 11:
        return `({ }.${name} or ${value()})`;
      case 12:
        return `(builtins.seq ${bound} ${value()})`;
      default:
        return `(builtins.foldl' (acc: ${name}: ${value(inner)}) ${value()} [ ${bound} ])`;
    }
  }

  private int(depth: number, scope: Scope): string {
    const int = (): string => this.of("int", depth, scope);
    const list = (): string => this.of("list", depth, scope);
    switch (this.random.below(11)) {
      case 9:
        return `(builtins.compareVersions ${this.of("string", depth, scope)} ${this.of("string", depth, scope)})`;
      case 10:
        return `(builtins.fromJSON (builtins.toJSON ${int()}))`;
      case 0:
        return `(${int()} + ${int()})`;
      case 1:
        return `(${int()} - ${int()})`;
      case 2:
        return `(${int()} * ${int()})`;
      case 3:
        return `(${int()} / ${int()})`;
      case 4:
        return `(- ${int()})`;
      case 5:
        return `(builtins.length ${list()})`;
      case 6:
        return `(builtins.stringLength ${this.of("string", depth, scope)})`;
      case 7:
        return `(builtins.${this.random.pick(["bitAnd", "bitOr", "bitXor"])} ${int()} ${int()})`;
      default:
        return `(builtins.${this.random.pick(["floor", "ceil"])} ${this.of("float", depth, scope)})`;
    }
  }

  private float(depth: number, scope: Scope): string {
    const float = (): string => this.of("float", depth, scope);
    const operator = this.random.pick(["+", "-", "*", "/"]);
    const other = this.random.chance(40) ? this.of("int", depth, scope) : float();
    return this.random.chance(50) ? `(${float()} ${operator} ${other})` : `(${other} ${operator} ${float()})`;
  }

  private bool(depth: number, scope: Scope): string {
    const { random } = this;
    const bool = (): string => this.of("bool", depth, scope);
    const type = random.pick(["int", "float", "string", "list"] as const);
    switch (random.below(10)) {
      case 7:
        return `(builtins.${random.pick(["all", "any"])} (e: e == ${this.any(depth, scope)}) ${this.of("list", depth, scope)})`;
      case 8:
        return `(builtins.hasAttr ${this.of("string", depth, scope)} ${this.of("set", depth, scope)})`;
      case 9:
        return `(builtins.lessThan ${this.of("int", depth, scope)} ${this.of("float", depth, scope)})`;
      case 0:
        return `(${bool()} ${random.pick(["&&", "||", "->"])} ${bool()})`;
      case 1:
        return `(! ${bool()})`;
      case 2:
        return `(${this.of(type, depth, scope)} ${random.pick(["<", "<=", ">", ">="])} ${this.of(type, depth, scope)})`;
      case 3:
        return `(${this.any(depth, scope)} ${random.pick(["==", "!="])} ${this.any(depth, scope)})`;
      case 4:
        return `(${this.of("set", depth, scope)} ? ${random.pick(NAMES)})`;
      case 5:
        return `(builtins.is${random.pick(["Int", "Float", "String", "List", "Attrs", "Function", "Null", "Bool"])} ${this.any(depth, scope)})`;
      default:
        return `(builtins.elem ${this.any(depth, scope)} ${this.of("list", depth, scope)})`;
    }
  }

  private string(depth: number, scope: Scope): string {
    const { random } = this;
    const string = (): string => this.of("string", depth, scope);
    switch (random.below(16)) {
      case 11:
        return `"\${{ ${random.pick(["outPath =", "__toString = self:"])} ${string()}; }}"`;
      case 12:
        return `(builtins.toXML ${this.any(depth, scope)})`;
      case 13:
        return `(toString (/a + ${string()}))`;
      case 14:
        return `(builtins.unsafeDiscardStringContext (dirOf ${string()}))`;
      case 15:
        return `(builtins.parseDrvName ${string()}).${random.pick(["name", "version"])}`;
      case 0:
        return `(${string()} + ${string()})`;
      case 1:
        return `"x\${${string()}}y"`;
      case 2:
        return `(toString ${this.of(random.pick(["int", "float", "bool", "null", "string", "list"]), depth, scope)})`;
      case 3:
        return `(builtins.substring ${random.below(4)} (${random.below(5) - 1}) ${string()})`;
      case 4:
        return `(builtins.toJSON ${this.any(depth, scope)})`;
      case 5:
        return `(builtins.typeOf ${this.any(depth, scope)})`;
      case 6:
        return `(builtins.concatStringsSep ${string()} [ ${string()} ${string()} ])`;
      case 7:
        return `(builtins.replaceStrings [ ${string()} ] [ ${string()} ] ${string()})`;
      case 8:
        return `''\n  ${random.pick(["a", " b", "''${", "'''"])}\n    \${${string()}}\n ${random.pick(["", " c", "\t"])}\n''`;
      case 9:
        return `(baseNameOf ${string()})`;
      default:
        return `(builtins.hashString "${random.pick(["md5", "sha1", "sha256"])}" ${string()})`;
    }
  }

  private list(depth: number, scope: Scope): string {
    const { random } = this;
    const list = (): string => this.of("list", depth, scope);
    switch (random.below(17)) {
      case 12:
        return `(builtins.catAttrs "${random.pick(NAMES)}" [ ${this.of("set", depth, scope)} ${this.of("set", depth, scope)} ])`;
      case 13:
        return `(builtins.tail [ ${this.any(depth, scope)} ${this.any(depth, scope)} ])`;
      case 14:
        return `(let m = builtins.match ${random.pick(['"(a|b)*(.*)"', '"([^a]*)(a?)"', '"(.)(..)?"', '".*"'])} ${this.of("string", depth, scope)}; in if m == null then [ ] else m)`;
      case 15:
        return `(builtins.genericClosure { startSet = [ { key = ${this.of("int", depth, scope)}; } ]; operator = e: if e.key < 0 || e.key > 20 then [ ] else [ { key = e.key + ${random.below(9) + 1}; } ]; })`;
      case 16:
        return `(builtins.sort (x: y: builtins.toJSON x < builtins.toJSON y) ${list()})`;
      case 0:
        return `(${list()} ++ ${list()})`;
      case 1:
        return `(map ${this.of("function", depth, scope)} ${list()})`;
      case 2:
        return `(builtins.attr${random.pick(["Names", "Values"])} ${this.of("set", depth, scope)})`;
      case 3:
        return `(builtins.genList (i: i * ${random.below(9)}) ${random.below(5)})`;
      case 4:
        return `(builtins.filter (e: builtins.is${random.pick(["Int", "String", "List"])} e) ${list()})`;
      case 5:
        return `(builtins.sort builtins.lessThan [ ${this.of("int", depth, scope)} ${this.of("float", depth, scope)} 3 ])`;
      case 6:
        return `(builtins.concatLists [ ${list()} ${list()} ])`;
      case 7:
        return `(builtins.split ${random.pick(['"a"', '"(b)"', '"[a-c]*"', '""', '"x|(y)"'])} ${this.of("string", depth, scope)})`;
      case 8:
        return `(builtins.splitVersion ${this.of("string", depth, scope)})`;
      case 9:
        return `(builtins.concatMap (e: [ e e ]) ${list()})`;
      default:
        return `[ ${Array.from({ length: random.below(4) }, () => this.any(depth, scope)).join(" ")} ]`;
    }
  }

  private set(depth: number, scope: Scope): string {
    const { random } = this;
    const set = (): string => this.of("set", depth, scope);
    switch (random.below(16)) {
      case 11:
        return `(builtins.zipAttrsWith (n: vs: [ n vs ]) [ ${set()} ${set()} ])`;
      case 12:
        return `(builtins.functionArgs ({ ${random.pick(NAMES)}, b2 ? 1, ... }: 1))`;
      case 13:
        return `(builtins.fromJSON (builtins.toJSON ${set()}))`;
      case 14:
        return `(builtins.tryEval ${this.any(depth, scope)})`;
      case 15:
        return `(with ${set()}; ${set()})`;
      case 0:
        return `(${set()} // ${set()})`;
      case 1:
        return `(removeAttrs ${set()} [ "${random.pick(NAMES)}" ])`;
      case 2:
        return `(builtins.intersectAttrs ${set()} ${set()})`;
      case 3:
        return `(builtins.mapAttrs (n: v: [ n v ]) ${set()})`;
      case 4:
        return `(builtins.listToAttrs [ { name = ${this.of("string", depth, scope)}; value = ${this.any(depth, scope)}; } ])`;
      case 5:
        return `{ \${${this.of("string", depth, scope)}} = ${this.any(depth, scope)}; }`;
      case 6:
        return `(builtins.partition (e: e == ${this.any(depth, scope)}) ${this.of("list", depth, scope)})`;
      case 7:
        return `(builtins.groupBy (e: builtins.typeOf e) ${this.of("list", depth, scope)})`;
      default:
        return this.setLiteral(depth, scope);
    }
  }

  private setLiteral(depth: number, scope: Scope): string {
    const { random } = this;
    const recursive = random.chance(30);
    const names = NAMES.filter(() => random.chance(25)).slice(0, 4);
    const typed = names.map((name): Variable => ({ name, type: random.pick(TYPES) }));
    const bindings: string[] = [];
    for (const [i, { name, type }] of typed.entries()) {
      const outer = recursive ? scope.filter((variable) => !names.includes(variable.name)) : scope;
      const inner = recursive ? [...outer, ...(random.chance(3) ? typed : typed.slice(0, i))] : scope;
      const known = scope.some((variable) => variable.name === name);
      if (known && random.chance(20)) bindings.push(`inherit ${name};`);
      else if (random.chance(10)) bindings.push(`inherit ({ ${name} = ${this.of(type, depth, inner)}; }) ${name};`);
      else if (type === "set" && random.chance(40))
        bindings.push(`${name}.${random.pick(NAMES)} = ${this.any(depth, inner)};`);
      else bindings.push(`${name} = ${this.of(type, depth, inner)};`);
    }
    return `${recursive ? "(rec" : "("} { ${bindings.join(" ")} })`.replace(/^\( /, "( ");
  }

  private lambda(depth: number, scope: Scope): string {
    const name = this.random.pick(NAMES);
    const inner = scope.filter((variable) => variable.name !== name);
    return `(${name}: ${this.any(depth, inner)})`;
  }
}

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
