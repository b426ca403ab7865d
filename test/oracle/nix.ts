// The oracle: C++ Nix, run over many expressions at a time, its answers brought into a comparable form.
//
// `TVIX_NIX` is what comes before `nix-instantiate` on the command line (for a Nix in a chroot or container); empty for
// the one in PATH. The target language is that of Nix 2.34; older ones differ in known points.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { type Answer, type Case, FILES, LANG_VARIABLES, type Mode } from "../lang/cases.ts";

const FLAGS: Record<Mode, string> = {
  strict: "--eval --strict",
  lazy: "--eval",
  xml: "--eval --strict --xml --no-location",
  json: "--eval --strict --json",
  parse: "--parse",
};

const prefix = (process.env["TVIX_NIX"] ?? "").split(" ").filter((word) => word !== "");

function commandLine(...words: [string, ...string[]]): [string, string[]] {
  const [command, ...args] = [...prefix, ...words] as [string, ...string[]];
  return [command, args];
}

/** The oracle's version, or undefined when there is none. */
export function oracleVersion(): string | undefined {
  const [command, args] = commandLine("nix-instantiate", "--version");
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim().split(" ").at(-1) : undefined;
}

/** Runs each case in a process of its own. */
export function askOracle(cases: readonly Case[]): Answer[] {
  return ask(cases, readAnswer);
}

/** The same, with what each case says by `builtins.trace`. */
export function askOracleTraced(cases: readonly Case[]): { answer: Answer; traces: string[] }[] {
  return ask(cases, (base) => ({
    answer: readAnswer(base),
    traces: readTraces(readFileSync(`${base}.err`, "latin1")),
  }));
}

function readTraces(text: string): string[] {
  return Array.from(text.matchAll(/^trace: (.*)$/gm), ([, message]) => message as string);
}

