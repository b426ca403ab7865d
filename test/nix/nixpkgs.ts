// Comparing whole sets of attributes of nixpkgs with the installed Nix; a program of its own because of its memory:
//
//   node --max-old-space-size=9000 --import tsx nixpkgs.ts ANSWERS NIXPKGS VERSION SYSTEM [COUNT]
//
// ANSWERS is what `nix-env -qaP --drv-path --out-path` printed. Prints a JSON object: how many attributes have the same
// paths here, and the others. With COUNT, that many attributes are taken, spread over all.
import { readFileSync } from "node:fs";
import { autoCall, findAlongPath } from "../../lib/eval/attr-path.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { Attrs } from "../../lib/eval/value/attrs.ts";
import { symbol } from "../../lib/eval/value/symbol.ts";
import { force } from "../../lib/eval/value/thunk.ts";
import { isList, type Value } from "../../lib/eval/value/value.ts";
import { forceText } from "../../lib/eval/vm/demand.ts";
import { openSession } from "../../lib/nix/session.ts";

const [answers = "", nixpkgs = "", nixVersion = "", system = "", count = ""] = process.argv.slice(2);

/** What is printed. */
export interface Comparison {
  readonly same: number;
  readonly different: readonly { readonly attr: string; readonly expected: string; readonly found: string }[];
}

const attribute = (value: Value, name: string): Value => {
  const set = force(value);
  return (set instanceof Attrs ? set.get(symbol(name)) : undefined) ?? null;
};

/** The drv path and the out paths in the form of nix-env's columns. */
function pathsOf(value: Value): string {
  const outputs = force(attribute(value, "outputs"));
  const names = isList(outputs) ? outputs.map((name) => forceText(name, "an output")) : ["out"];
  const paths = names.sort().map((name) => {
    const path = forceText(attribute(attribute(value, name), "outPath"), "an out path");
    return name === "out" ? path : `${name}=${path}`;
  });
  return `${forceText(attribute(value, "drvPath"), "a drv path")} ${paths.join(";")}`;
}

function compare(): Comparison {
  const { evaluator } = openSession({
    io: fileSystemIO(),
    backend: nodeBackend(),
    settings: { system: "x86_64-linux", nixVersion },
  });
  const root = autoCall(evaluator.evaluateFile(nixpkgs), new Map([["system", system]]));
  const lines = readFileSync(answers, "utf8").trim().split("\n");
  const step = count === "" ? 1 : lines.length / Number(count);
  const different: { attr: string; expected: string; found: string }[] = [];
  let same = 0;
  for (let i = 0; i < lines.length; i += step) {
    const words = (lines[Math.floor(i)] as string).trim().split(/\s+/);
    const attr = words[0] as string;
    const expected = words.slice(-2).join(" ");
    let found: string;
    try {
      found = pathsOf(findAlongPath(root, attr, new Map()));
    } catch (error) {
      found = `error: ${(error as Error).message}`;
    }
    if (found === expected) same++;
    else different.push({ attr, expected, found });
  }
  return { same, different };
}

process.stdout.write(`${JSON.stringify(compare())}\n`);
