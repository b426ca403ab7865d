// Random Nix programs that are well-typed, so that most of them have a value; a few have a slip.
//
// Forms are texts with holes: `‹int›` is filled with an expression of that type, `‹any›` with one of any type,
// `‹name›` with a name, `‹0-4›` with a number, `‹x y z›` with what one of the words means. Forms that bind a variable have
// `‹v›` for its name, `‹bound›` for its value, and `‹inner›` where it is visible; `‹same›` is of the wanted type.

import type { Random } from "./random.ts";

const TYPES = ["int", "float", "bool", "string", "path", "null", "list", "set", "function"] as const;
type Type = (typeof TYPES)[number];

interface Variable {
  readonly name: string;
  readonly type: Type;
}
type Scope = readonly Variable[];

const NAMES = ["a", "b", "c", "x", "y", "foo", "a-b", "x'", "_k", "__proto__", "constructor", "or'"];

/** Expressions of one token or bracketed, where there is no room for more. */
const LITERALS: Record<Type, readonly string[]> = {
  int: "0 1 2 3 7 10 255 4294967296 9007199254740993 9223372036854775807 (-1) (-3) (-9223372036854775807)".split(" "),
  float: "0.0 1.0 0.5 2.5 1.0e10 1.5e-3 .25 100000.0 1234567.0 3. 1.0e-300 (-0.0) 9007199254740993.0".split(" "),
  bool: ["true", "false"],
  string: [
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
    '"\\t\\r\\\\"',
    '"1.2pre3-4"',
    '"x/../y"',
    '"a\nb"',
    "''\n\t''\\x''$''",
    '"0"',
    '"[{\\"a\\":1}]"',
    '"${builtins.toFile "n" "x"}"',
    '(builtins.toFile "m" "y")',
  ],
  path: ["/a", "/a/b", "/.", "/a/../c", "/a-b.c"],
  null: ["null"],
  list: ["[ ]", "[ 1 2 ]", '[ "a" ]', "[ null ]", '[ "b" "a" "b" ]', "[ [ ] [ 1 ] ]"],
  set: ["{ }", "{ a = 1; }", "{ b = 2; c.d = 3; }", '{ "a b" = null; }', "{ a = { a = { }; }; x = [ ]; }"],
  function: ["(x: x)", "(x: [ x ])", "builtins.typeOf", "(x: y: x)", "({ a ? 1, ... }: a)", "toString", "(_: null)"],
};

/** Forms that can have any type. */
const WRAPPINGS = [
  "(if ‹bool› then ‹same› else ‹same›)",
  "(let ‹v› = ‹bound›; in ‹inner›)",
  "(with { ‹v› = ‹bound›; }; ‹inner›)",
  "(with { ‹v› = ‹bound›; }; with ‹set›; ‹same›)",
  "((‹v›: ‹inner›) ‹bound›)",
  "((_: ‹v›: ‹inner›) ‹any› ‹bound›)",
  "(assert true; ‹same›)",
  "(assert ‹bool›; ‹same›)",
  "{ ‹v› = ‹same›; }.‹v›",
  "{ a.b.‹v› = ‹same›; }.a.b.‹v›",
  "(rec { ‹v› = ‹bound›; r = ‹inner›; }).r",
  "(let { ‹v› = ‹bound›; body = ‹inner›; })",
  "(({ ‹v›, ... }@args: ‹inner›) { ‹v› = ‹bound›; extra = 1; })",
  "((args@{ ‹v› ? ‹bound›, q ? 1 }: ‹inner›) { })",
  "((args@{ ‹v› ? ‹bound› }: ‹inner›) { other = 1; })",
  "(({ z, y2 ? z, ... }@args: args.w or y2) { z = ‹same›; })",
  "(builtins.tryEval ‹same›).value",
  "(builtins.head [ ‹same› ‹any› ])",
  "({ }.‹name› or ‹same›)",
  "(‹set›.‹name› or ‹same›)",
  "(‹set›.a.‹name› or ‹same›)",
  "(builtins.seq ‹any› ‹same›)",
  "(builtins.deepSeq ‹any› ‹same›)",
  '(let t = builtins.tryEval (throw "x"); in if t.success then t.value else ‹same›)',
  "(let t = builtins.tryEval (assert ‹bool›; ‹same›); in if t.success then t.value else ‹same›)",
  "(builtins.elemAt [ ‹any› ‹same› ] ‹0-2›)",
  '(builtins.getAttr "‹v›" { "‹v›" = ‹same›; })',
  "({ __functor = self: ‹v›: ‹inner›; } ‹bound›)",
  "({ __functor = self: n: if n > 3 then ‹same› else self (n + 1); } 0)",
  "(builtins.foldl' (acc: ‹v›: ‹inner›) ‹same› [ ‹bound› ])",
  "(builtins.foldl' (acc: e: acc) ‹same› ‹list›)",
  '(builtins.addErrorContext "ctx" ‹same›)',
  '(builtins.trace "t" ‹same›)',
  '(builtins.warn "w" ‹same›)',
  '(if ‹bool› then ‹same› else throw "thrown ${toString ‹int›}")',
  '(if ‹bool› then ‹same› else abort "aborted")',
  "(let f = n: if n == 0 then ‹same› else f (n - 1); in f ‹0-9›)",
  "(let inherit ({ ‹v› = ‹bound›; }) ‹v›; in ‹inner›)",
  "({ ‹v›.a = 1; ‹v›.b = ‹same›; }.‹v›.b)",
  "(builtins.functionArgs (‹v›: 1)).x or ‹same›",
  "((builtins.mapAttrs (n: v: ‹same›) { q = 1; }).q)",
];

