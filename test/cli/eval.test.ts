import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tvix } from "./tvix.ts";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-eval-"));
  writeFileSync(join(scratch, "default.nix"), '{ a ? 1, b }: { x = a + b; y.z = "s"; }');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs `tvix eval` in the scratch folder, without a cache of compiled units. */
const evaluate = (...args: string[]) => tvix(["eval", "--no-cache", ...args], { cwd: scratch });

describe("tvix eval", () => {
  test("expressions, files, attributes and arguments", () => {
    expect(evaluate("-E", "1 + 2", "[ 1 ]").stdout).toBe("3\n[ 1 ]\n");
    expect(evaluate("--arg", "b", "2", "-A", "x", "-A", "y").stdout).toBe('3\n{ z = "s"; }\n');
    expect(evaluate("--strict", "--argstr", "b", "2", "--arg", "a", '"1"').stdout).toBe(
      '{ x = "12"; y = { z = "s"; }; }\n',
    );
    expect(tvix(["eval", "-"], { input: new TextEncoder().encode("1 + 1") }).stdout).toBe("2\n");
  });

  test("files by their name in the search path, and archives by their URL", () => {
    const own = ["-I", `here=${scratch}`, "--arg", "b", "2", "-A", "x"];
    expect(evaluate("<here>", ...own).stdout).toBe("3\n");
    expect(evaluate("<here/default.nix>", "--parse", ...own).stdout).toMatch(/^\(\{ a \? 1, b \}: /);
    expect(evaluate("<here>", "--dump-ir", ...own).stdout).toContain("lambda");
    expect(evaluate("<there>", ...own).stderr).toContain("file 'there' was not found in the Nix search path");
    execFileSync("tar", ["-C", scratch, "-cf", join(scratch, "archive.tar"), "./default.nix"]);
    expect(evaluate(`file://${scratch}/archive.tar`, ...own).stdout).toBe("3\n");
    expect(evaluate("file:///nothing.tar", ...own).stderr).toContain("/nothing.tar");
    expect(evaluate("-A", "z", "--arg", "b", "2").stderr).toContain("attribute 'z' in selection path 'z' not found");
    expect(evaluate("-A", "yy", "--arg", "b", "2").stderr).toContain("did you mean 'y'?");
  });

  test("every form of output", () => {
    expect(evaluate("--raw", "-E", '"é"').stdout).toBe("é");
    expect(evaluate("--json", "-E", "{ a = [ 1 null 1.5 ]; }").stdout).toBe('{"a":[1,null,1.5]}\n');
    expect(evaluate("--xml", "--strict", "--no-location", "-E", "[ 1 ]").stdout).toContain('<int value="1" />');
    expect(evaluate("--xml", "--strict", "-E", "{ a = 1; }").stdout).toContain('<attr column="3" line="1" name="a">');
    expect(evaluate("--parse", "-E", "1+ 2").stdout).toBe("(1 + 2)\n");
    const unknown = evaluate("--parse", "-E", "x: y");
    expect(unknown).toMatchObject({ status: 1, stdout: "" });
    expect(unknown.stderr).toContain("undefined variable 'y'");
    expect(evaluate("--dump-ir", "-E", "x: x + 1").stdout).toContain("lambda");
  });

  test("errors show the place, what may have been meant, and exit with 1", () => {
    const missing = evaluate("-E", "{ foo = 1; }.fo");
    expect(missing.status).toBe(1);
    expect(missing.stderr).toContain("attribute 'fo' missing");
    expect(missing.stderr).toContain("did you mean 'foo'?");
    const file = evaluate("--argstr", "b", "text", "-A", "x.y");
    expect(file.stderr).toContain(`cannot add a string to an integer\n --> ${scratch}/default.nix:1:23`);
    expect(file.stderr).toContain("while evaluating 'x'");
    const shapes = evaluate("-E", "let half = n: if n.ok then n else n.no; in half { ok = 1; }");
    expect(shapes.stderr).toContain("expected a Boolean but found an integer: 1");
    expect(shapes.stderr).toContain("while calling 'half' with n = { ok = 1; } («string»:1:44)");
    expect(evaluate("-E", "1 +").status).toBe(1);
    expect(evaluate("-E").stderr).toContain("ERR_CLI_USAGE");
  });

  test("deep recursion finds more stack, endless recursion an error", () => {
    const deep = (n: number) => `let f = n: if n == 0 then 0 else 1 + f (n - 1); in f ${n}`;
    expect(evaluate("-E", deep(1_000_000)).stdout).toBe("1000000\n");
    const traced = evaluate("-E", `builtins.trace "once" (${deep(20_000)})`, "1");
    expect(traced).toMatchObject({ stdout: "20000\n1\n", stderr: "trace: once\n" });
    expect(evaluate("-E", "1", deep(20_000)).stdout).toBe("1\n20000\n");
    const endless = evaluate("-E", "let f = n: 1 + f n; in f 0");
    expect(endless.status).toBe(1);
    expect(endless.stderr).toContain("stack overflow; max-call-depth exceeded\n --> «string»:1:16");
    const nested = join(scratch, "nested.nix");
    writeFileSync(nested, `${"(".repeat(20_000)}1${")".repeat(20_000)}`);
    expect(evaluate("--parse", nested).stdout).toBe("1\n");
  });

  test("warnings are about what the command names, or about all, or none", () => {
    writeFileSync(join(scratch, "warned.nix"), "x: let inherit x; in http://example.org/x");
    const own = (...args: string[]): string[] =>
      [...evaluate(...args).stderr.matchAll(/^warning: (.*)$/gm)].map((match) => match[1] as string);
    const all = ["URL literals are deprecated", "this 'inherit' has no effect: 'x' means the same without it"];
    expect(own("warned.nix")).toEqual(all);
    expect(own("--warn", "none", "warned.nix")).toEqual([]);
    expect(own("-E", "import ./warned.nix")).toEqual([]);
    expect(own("--warn", "all", "-E", "import ./warned.nix")).toEqual(all);
    expect(evaluate("warned.nix").stderr).toContain(`${scratch}/warned.nix:1:16`);
    // Also when the compiled unit is in the cache.
    tvix(["eval", "warned.nix"], { cwd: scratch });
    expect(tvix(["eval", "warned.nix"], { cwd: scratch }).stderr).toContain("no effect");
  });

  test("what it did can be seen", () => {
    const counted = "let f = x: { a = [ x 1 ]; b = x + 1; }; in map (n: (f n // { b = n; }).b ++ [ ]) [ [ 1 ] [ 2 ] ]";
    const stats = JSON.parse(evaluate("--stats", "--strict", "-E", counted).stderr);
    expect(stats).toMatchObject({
      units: 1,
      calls: 4,
      builtinCalls: 1,
      updates: 2,
      concats: 2,
      lookups: 2,
      imports: 0,
    });
    expect(stats).toMatchObject({ sets: 4, setElements: 6 });
    expect(stats.time.cpu).toBeGreaterThan(0);
    expect(stats.memory.heapBytes).toBeGreaterThan(0);
    expect(evaluate("--trace-io", "--arg", "b", "1", "-A", "x").stderr).toContain(`readFile ${scratch}/default.nix`);
    const profile = join(scratch, "profile.cpuprofile");
    const fib = "let\n  fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2);\nin fib 24";
    expect(evaluate("--profile", profile, "-E", fib).stdout).toBe("46368\n");
    const { nodes, samples, timeDeltas, startTime, endTime } = JSON.parse(readFileSync(profile, "utf8"));
    const frames = nodes.map((node: { callFrame: { functionName: string } }) => node.callFrame.functionName);
    expect(frames).toContain("fib «string»:2:9");
    expect(samples.length).toBeGreaterThan(0);
    // What readers of such profiles, speedscope among them, rely on.
    const ids = new Set(nodes.map(({ id }: { id: number }) => id));
    const named = nodes.flatMap(({ children }: { children?: number[] }) => children ?? []);
    expect([...samples, ...named].filter((id) => !ids.has(id))).toEqual([]);
    expect(timeDeltas).toHaveLength(samples.length);
    // What a Nix function calls is right below it.
    const isNix = new Map(nodes.map((node: { id: number }, i: number) => [node.id, frames[i].includes("«string»")]));
    const callers = nodes.filter(({ children }: { children?: number[] }) => children?.some((id) => isNix.get(id)));
    expect(callers.length).toBeGreaterThan(5);
    expect(callers.filter(({ id }: { id: number }) => id !== nodes[0].id && !isNix.get(id))).toEqual([]);
    expect(endTime - startTime).toBeGreaterThan(0);
  });
});
