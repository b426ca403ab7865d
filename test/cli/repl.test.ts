// `tvix repl`: its inputs and answers, completion, and the whole in a terminal.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { complete } from "../../lib/cli/repl/complete.ts";
import { Repl } from "../../lib/cli/repl/repl.ts";
import { Evaluator } from "../../lib/eval/evaluator.ts";
import { memoryIO } from "../../lib/eval/io/memory.ts";
import { PROGRAM, tvix } from "./tvix.ts";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-repl-"));
  writeFileSync(join(scratch, "default.nix"), "{ n ? 1 }: { inherit n; twice = n * 2; }");
  mkdirSync(join(scratch, "folder"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Standard output and error for lines of input. */
function session(
  lines: readonly string[],
  ...args: string[]
): { stdout: string; stderr: string; status: number | null } {
  const input = new TextEncoder().encode(`${lines.join("\n")}\n`);
  const { stdout, stderr, status } = tvix(["repl", ...args], { cwd: scratch, input });
  return { stdout, stderr, status };
}

function memoryRepl(files: Record<string, string> = {}): Repl {
  const evaluator = new Evaluator({ io: memoryIO({ files }) });
  return new Repl({
    evaluator,
    directory: "/",
    load: (path) => evaluator.evaluateFile(path),
    loadGiven: () => [],
  });
}

const said = (repl: Repl, input: string): string => {
  const reply = repl.handle(input);
  return reply.kind === "text" ? reply.text : reply.kind;
};

describe("values", () => {
  test.each([
    ["1 + 1", "2"],
    ['"a\\nb"', '"a\\nb"'],
    ["[ ]", "[ ]"],
    ["[ 1 ]", "[ 1 ]"],
    ["[ 1 [ 2 3 ] { a = 1; } ]", "[\n  1\n  [ ... ]\n  { ... }\n]"],
    ["{ a = 1; }", "{ a = 1; }"],
    ["{ a = { b = 1; }; }", "{ a = { ... }; }"],
    [
      ":p { a = 1; b = { c = [ 1 { d = 2; } ]; }; }",
      "{\n  a = 1;\n  b = {\n    c = [\n      1\n      { d = 2; }\n    ];\n  };\n}",
    ],
    [':p "a\\nb"', "a\nb"],
    ["map", "\xc2\xabprimop map\xc2\xbb"],
    ["map (x: x)", "\xc2\xabpartially applied primop map\xc2\xbb"],
    ["x: x", "\xc2\xablambda @ \xc2\xabstring\xc2\xbb:1:1\xc2\xbb"],
    ['{ a = throw "x"; b = 1; }', "{\n  a = \xc2\xaberror: x\xc2\xbb;\n  b = 1;\n}"],
    ["let s = { inherit s; }; in s", "{ s = \xc2\xabrepeated\xc2\xbb; }"],
    [":t { }", "a set"],
    [":t 1.5", "a float"],
  ])("%s", (input, text) => expect(said(memoryRepl(), input)).toBe(`${text}\n`));

  test("an input goes on until it is whole", () => {
    for (const input of ["(1 +", "{ a = 1;", '"${', "let a = 1;", "x:", "''a", "x = [ 1"]) {
      expect(memoryRepl().handle(input), input).toEqual({ kind: "more" });
    }
    expect(() => memoryRepl().handle("(1 + )")).toThrow("unexpected ')'");
    // A broken file is not an unfinished input.
    expect(() => memoryRepl({ "/f.nix": "(1 +" }).handle("import /f.nix")).toThrow("unexpected end of file");
  });
});

describe("variables", () => {
  test("mean what they meant when the input was typed, and are computed when they are needed", () => {
    const repl = memoryRepl();
    expect(said(repl, "x = 1")).toBe("");
    said(repl, "f = n: n + x;");
    said(repl, "x = x + 10");
    said(repl, 'bad = throw "later"');
    expect(said(repl, "[ x (f 1) ]")).toBe("[\n  11\n  2\n]\n");
    expect(() => said(repl, "bad")).toThrow("later");
    expect(() => said(repl, "y = nope")).toThrow("undefined variable 'nope'");
    expect(said(repl, "x == 11")).toBe("true\n");
    said(repl, "map = 1");
    expect(said(repl, "map")).toBe("1\n");
  });

  test(":a and :l add attributes, :r reads the files again", () => {
    const files: Record<string, string> = { "/f.nix": "{ a = 1; b = 2; }" };
    const repl = memoryRepl(files);
    expect(said(repl, ":a { q = 7; }")).toBe("Added 1 variable.\nq\n");
    expect(said(repl, ":l /f.nix")).toBe("Added 2 variables.\na, b\n");
    expect(said(repl, "a + q")).toBe("8\n");
    expect(said(repl, ":r")).toBe("Added 2 variables.\na, b\n");
    expect(() => said(repl, "q")).toThrow("undefined variable");
    expect(() => said(repl, ":a 1")).toThrow("expected a set but found an integer: 1");
  });

  test(":doc, :? and :q", () => {
    const repl = memoryRepl();
    expect(said(repl, ":doc map")).toBe("builtins.map takes 2 arguments. Calls a function on each element.\n");
    expect(said(repl, ":?")).toContain(":l, :load <path>");
    expect(said(repl, ":q")).toBe("quit");
    expect(() => said(repl, ":nope")).toThrow("unknown command ':nope'");
  });
});

test("completion of commands, variables, attributes and files", () => {
  const repl = memoryRepl();
  said(repl, 'pkgs = { hello = { name = 1; "a b" = 2; }; help = throw "x"; }');
  expect(complete(":l", repl)).toEqual([[":l", ":load"], ":l"]);
  expect(complete("1 + pk", repl)).toEqual([["pkgs"], "pk"]);
  expect(complete("builtins.attrN", repl)).toEqual([["builtins.attrNames"], "builtins.attrN"]);
  expect(complete("f pkgs.hel", repl)).toEqual([["pkgs.hello", "pkgs.help"], "pkgs.hel"]);
  expect(complete("pkgs.hello.", repl)[0]).toEqual(['pkgs.hello."a b"', "pkgs.hello.name"]);
  expect(complete("pkgs.help.", repl)[0]).toEqual([]);
  expect(complete("nothing.", repl)[0]).toEqual([]);
  expect(complete(`import ${scratch}/de`, repl)[0]).toEqual([`${scratch}/default.nix`]);
  expect(complete(`:l ${scratch}/fo`, repl)[0]).toEqual([`${scratch}/folder/`]);
});

describe("tvix repl", () => {
  test("answers lines of a pipe; errors do not end it", () => {
    const { stdout, stderr, status } = session(["1 +", "1", "{ foo = 1; }.fo", "x = y", '"é"', ":q", "2"]);
    expect(stdout).toBe('2\n"é"\n');
    expect(stderr).toContain("did you mean 'foo'?");
    expect(stderr).toContain("undefined variable 'y'\n --> «string»:1:5");
    expect(status).toBe(0);
    expect(session(["(1"]).status).toBe(1);
  });

  test("takes files and expressions as eval does", () => {
    expect(session(["twice"], "default.nix", "--arg", "n", "4").stdout).toBe("Added 2 variables.\nn, twice\n8\n");
    expect(session(["b"], "-E", "{ a.b = 3; }", "-A", "a").stdout).toBe("Added 1 variable.\nb\n3\n");
  });

  const pty = spawnSync("script", ["-q", "-c", "true", "/dev/null"]).status === 0;
  if (!pty) console.warn("SKIPPED: there is no `script` to make a terminal with");

  test.skipIf(!pty)("in a terminal: prompts, several lines, completion by Tab, history", async () => {
    /** Types into a terminal: each text when what is shown ends as expected. */
    const run = async (steps: readonly (readonly [shown: string, keys: string])[]): Promise<string> => {
      const child = spawn("script", ["-q", "-c", `'${process.execPath}' '${PROGRAM}' repl`, "/dev/null"], {
        cwd: scratch,
        env: { ...process.env, TERM: "xterm", NO_COLOR: "1", XDG_STATE_HOME: join(scratch, "state") },
      });
      const left = [...steps];
      let out = "";
      child.stdout.on("data", (data: Buffer) => {
        out += data.toString().replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
        if (left.length > 0 && out.endsWith((left[0] as readonly string[])[0] as string)) {
          child.stdin.write(left.shift()?.[1] ?? "");
        }
      });
      await new Promise((resolve) => child.on("exit", resolve));
      return out;
    };
    const first = await run([
      ["tvix> ", "(1 +\r"],
      ["    > ", "41)\r"],
      ["tvix> ", "builtins.stringLen"],
      ["stringLen", "\t"],
      ["stringLength", ' "four"\r'],
      ["tvix> ", ":q\r"],
    ]);
    expect(first).toContain("\n42\r\n");
    expect(first).toContain("\n4\r\n");
    // The arrow up brings back what was typed in the first session, before `:q`.
    const second = await run([
      ["tvix> ", "\u001b[A"],
      [":q", "\u001b[A"],
      ['"four"', "\r"],
      ["tvix> ", ":q\r"],
    ]);
    expect(second).toContain("\n4\r\n");
  });
});