const FORMS: Record<Type, readonly string[]> = {
  int: [
    "(‹int› ‹+ - * /› ‹int›)",
    "(‹int› ‹+ -› ‹int›)",
    "(- ‹int›)",
    "(builtins.‹add sub mul div› ‹int› ‹int›)",
    "(builtins.length ‹list›)",
    "(builtins.length (builtins.attrNames ‹set›))",
    "(builtins.stringLength ‹string›)",
    "(builtins.‹bitAnd bitOr bitXor› ‹int› ‹int›)",
    "(builtins.‹floor ceil› ‹float›)",
    "(builtins.compareVersions ‹string› ‹string›)",
    "(builtins.fromJSON (builtins.toJSON ‹int›))",
    "(builtins.foldl' builtins.add ‹int› [ ‹int› ‹int› ])",
    "(builtins.foldl' (m: e: if builtins.isInt e && e > m then e else m) ‹int› ‹list›)",
  ],
  float: [
    "(‹float› ‹+ - * /› ‹int›)",
    "(‹float› ‹+ - * /› ‹float›)",
    "(‹int› ‹+ - * /› ‹float›)",
    "(builtins.fromJSON (builtins.toJSON ‹float›))",
    '(builtins.fromTOML "x = 1.5").x',
  ],
  bool: [
    "(‹bool› ‹&& || ->› ‹bool›)",
    "(! ‹bool›)",
    "(‹int› ‹< <= > >=› ‹int›)",
    "(‹float› ‹< <= > >=› ‹int›)",
    "(‹string› ‹< <= > >=› ‹string›)",
    "(‹path› ‹< >=› ‹path›)",
    "(‹list› ‹< <= > >=› ‹list›)",
    "(‹any› ‹== !=› ‹any›)",
    "(‹set› ‹== !=› ‹set›)",
    "(‹list› ‹== !=› ‹list›)",
    "(‹set› ? ‹name›)",
    "(‹set› ? a.‹name›)",
    "(builtins.is‹Int Float String List Attrs Function Null Bool Path› ‹any›)",
    "(builtins.elem ‹any› ‹list›)",
    "(builtins.‹all any› (e: e == ‹any›) ‹list›)",
    "(builtins.‹all any› (e: e < ‹int›) [ ‹int› ‹int› ])",
    "(builtins.hasAttr ‹string› ‹set›)",
    "(builtins.lessThan ‹int› ‹float›)",
    "(builtins.hasContext ‹string›)",
    "(builtins.tryEval ‹any›).success",
    "(builtins.pathExists ‹path›)",
    "((x: x == x) ‹any›)",
  ],
  string: [
    "(‹string› + ‹string›)",
    '"x${‹string›}y"',
    '"${‹string›}${‹string›}"',
    "(toString ‹int float bool string list path›)",
    "(builtins.substring ‹0-4› (‹0-5› - 1) ‹string›)",
    "(builtins.toJSON ‹any›)",
    "(builtins.toXML ‹any›)",
    "(builtins.typeOf ‹any›)",
    "(builtins.concatStringsSep ‹string› [ ‹string› ‹string› ])",
    "(builtins.replaceStrings [ ‹string› ] [ ‹string› ] ‹string›)",
    '(builtins.replaceStrings [ "a" "" ‹string› ] [ "b" ‹string› "-" ] ‹string›)',
    "''\n  ‹a ''${ '''›\n    ${‹string›}\n ‹c \\t $›\n''",
    "(‹baseNameOf dirOf› ‹string›)",
    "(baseNameOf ‹path›)",
    '(builtins.hashString "‹md5 sha1 sha256 sha512›" ‹string›)',
    '(builtins.convertHash { hash = builtins.hashString "sha256" ‹string›; hashAlgo = "sha256"; toHashFormat = "‹base16 base32 nix32 base64 sri›"; })',
    '"${{ outPath = ‹string›; }}"',
    '"${{ __toString = self: ‹string›; }}"',
    '"${{ outPath = "o"; __toString = self: self.outPath + ‹string›; }}"',
    "(toString (/a + ‹string›))",
    '(‹path› + "/x" + ‹string›)',
    "(builtins.unsafeDiscardStringContext ‹string›)",
    "(builtins.unsafeDiscardOutputDependency ‹string›)",
    "(builtins.parseDrvName ‹string›).‹name version›",
    "(builtins.placeholder ‹string›)",
    "(builtins.head (builtins.attrNames { ${‹string›} = 1; }))",
    "(builtins.getEnv ‹string›)",
    '(builtins.concatStringsSep "," (builtins.attrNames ‹set›))',
    "(toString [ ‹any› ‹list› ])",
    '(builtins.appendContext ‹string› { "/nix/store/00000000000000000000000000000000-p" = { path = ‹bool›; }; })',
  ],
  path: ["(‹path› + ‹string›)", "(‹path› + ‹path›)", '(/a + "/${‹string›}")', "(dirOf ‹path›)", "/p/${‹string›}"],
  null: ["null"],
  list: [
    "[ ]",
    "[ ‹any› ]",
    "[ ‹any› ‹any› ]",
    "[ ‹any› ‹any› ‹any› ]",
    "(‹list› ++ ‹list›)",
    "(map ‹function› ‹list›)",
    "(map (‹v›: ‹inner›) [ ‹bound› ‹bound› ])",
    "(builtins.attr‹Names Values› ‹set›)",
    "(builtins.genList (i: i * ‹0-9›) ‹0-5›)",
    "(builtins.genList ‹function› ‹0-3›)",
    "(builtins.filter (e: builtins.is‹Int String List Attrs› e) ‹list›)",
    "(builtins.sort builtins.lessThan [ ‹int› ‹float› 3 ])",
    "(builtins.sort (x: y: builtins.toJSON x < builtins.toJSON y) ‹list›)",
    "(builtins.sort (x: y: x.k > y.k) [ { k = ‹int›; v = 1; } { k = ‹int›; v = 2; } { k = 1; v = 3; } ])",
    "(builtins.concatLists [ ‹list› ‹list› ])",
    "(builtins.concatMap (e: [ e e ]) ‹list›)",
    '(builtins.split ‹"a" "(b)" "[a-c]*" "" "x|(y)" "(.)(.)?" "$" "^a"› ‹string›)',
    "(builtins.splitVersion ‹string›)",
    '(builtins.catAttrs "‹name›" [ ‹set› ‹set› ])',
    "(builtins.tail [ ‹any› ‹any› ])",
    '(let m = builtins.match ‹"(a|b)*(.*)" "([^a]*)(a?)" "(.)(..)?" ".*" "([[:alpha:]]+)-?([0-9.]*)"› ‹string›; in if m == null then [ ] else m)',
    "(builtins.genericClosure { startSet = [ { key = ‹int›; } ]; operator = e: if e.key < 0 || e.key > 20 then [ ] else [ { key = e.key + ‹1-9›; } ]; })",
    "(builtins.genericClosure { startSet = [ { key = ‹string›; } ]; operator = e: [ ]; })",
    "(builtins.fromJSON (builtins.toJSON ‹list›))",
    "(builtins.partition (e: builtins.isInt e) ‹list›).‹right wrong›",
    "(builtins.foldl' (a: e: [ e ] ++ a) [ ] ‹list›)",
  ],
  set: [
    "(‹set› // ‹set›)",
    "(‹set› // { ‹name› = ‹any›; })",
    "({ a = ‹any›; } // ‹set› // { b = ‹any›; })",
    '(removeAttrs ‹set› [ "‹name›" "‹name›" ])',
    "(builtins.intersectAttrs ‹set› ‹set›)",
    "(builtins.mapAttrs (n: v: [ n v ]) ‹set›)",
    "(builtins.mapAttrs (n: ‹v›: ‹any›) ‹set›)",
    "(builtins.listToAttrs [ { name = ‹string›; value = ‹any›; } { name = ‹string›; value = 2; } ])",
    "{ ${‹string›} = ‹any›; }",
    "{ ${‹string›} = ‹any›; ${‹string›}.q = ‹any›; }",
    "{ ${if ‹bool› then ‹string› else null} = ‹any›; }",
    "(builtins.partition (e: e == ‹any›) ‹list›)",
    "(builtins.groupBy (e: builtins.typeOf e) ‹list›)",
    "(builtins.zipAttrsWith (n: vs: [ n vs ]) [ ‹set› ‹set› ])",
    "(builtins.functionArgs ({ ‹name›, b2 ? 1, ... }: 1))",
    "(builtins.fromJSON (builtins.toJSON ‹set›))",
    "(builtins.tryEval ‹any›)",
    "(with ‹set›; ‹set›)",
    "(builtins.getContext ‹string›)",
    "(builtins.parseDrvName ‹string›)",
    '(builtins.fromTOML "a = ${toString ‹int›}\\n[b]\\nc = [ 1, 2 ]")',
    '(let p = builtins.unsafeGetAttrPos "‹name›" ‹set›; in if p == null then { } else removeAttrs p [ "file" ])',
    "{ a.b = ‹any›; a.‹name›.d = ‹any›; }",
    "(rec { inherit (‹set›) ‹name›; k = 1; l = k; })",
    "{ pos = __curPos.line; }",
  ],
  function: [
    "(‹v›: ‹any›)",
    "(‹v›: [ ‹v› ‹any› ])",
    "({ a ? ‹any›, ... }: a)",
    "(builtins.elemAt ‹list›)",
    "{ __functor = self: e: ‹any›; }",
    "(builtins.‹add sub lessThan seq elem› ‹int›)",
  ],
};

