import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { bytesToLatin1, latin1ToBytes } from "../../lib/base/text.ts";
import { maskedModuloHash, moduloHash } from "../../lib/derivation/hash-modulo.ts";
import { formatDerivation, formatDerivations } from "../../lib/derivation/json.ts";
import { type Derivation, hasDynamicInputs, type InputDrv, isFixed, outputKind } from "../../lib/derivation/model.ts";
import { completeDerivation, derivationPath, outputPaths } from "../../lib/derivation/output-paths.ts";
import { parseDerivation, parseOutline } from "../../lib/derivation/parse.ts";
import { validateDerivation } from "../../lib/derivation/validate.ts";
import { derivationBytes, writeDerivation } from "../../lib/derivation/write.ts";
import { computedPlaceholder, placeholder, StorePath, upstreamPlaceholder } from "../../lib/formats/store-path.ts";
import { codeOf } from "../formats/codes.ts";
import { Closure, checkClosure, parseFile } from "./closure.ts";
import { goldenPath, goldenSet, goldenText } from "./golden.ts";

const PLAIN = goldenSet("plain");
const EXPERIMENTAL = goldenSet("experimental");
const ALL = new Map([...PLAIN, ...EXPERIMENTAL]);
const closure = new Closure(ALL);
const find = (name: string): [string, Derivation] => {
  const found = [...closure.derivations].find(([path]) => path.endsWith(`-${name}.drv`));
  if (found === undefined) throw new Error(`no golden ${name}`);
  return found;
};
const SIMPLE = find("simple")[1];
const FOD = find("fodrec")[1];
const SIMPLE_TEXT = writeDerivation(SIMPLE);

describe("golden derivations", () => {
  // As computed by Nix 2.8, written down here so that regenerating the files cannot change them unseen.
  test.each([
    ["simple", "h9nw8dpljkgycwiy7a396ijf2qqb53yp", { out: "v8a5h6ck8d1skdkswmxv2c96qz1q8ki4-simple" }],
    [
      "multi",
      "rqlrxfvdr8mi08n11gpkwasp561lzwz3",
      {
        a: "m9aal2xyar49nlwbzx8lcyq4a08i3ijf-multi-a",
        dev: "gqa3yk0bmwjdhpwsd4hgqbnc312srgjm-multi-dev",
        out: "knyvqrqc0xkzn3kybpl3bchx8i1vmmn1-multi",
      },
    ],
    ["fodflat", "4qmxh97a31fj3kdcl3qm84mbmkm3qa9b", { out: "wn22g5y4d9dxi17marghcfq0s6jflrl4-fodflat" }],
    ["fodrec", "1nfbhd79piiwgiaw8r4990vs5xi3632y", { out: "s49z06n7slirl186980bxq5mmq40lvi6-fodrec" }],
    ["fodsha1", "xr7swcmikqwmy6jc1v3fnp31pxrqr8ic", { out: "cj6lhhsxwvzg55z1fkh1lz6bgdmg3c48-fodsha1" }],
    ["user", "as3j0v25ffyz6rzi405mk2bcnmqq324l", { out: "fvcxyil5zsqy9jbs8m3f53hg6mrf9p1a-user" }],
    ["deep", "rhhi11fwb3ivjnyx5l0wkzhyyiw7myp7", { out: "zw7hphak16r0pmvnql1nkf8f5ria5m9j-deep" }],
    ["n", "wr1i7p014rsirg48bgmkclzgi393aj0p", { out: "8qwygm88qsiwpdycf5hhk51zjbh3kgaa-n" }],
  ])("%s", (name, hash, outputs) => {
    const [path, derivation] = find(name);
    expect(path).toBe(`/nix/store/${hash}-${name}.drv`);
    expect(derivationPath(derivation).hash).toBe(hash);
    const paths = outputPaths(derivation, closure.lookup);
    expect(Object.fromEntries(Array.from(paths, ([output, each]) => [output, each?.basename]))).toEqual(outputs);
  });

  test("all are reproduced: bytes, own paths, output paths", () => {
    expect(checkClosure(ALL)).toBeGreaterThan(ALL.size);
  });

  test("what the kinds of outputs are", () => {
    const kinds = (name: string): string[] => Array.from(find(name)[1].outputs.values(), outputKind);
    expect(kinds("simple")).toEqual(["input-addressed"]);
    expect(kinds("fodrec")).toEqual(["fixed"]);
    expect(kinds("floating")).toEqual(["floating", "floating"]);
    expect(kinds("impure")).toEqual(["impure"]);
    expect(kinds("users-user")).toEqual(["deferred"]);
    expect([isFixed(FOD), isFixed(SIMPLE)]).toEqual([true, false]);
    expect([find("dynamic"), find("user")].map(([, each]) => hasDynamicInputs(each))).toEqual([true, false]);
  });

  test("JSON is that of Nix 2.34", () => {
    const named = Array.from(closure.derivations, ([path, derivation]) => ({
      path: StorePath.parseAbsolute(path),
      derivation,
    }));
    expect(formatDerivations(named.toReversed())).toBe(goldenText("derivations.json").trimEnd());
  });
});

