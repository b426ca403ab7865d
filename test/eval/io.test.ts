// EvalIO: files in memory, recording, pure and restricted modes, import.

import { describe, expect, test } from "vitest";
import { EvalError } from "../../lib/eval/error.ts";
import {
  Evaluator,
  type EvaluatorOptions,
  evaluate,
  type JsInput,
  type JsValue,
  memoryIO,
  recordingIO,
} from "../../lib/eval/index.ts";

const io = memoryIO({
  files: {
    "/src/default.nix": "{ a = import ./a.nix; here = ./.; }",
    "/src/a.nix": "builtins.readFile ./data/text",
    "/src/data/text": "hello",
    "/src/link": { symlink: "data/text" },
    "/src/dirlink": { symlink: "." },
    "/src/self.nix": "import ./self.nix",
    "/src/scoped.nix": "x + y",
    "/src/bytes": { bytes: "\xff\xfe" },
  },
  variables: { USER: "nix" },
});

function run(text: string, options: EvaluatorOptions = {}): unknown {
  try {
    return evaluate(text, { io, ...options });
  } catch (error) {
    if (error instanceof EvalError) return error.code;
    throw error;
  }
}

describe("files in memory", () => {
  test.each([
    ["(import /src).a", "hello"],
    ["toString (import /src).here", "/src"],
    ["builtins.readFile /src/link", "hello"],
    ["(import /src/dirlink).a", "hello"],
    ["builtins.readFileType /src/link", "symlink"],
    ["builtins.readFileType /src/data", "directory"],
    ["builtins.pathExists /src/nothing", false],
    ["builtins.pathExists /src/link", true],
    ['builtins.getEnv "USER" + builtins.getEnv "NOTHING"', "nix"],
    ["builtins.stringLength (builtins.readFile /src/bytes)", 2],
    ["builtins.scopedImport { x = 1; y = 2; } /src/scoped.nix", 3],
    ["import /src/self.nix", "ERR_EVAL_INFINITE_RECURSION"],
    ["import /src/nothing.nix", "ERR_EVAL_IO"],
    ["builtins.readFile /src", "ERR_EVAL_IO"],
  ])("%s", (text, answer) => {
    expect(run(text)).toEqual(answer);
  });

  test("a directory lists its entries with their types", () => {
    expect({ ...(run("builtins.readDir /src/data") as object) }).toEqual({ text: "regular" });
  });
});

test("recording notes each question with its answer", () => {
  const asked: string[] = [];
  const recorded = recordingIO(io, ({ operation, subject, answer }) => {
    asked.push(`${operation} ${subject} ${"value" in answer ? "ok" : "failed"}`);
  });
  expect(run("(import /src).a", { io: recorded })).toBe("hello");
  expect(asked).toContain("readFile /src/data/text ok");
  expect(asked).toContain("fileType /src ok");
  expect(run("builtins.readFile /none", { io: recorded })).toBe("ERR_EVAL_IO");
  expect(asked).toContain("readFile /none failed");
});

describe("modes", () => {
  const searchPath = [{ prefix: "src", path: "/src" }];
  test("the search path finds the first entry whose file exists", () => {
    const settings = { searchPath: [{ prefix: "src", path: "/none" }, ...searchPath] };
    expect(run("import <src/a.nix>", { settings })).toBe("hello");
    expect(run("(builtins.tryEval <src/zzz>).success", { settings })).toBe(false);
  });

  test("pure mode has no impure constants and reads only what is allowed", () => {
    const settings = { pure: true };
    expect(run("builtins ? currentTime || builtins ? currentSystem", { settings })).toBe(false);
    expect(run('builtins.getEnv "USER"', { settings })).toBe("");
    expect(run("toString ~/x", { settings })).toBe("ERR_EVAL_RESTRICTED");
    expect(run("import /src/a.nix", { settings })).toBe("ERR_EVAL_RESTRICTED");
    expect(run("import /src/a.nix", { settings, allowedPaths: ["/src"] })).toBe("hello");
  });

  test("restricted mode reads what the search path names", () => {
    const settings = { restricted: true, searchPath };
    expect(run("import <src/a.nix>", { settings })).toBe("hello");
    expect(run("builtins.readFile /etc/passwd", { settings })).toBe("ERR_EVAL_RESTRICTED");
  });
});