/** A program that has, but for a slip in a few, a value. */
export function randomProgram(random: Random, size = 5): string {
  return new Writer(random).any(size, []);
}

class Writer {
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  any(depth: number, scope: Scope): string {
    return this.of(this.random.pick(TYPES), depth, scope);
  }

  private of(wanted: Type, depth: number, scope: Scope): string {
    const { random } = this;
    const type = random.chance(1) ? random.pick(TYPES) : wanted;
    const variables = scope.filter((variable) => variable.type === type);
    if (variables.length > 0 && random.chance(depth <= 0 ? 70 : 25)) return random.pick(variables).name;
    if (depth <= 0) return random.pick(LITERALS[type]);
    if (type === "set" && random.chance(40)) return this.literalSet(depth - 1, scope);
    return this.fill(random.pick(random.chance(30) ? WRAPPINGS : FORMS[type]), type, depth - 1, scope);
  }

  /** A form with its holes filled; `same` is the type that it is to have. */
  private fill(form: string, same: Type, depth: number, scope: Scope): string {
    const { random } = this;
    const name = random.pick(NAMES);
    const free = scope.filter((variable) => variable.name !== name);
    const other = random.pick(TYPES);
    return form.replace(/‹(.*?)›/g, (_, hole: string) => {
      const word = random.pick(hole.split(" "));
      switch (word) {
        case "v":
          return name;
        case "bound":
          return this.of(other, depth - 1, free);
        case "inner":
          return this.of(same, depth, [...free, { name, type: other }]);
        case "same":
          return this.of(same, depth, scope);
        case "any":
          return this.any(depth, scope);
        case "name":
          return random.pick(NAMES);
        default:
          return this.word(word, depth, scope);
      }
    });
  }

  /** A word of a hole: a type, a range of numbers, or itself. */
  private word(word: string, depth: number, scope: Scope): string {
    const type = TYPES.find((known) => known === word);
    if (type !== undefined) return this.of(type, depth, scope);
    const range = /^(\d)-(\d)$/.exec(word);
    if (range === null) return word;
    return String(Number(range[1]) + this.random.below(Number(range[2]) - Number(range[1]) + 1));
  }

  private literalSet(depth: number, scope: Scope): string {
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
    return `(${recursive ? "rec " : " "}{ ${bindings.join(" ")} })`;
  }
}