const hasNix = spawnSync("nix-instantiate", ["--version"]).status === 0;
if (!hasNix) console.warn("SKIPPED: no nix-instantiate; golden derivations are not compared with a live Nix");

test.skipIf(!hasNix)("the installed Nix still makes the golden files", () => {
  const roots = execFileSync("nix-instantiate", [goldenPath("plain.nix")], { encoding: "utf8", stdio: "pipe" });
  for (const line of roots.trim().split("\n")) {
    const path = line.replace(/!.*/, "");
    expect(PLAIN.get(path), path).toEqual(new Uint8Array(readFileSync(path)));
  }
});

describe("modulo hashes", () => {
  test("fixed outputs hash the same however they are fetched, and merge as inputs", () => {
    const sources = [...closure.derivations].filter(([path]) => path.endsWith("-src.drv"));
    expect(sources.length).toBe(2);
    expect(new Set(sources.map(([path]) => closure.lookup(path)?.hash)).size).toBe(1);
    const [one, two] = sources.map(([path]) => path) as [string, string];
    const using = (inputs: [string, InputDrv][]): string =>
      maskedModuloHash({ ...SIMPLE, inputDrvs: new Map(inputs) }, closure.lookup).hash;
    expect(using([[one, { outputs: ["out"] }]])).toBe(using([[two, { outputs: ["out"] }]]));
    expect(
      using([
        [one, { outputs: ["a", "c"] }],
        [two, { outputs: ["b", "c"] }],
      ]),
    ).toBe(using([[one, { outputs: ["a", "b", "c"] }]]));
  });

  test("masked and unmasked differ, and masking forgets the paths only", () => {
    const masked = maskedModuloHash(SIMPLE, closure.lookup);
    expect(moduloHash(SIMPLE, closure.lookup).hash).not.toBe(masked.hash);
    const [out] = SIMPLE.outputs.values();
    const elsewhere = { path: "/nix/store/elsewhere", hashAlgo: "", hash: "" };
    const outputs = new Map([["out", elsewhere]]);
    const env = new Map([...SIMPLE.env, ["out", "/nix/store/elsewhere"]] as const);
    expect(out?.path).not.toBe(elsewhere.path);
    expect(maskedModuloHash({ ...SIMPLE, outputs, env }, closure.lookup)).toEqual(masked);
  });

  test("deferral spreads to users", () => {
    const deferred = (name: string): boolean | undefined => closure.lookup(find(name)[0])?.deferred;
    for (const name of ["floating", "impure", "users-user", "dynamic"]) expect(deferred(name), name).toBe(true);
    for (const name of ["simple", "multi", "fodrec", "text", "git", "deep"]) expect(deferred(name), name).toBe(false);
  });

  test("an input that is not known is named", () => {
    const drv = { ...SIMPLE, inputDrvs: new Map([["/nix/store/x.drv", { outputs: ["out"] }]]) };
    expect(codeOf(() => moduloHash(drv, () => undefined))).toBe("ERR_DRV_UNKNOWN_INPUT");
    expect(codeOf(() => completeDerivation(drv, () => undefined))).toBe("ERR_DRV_UNKNOWN_INPUT");
  });

  test("the store directory is part of every path", () => {
    const { derivation, path } = completeDerivation(SIMPLE, closure.lookup, { storeDir: "/gnu/store" });
    expect(derivation.outputs.get("out")?.path).toMatch(/^\/gnu\/store\/[0-9a-z]{32}-simple$/);
    expect(derivation.env.get("out")).toBe(derivation.outputs.get("out")?.path);
    expect(path.hash).not.toBe(derivationPath(SIMPLE).hash);
  });
});