describe("symlinks do not lead out of what may be read", () => {
  const files = {
    "/src/out": { symlink: "/secret" },
    "/src/file": { symlink: "../secret/key.nix" },
    "/src/in": { symlink: "real" },
    "/src/real/a.nix": "1",
    "/src/twice": { symlink: "out" },
    "/secret/key.nix": "42",
    "/alias": { symlink: "src" },
  };
  const trees = memoryIO({ files });
  const modes: readonly (readonly [string, EvaluatorOptions])[] = [
    ["pure", { settings: { pure: true }, allowedPaths: ["/src"] }],
    ["restricted", { settings: { restricted: true, searchPath: [{ prefix: "src", path: "/src" }] } }],
  ];
  describe.each(modes)("%s", (_, options) => {
    test.each([
      ["builtins.readFile /src/out/key.nix"],
      ["builtins.readFile /src/file"],
      ["builtins.readFile /src/twice/key.nix"],
      ["builtins.readDir /src/out"],
      ["builtins.readDir /src/twice"],
      ["builtins.readFileType /src/out/key.nix"],
      ["import /src/out/key.nix"],
      ["import /src/file"],
      ["builtins.scopedImport { } /src/file"],
      ['builtins.hashFile "sha256" /src/file'],
    ])("%s", (text) => {
      expect(run(text, { io: trees, ...options })).toBe("ERR_EVAL_RESTRICTED");
    });
    test("what they are may be asked, and what lies inside", () => {
      expect(run("builtins.readFileType /src/out", { io: trees, ...options })).toBe("symlink");
      expect(run("builtins.pathExists /src/out", { io: trees, ...options })).toBe(true);
      expect(run("builtins.pathExists /src/out/key.nix", { io: trees, ...options })).toBe(false);
      expect(run('builtins.pathExists "/src/out/"', { io: trees, ...options })).toBe(false);
      expect(run("import /src/in/a.nix", { io: trees, ...options })).toBe(1);
    });
  });
  test("a root that is a symlink itself is followed", () => {
    const aliased: EvaluatorOptions = { io: trees, settings: { pure: true }, allowedPaths: ["/alias"] };
    expect(run("import /alias/real/a.nix", aliased)).toBe(1);
    expect(run("import /alias/out/key.nix", aliased)).toBe("ERR_EVAL_RESTRICTED");
  });
});

describe("the library", () => {
  test("values come back as JavaScript", () => {
    expect(evaluate("map (x: x * 2) [ 1 2 ]")).toEqual([2, 4]);
    expect(evaluate("9007199254740993")).toBe(9007199254740993n);
    expect(evaluate('"\\u00e9é"')).toBe("u00e9é");
    const set = evaluate("{ __proto__ = 1; b = 1.5; }") as Record<string, unknown>;
    expect(Object.entries(set)).toEqual([
      ["__proto__", 1],
      ["b", 1.5],
    ]);
    expect((evaluate("a: b: a + b") as (a: number, b: number) => number)(1, 2)).toBe(3);
    expect(() => evaluate("rec { a = a2; a2 = { inherit a; }; }")).toThrow(/contains itself/);
  });

  test("values go to Nix from JavaScript, each as its type", () => {
    const typed = evaluate("x: [ (builtins.typeOf x) x ]") as (x: JsInput) => JsValue;
    const plain = (value: JsInput): unknown => JSON.parse(JSON.stringify(typed(value)));
    expect(typed(1n << 62n)).toEqual(["int", 1n << 62n]);
    expect(plain(-0)).toEqual(["int", 0]);
    expect(plain(1.5)).toEqual(["float", 1.5]);
    expect(plain(2 ** 60)).toEqual(["float", 2 ** 60]);
    expect(plain("é\ud83d\ude00")).toEqual(["string", "é\ud83d\ude00"]);
    expect(plain([1, [null, true]])).toEqual(["list", [1, [null, true]]]);
    expect(plain({ constructor: 1, a: { b: "c" } })).toEqual(["set", { a: { b: "c" }, constructor: 1 }]);
    expect(typed(new Map([["__proto__", 1]]))).toEqual(["set", JSON.parse('{ "__proto__": 1 }')]);
    const refused = [
      undefined,
      Symbol("x"),
      new Date(),
      new Uint8Array(1),
      /x/,
      1n << 63n,
      (a: 1, b: 1, c: 1, d: 1) => [a, b, c, d],
    ];
    for (const value of refused) expect(() => typed(value as never)).toThrow(EvalError);
  });

  test("functions go both ways", () => {
    const apply = evaluate("f: x: f x + 1") as (f: JsInput, x: JsInput) => JsValue;
    expect(apply((n: number) => n * 2, 20)).toBe(41);
    const pairs = evaluate("f: builtins.mapAttrs f { a = 1; b = 2; }") as (f: JsInput) => JsValue;
    expect({ ...(pairs((name: string, n: number) => `${name}${n}`) as object) }).toEqual({ a: "a1", b: "b2" });
    const fail = (): never => {
      throw new RangeError("mine");
    };
    expect(() => apply(fail, 1)).toThrow("mine");
    expect(() => apply(1, 1)).toThrow("attempt to call something which is not a function");
  });

  test("messages of errors are text", () => {
    expect(() => evaluate('throw "é \ud83d\ude00"')).toThrow("é \ud83d\ude00");
    expect(() => evaluate('{ }."ü"')).toThrow("attribute 'ü' missing");
  });

  test("own built-in functions and a prelude in Nix", () => {
    const evaluator = new Evaluator({
      builtins: [{ name: "answer", arity: 1, signature: "~", doc: "Forty-two.", run: () => 42 }],
      prelude: { twice: "x: x + builtins.answer null" },
      globals: ["answer"],
    });
    expect(evaluator.evaluate("builtins.twice 1 + answer 2 + __twice 3")).toBe(43 + 42 + 45);
  });
});