function ask<T>(cases: readonly Case[], read: (base: string) => T): T[] {
  const dir = mkdtempSync(join(tmpdir(), "tvix-oracle-"));
  try {
    const script = [...LANG_VARIABLES].map(([name, value]) => `export ${name}=${value}`);
    script.push(`dir=${dir}`);
    script.push(
      "ask() { n=$1; shift",
      '  nix-instantiate --readonly-mode --show-trace --extra-experimental-features "pipe-operators $features" -I lang=$PWD "$@" - \\',
      "    < $dir/$n.nix > $dir/$n.out 2> $dir/$n.err; echo $? > $dir/$n.status; }",
    );
    for (const [i, { mode, text, features }] of cases.entries()) {
      writeFileSync(join(dir, `${i}.nix`), Buffer.from(text, "latin1"));
      script.push(`features='${features.join(" ")}'`, `ask ${i} ${FLAGS[mode]}`);
    }
    writeFileSync(join(dir, "ask.sh"), `${script.join("\n")}\n`);
    const [command, args] = commandLine("bash", join(dir, "ask.sh"));
    execFileSync(command, args, { cwd: FILES, stdio: ["ignore", "inherit", "inherit"] });
    return cases.map((_, i) => read(join(dir, String(i))));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What the oracle prints after each program, so that values of several lines are told apart. */
const MARK = "7777777";

/** Runs many programs with few processes: one goes on until a program fails, the next takes over behind it. */
export function askOracleInBulk(texts: readonly string[], mode: "strict" | "parse"): Answer[] {
  const dir = mkdtempSync(join(tmpdir(), "tvix-fuzz-"));
  try {
    for (const [i, text] of texts.entries()) writeFileSync(join(dir, `${i}.nix`), Buffer.from(text, "latin1"));
    writeFileSync(join(dir, "mark.nix"), MARK);
    const script = [...LANG_VARIABLES].map(([name, value]) => `export ${name}=${value}`);
    script.push(
      `cd ${dir}; i=0`,
      `while [ $i -lt ${texts.length} ]; do`,
      `  nix-instantiate --readonly-mode --show-trace --extra-experimental-features 'pipe-operators parse-toml-timestamps' \\`,
      `    ${FLAGS[mode]} $(seq -f '%g.nix mark.nix' $i ${texts.length - 1}) > out 2> err`,
      `  awk -v i=$i -v RS='${MARK}\n' '{ printf "%s", $0 > (i++ ".out") }' out`,
      `  i=$((i + $(grep -cx ${MARK} out)))`,
      `  [ $i -lt ${texts.length} ] && mv err $i.err && i=$((i+1))`,
      "done; true",
    );
    writeFileSync(join(dir, "ask.sh"), `${script.join("\n")}\n`);
    const [command, args] = commandLine("bash", join(dir, "ask.sh"));
    execFileSync(command, args, { cwd: FILES, stdio: ["ignore", "inherit", "inherit"] });
    return texts.map((_, i) => {
      const out = join(dir, `${i}.out`);
      if (existsSync(out)) return { value: readFileSync(out, "latin1").replace(/\n$/, "").replaceAll(dir, "$DIR") };
      return { error: readError(readFileSync(join(dir, `${i}.err`), "latin1")) };
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function readAnswer(base: string): Answer {
  const status = readFileSync(`${base}.status`, "latin1").trim();
  if (status === "0") return { value: withoutDir(readFileSync(`${base}.out`, "latin1").replace(/\n$/, "")) };
  return { error: readError(readFileSync(`${base}.err`, "latin1")) };
}

function withoutDir(text: string): string {
  return text.replaceAll(FILES, "$DIR").replaceAll(dirname(FILES), "$DIR/..");
}

/** The innermost message of Nix's error output, and its class. */
export function readError(text: string): { kind: string; message: string } {
  const lines = text.replace(/\u001b\[[0-9;]*m/g, "").split("\n");
  const message = lines
    .map((line) => /^ *error: (.+)$/.exec(line)?.[1])
    .filter((line) => line !== undefined)
    .at(-1);
  let kind = errorKind(message ?? text);
  if (kind === "other" && text.includes("while calling the 'throw' builtin")) kind = "throw";
  return { kind, message: withoutDir(message ?? lines[0] ?? "") };
}

/** Message patterns of Nix 2.34, in order; the first that matches names the class. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  [
    "parse",
    /^(syntax error|path has a trailing|dynamic attributes not|duplicate formal|invalid (integer|float)|experimental Nix feature 'pipe)/,
  ],
  ["parse", /^attribute '.*' already defined/],
  ["dynamic-duplicate", /^dynamic attribute '.*' already defined/],
  ["undefined", /^undefined variable/],
  ["abort", /^evaluation aborted/],
  ["assert", /^assertion .*failed/],
  ["search-path", /^file '.*' was not found in the Nix search path/],
  ["recursion", /^infinite recursion encountered/],
  ["overflow", /^(integer overflow|.*out of range)/],
  ["division", /^division by zero/],
  ["missing", /^attribute '.*' (missing|in selection path)|^attribute '.*' missing/],
  ["coerce", /^cannot coerce/],
  ["compare", /^cannot compare|^values of type .* are incomparable/],
  ["call", /called without required argument|called with unexpected argument/],
  ["type", /^attempt to call something which is not a function/],
  ["overflow", /^NixFloat argument/],
  ["regex", /^invalid regular expression/],
  ["json", /^\[json\.exception|json number .* outside/],
  ["toml", /^while parsing TOML/],
  ["context", /is not allowed to refer to a store path|context key/],
  ["index", /^'builtins\.(head|tail|elemAt)' called/],
  ["io", /^path '.*' does not exist|^cannot read directory|Is a directory$/],
  [
    "type",
    /^attempt to call something which is not a function|^cannot add |^expected a.* but found|^value is .* while|^cannot (convert|decode)/,
  ],
];

function errorKind(message: string): string {
  for (const [kind, pattern] of KINDS) if (pattern.test(message)) return kind;
  return "other";
}