test("placeholders in golden derivations are the ones computed here", () => {
  const [drvPath] = find("producer.drv");
  const { env } = find("dynamic")[1];
  const producer = upstreamPlaceholder(StorePath.parseAbsolute(drvPath), "out");
  expect(env.get("y")).toBe(producer);
  expect(env.get("x")).toBe(computedPlaceholder(producer, "out"));
  const dev = computedPlaceholder(producer, "dev");
  expect(env.get("z")).toBe(dev);
  expect(env.get("w")).toBe(computedPlaceholder(dev, "doc"));
  expect(find("floating")[1].env.get("dev")).toBe(placeholder("dev"));
});

describe("reading", () => {
  const change = (from: string, to: string): string => {
    expect(SIMPLE_TEXT).toContain(from);
    return SIMPLE_TEXT.replace(from, to);
  };
  const OUT = SIMPLE_TEXT.slice(SIMPLE_TEXT.indexOf("[") + 1, SIMPLE_TEXT.indexOf("]"));

  test.each<[string, string, string]>([
    ["nothing", "", "ERR_ATERM_SYNTAX"],
    ["another word", change("Derive(", "Derivation("), "ERR_ATERM_SYNTAX"],
    ["a newline at the end", `${SIMPLE_TEXT}\n`, "ERR_ATERM_RAW_CONTROL"],
    ["something at the end", `${SIMPLE_TEXT} `, "ERR_ATERM_SYNTAX"],
    ["white space", change(",[(", ", [("), "ERR_ATERM_SYNTAX"],
    ["no end", SIMPLE_TEXT.slice(0, -1), "ERR_ATERM_SYNTAX"],
    ["an open string", SIMPLE_TEXT.slice(0, 30), "ERR_ATERM_UNTERMINATED"],
    ["an open string after a backslash", SIMPLE_TEXT.slice(0, SIMPLE_TEXT.indexOf("\\") + 1), "ERR_ATERM_UNTERMINATED"],
    ["an unknown escape", change('\\"hi', "\\xhi"), "ERR_ATERM_ESCAPE"],
    ["a missing field", change(',"x86_64-linux"', ""), "ERR_ATERM_SYNTAX"],
    ["a comma too many", change('["-c",', '["-c",,'), "ERR_ATERM_SYNTAX"],
    ["no outputs", change(OUT, ""), "ERR_DRV_NO_OUTPUTS"],
    ["an output twice", change(OUT, `${OUT},${OUT}`), "ERR_DRV_ORDER"],
    ["outputs out of order", change(OUT, `${OUT},${OUT.replace("out", "dev")}`), "ERR_DRV_ORDER"],
    ["variables out of order", change('("builder"', '("zzz",""),("builder"'), "ERR_DRV_ORDER"],
    ["sources out of order", change(",[],[],", ',[],["b","a"],'), "ERR_DRV_ORDER"],
    ["inputs out of order", change(",[],[],", ',[("b",["out"]),("a",["out"])],[],'), "ERR_DRV_ORDER"],
    ["an input's outputs out of order", change(",[],[],", ',[("b",["out","dev"])],[],'), "ERR_DRV_ORDER"],
    ["a path that needs escaping", change(",[],[],", ',[],["a\\n"],'), "ERR_DRV_ESCAPED_NAME"],
    ["dynamic inputs in the old form", change(",[],[],", ',[("b",(["out"],[("out",["x"])]))],[],'), "ERR_ATERM_SYNTAX"],
    ["an unknown version", change("Derive(", 'DrvWithVersion("xp-next",'), "ERR_DRV_VERSION"],
    ["the new form without need", change("Derive(", 'DrvWithVersion("xp-dyn-drv",'), "ERR_DRV_VERSION"],
  ])("%s is refused", (_, text, code) => {
    expect(codeOf(() => parseDerivation(text, "simple"))).toBe(code);
    expect(codeOf(() => parseDerivation(latin1ToBytes(text), "simple"))).toBe(code);
  });

  test("dynamic inputs without end are refused", () => {
    const head = SIMPLE_TEXT.slice("Derive(".length, SIMPLE_TEXT.indexOf(",[],[],"));
    const text = `DrvWithVersion("xp-dyn-drv",${head},[("a",${'(["out"],[("out",'.repeat(10_000)}`;
    expect(codeOf(() => parseDerivation(text, "simple"))).toBe("ERR_DRV_TOO_DEEP");
  });

  const anyText = fc.string({
    unit: fc.oneof(
      fc.constantFrom('"', "\\", "\n", "\r", "\t"),
      fc.nat(255).map((code) => String.fromCharCode(code)),
    ),
    maxLength: 12,
  });
  const anyWord = fc.string({ unit: fc.constantFrom("a", "b", "-", "/", "é"), maxLength: 6 });
  const anyInput = fc.letrec<{ input: InputDrv }>((tie) => ({
    input: fc.oneof(
      { maxDepth: 3 },
      fc.record({ outputs: fc.uniqueArray(anyWord, { maxLength: 3 }) }),
      fc.record({
        outputs: fc.uniqueArray(anyWord, { maxLength: 3 }),
        dynamicOutputs: fc
          .array(fc.tuple(anyWord, tie("input")), { minLength: 1, maxLength: 2 })
          .map((entries) => new Map(entries)),
      }),
    ),
  })).input;
  const mapOf = <T>(value: fc.Arbitrary<T>, key: fc.Arbitrary<string> = anyWord, minLength = 0) =>
    fc.array(fc.tuple(key, value), { minLength, maxLength: 4 }).map((entries) => new Map(entries));
  const anyDerivation: fc.Arbitrary<Derivation> = fc.record({
    name: fc.constant("any"),
    outputs: mapOf(fc.record({ path: anyWord, hashAlgo: anyWord, hash: anyWord }), anyWord, 1),
    inputDrvs: mapOf(anyInput),
    inputSrcs: fc.uniqueArray(anyWord),
    system: anyWord,
    builder: anyText,
    args: fc.array(anyText),
    env: mapOf(anyText, anyText),
  });

  test("a system with a quote gets the hash that Nix gives it, though its file cannot be read", () => {
    const odd = { system: 'a"b\n\\c', builder: 'b"\n' };
    const env = new Map([
      ["builder", odd.builder],
      ["name", "x"],
      ["out", ""],
      ["system", odd.system],
    ]);
    const outputs = new Map([["out", { path: "", hashAlgo: "", hash: "" }]]);
    const { path, text } = completeDerivation(
      { ...SIMPLE, ...odd, name: "x", args: [], env, outputs },
      () => undefined,
    );
    expect(path.basename).toBe("ax3b4y08rvhyh7xj28sl7shq7rlbxxma-x.drv");
    expect(codeOf(() => parseDerivation(text, "x"))).toBe("ERR_ATERM_RAW_CONTROL");
  });

  test("what is written reads back, in whatever order it was given", () => {
    fc.assert(
      fc.property(anyDerivation, (derivation) => {
        const text = writeDerivation(derivation);
        const read = parseDerivation(text, "any");
        expect(writeDerivation(read)).toBe(text);
        expect(read.env).toEqual(derivation.env);
        expect(read.args).toEqual(derivation.args);
        expect([read.system, read.builder]).toEqual([derivation.system, derivation.builder]);
        expect(read.inputSrcs).toEqual(derivation.inputSrcs.toSorted());
        expect(read.outputs).toEqual(derivation.outputs);
        const { outputs, inputDrvs, inputSrcs } = read;
        expect(parseOutline(text)).toEqual({ outputs, inputDrvs, inputSrcs });
        expect(bytesToLatin1(derivationBytes(read))).toBe(text);
      }),
    );
  });

  test("golden files with bytes changed are refused or read as what they write", () => {
    const texts = Array.from(ALL.values(), bytesToLatin1);
    const put = fc.oneof(fc.constantFrom('"', "\\", ",", "(", ")", "[", "]", '("a",'), anyText);
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.nat(), fc.nat(4), put, (text, at, cut, insert) => {
        const start = at % text.length;
        const changed = text.slice(0, start) + insert + text.slice(start + cut);
        let read: Derivation | undefined;
        if (codeOf(() => (read = parseDerivation(changed, "any"))) !== undefined || read === undefined) return;
        expect(writeDerivation(read)).toBe(changed);
        const derivation = read;
        codeOf(() => validateDerivation(derivation));
        codeOf(() => formatDerivation(derivation));
        codeOf(() => completeDerivation(derivation, closure.lookup));
      }),
      { numRuns: 1000 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void codeOf(() => parseDerivation(bytes, "any"))));
  });
});

describe("validation", () => {
  const out = FOD.outputs.get("out") ?? { path: "", hashAlgo: "", hash: "" };
  const withOutput = (name: string, fields: Partial<typeof out>): Derivation => ({
    ...FOD,
    outputs: new Map([[name, { ...out, ...fields }]]),
    env: new Map([[name, fields.path ?? out.path]]),
  });
  const ia = { path: "/nix/store/v8a5h6ck8d1skdkswmxv2c96qz1q8ki4-simple", hashAlgo: "", hash: "" };
  const store = `/nix/store/${"0".repeat(32)}`;

  test.each<[string, Derivation, string]>([
    ["a bad name", { ...SIMPLE, name: "a b" }, "ERR_DRV_NAME"],
    ["a name too long for .drv", { ...SIMPLE, name: "a".repeat(208) }, "ERR_DRV_NAME"],
    ["no system", { ...SIMPLE, system: "" }, "ERR_DRV_NO_SYSTEM"],
    ["a system that cannot be written", { ...SIMPLE, system: 'a"b' }, "ERR_DRV_SYSTEM"],
    ["no builder", { ...SIMPLE, builder: "" }, "ERR_DRV_NO_BUILDER"],
    ["no outputs", { ...SIMPLE, outputs: new Map() }, "ERR_DRV_NO_OUTPUTS"],
    ["an output named drv", withOutput("drv", {}), "ERR_DRV_OUTPUT_NAME"],
    ["an output named badly", withOutput("a/b", {}), "ERR_DRV_OUTPUT_NAME"],
    ["a fixed output that is not out", withOutput("bin", { path: "" }), "ERR_DRV_OUTPUT_PATH"],
    ["a fixed output elsewhere", withOutput("out", { path: `${store}-fodrec` }), "ERR_DRV_OUTPUT_PATH"],
    ["an unknown algorithm", withOutput("out", { hashAlgo: "r:sha0" }), "ERR_DRV_OUTPUT_HASH"],
    ["a hash too short", withOutput("out", { hash: "00" }), "ERR_DRV_OUTPUT_HASH"],
    ["a hash without algorithm", withOutput("out", { hashAlgo: "" }), "ERR_DRV_OUTPUT_HASH"],
    ["a path for a floating output", withOutput("out", { hash: "" }), "ERR_DRV_OUTPUT_PATH"],
    ["a path for an impure output", withOutput("out", { hash: "impure" }), "ERR_DRV_OUTPUT_PATH"],
    ["a path named otherwise", { ...SIMPLE, name: "other" }, "ERR_DRV_OUTPUT_PATH"],
    [
      "a path outside the store",
      { ...SIMPLE, outputs: new Map([["out", { ...ia, path: "/tmp" }]]) },
      "ERR_DRV_OUTPUT_PATH",
    ],
    [
      "mixed outputs",
      { ...SIMPLE, outputs: new Map([...SIMPLE.outputs, ["dev", { path: "", hashAlgo: "", hash: "" }]]) },
      "ERR_DRV_MIXED_OUTPUTS",
    ],
    ["a variable that disagrees", { ...SIMPLE, env: new Map([["out", "x"]]) }, "ERR_DRV_ENV"],
    ["a variable that is missing", { ...SIMPLE, env: new Map() }, "ERR_DRV_ENV"],
    ["a source that is no path", { ...SIMPLE, inputSrcs: ["/etc/passwd"] }, "ERR_DRV_INPUT"],
    [
      "an input that is no derivation",
      { ...SIMPLE, inputDrvs: new Map([[`${store}-a`, { outputs: ["out"] }]]) },
      "ERR_DRV_INPUT",
    ],
    [
      "an input without outputs",
      { ...SIMPLE, inputDrvs: new Map([[`${store}-a.drv`, { outputs: [] }]]) },
      "ERR_DRV_INPUT",
    ],
    [
      "an input's output named badly",
      { ...SIMPLE, inputDrvs: new Map([[`${store}-a.drv`, { outputs: ["a b"] }]]) },
      "ERR_DRV_INPUT",
    ],
  ])("%s is refused", (_, derivation, code) => {
    expect(codeOf(() => validateDerivation(derivation))).toBe(code);
  });

  test("two fixed outputs are refused", () => {
    const two: Derivation = { ...FOD, outputs: new Map([...FOD.outputs, ["out2", out]]) };
    expect(codeOf(() => validateDerivation(two))).toMatch(/^ERR_DRV_(OUTPUT_PATH|FIXED_OUTPUTS)$/);
    expect(codeOf(() => moduloHash(two, () => undefined))).toBe("ERR_DRV_FIXED_OUTPUTS");
  });
});

describe("JSON", () => {
  test("bytes that are not UTF-8 have none", () => {
    expect(codeOf(() => formatDerivation({ ...SIMPLE, builder: "\xff" }))).toBe("ERR_DRV_JSON_NOT_UTF8");
  });

  test.each(["", "{", "[]", "1"])("structured attributes that are %j are refused", (json) => {
    expect(codeOf(() => formatDerivation({ ...SIMPLE, env: new Map([["__json", json]]) }))).toBe(
      "ERR_DRV_JSON_STRUCTURED",
    );
  });

  test("keys that look like numbers stay sorted as text", () => {
    const text = formatDerivation({
      ...SIMPLE,
      env: new Map([
        ["9", ""],
        ["10", ""],
        ["__proto__", ""],
      ]),
    });
    expect(text).toContain('"env":{"10":"","9":"","__proto__":""}');
  });

  test("a file of its own is read with its name", () => {
    const [path, bytes] = [...PLAIN][0] as [string, Uint8Array];
    expect(path).toContain(`-${parseFile(path, bytes).name}.drv`);
  });
});
