// The files of nixpkgs, where `TVIX_NIXPKGS` names a checkout: each is read, or refused, as Nix does. With Nix at hand
// (`TVIX_NIX_NEW`, see test/nix/fetch/oracle.ts) the trees are compared as both print them: of some files, and with
// `TVIX_SOAK=1` of all.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bytesToLatin1 } from "../../../lib/base/text.ts";
import { DiagnosticError } from "../../../lib/eval/diagnostic.ts";
import { Evaluator, EvalError, Source } from "../../../lib/eval/index.ts";
import { fileSystemIO } from "../../../lib/eval/node.ts";
import { printExpr } from "../../../lib/eval/syntax/printer.ts";
import { HAS_ORACLE, ORACLE } from "../../nix/fetch/oracle.ts";

const NIXPKGS = process.env["TVIX_NIXPKGS"];
const SAMPLE = process.env["TVIX_SOAK"] === "1" ? Number.POSITIVE_INFINITY : 1000;
const BATCH = 250;
if (NIXPKGS === undefined) console.warn("SKIPPED: TVIX_NIXPKGS is not set: the files of nixpkgs are not parsed");

/** All .nix files, as byte strings. */
function nixFiles(): string[] {
  return readdirSync(NIXPKGS ?? "", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".nix"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The tree as text, or undefined when the file is refused. */
function ours(file: string): string | undefined {
  const source = Source.file(file, fileSystemIO().readFile(file));
  try {
    const evaluator = new Evaluator();
    const { expr } = evaluator.parse(source);
    // Nix finds undefined variables while it parses.
    evaluator.compile(source);
    return printExpr(expr, { directory: source.directory, home: homedir() });
  } catch (error) {
    if (error instanceof DiagnosticError || error instanceof EvalError) return undefined;
    throw error;
  }
}

/** The trees as Nix prints them, or undefined for files that it refuses; of several files one line each. */
function theirs(files: readonly string[], directory: string): (string | undefined)[] {
  writeFileSync(join(directory, "files"), files.join("\0"));
  const command = [...ORACLE.slice(1), "sh", "-c", "xargs -0 nix-instantiate --parse < files"];
  const { status, stdout } = spawnSync(ORACLE[0] as string, command, { cwd: directory, maxBuffer: 1 << 30 });
  if (status === 0) return bytesToLatin1(stdout).trimEnd().split("\n");
  if (files.length === 1) return [undefined];
  const half = Math.ceil(files.length / 2);
  return [...theirs(files.slice(0, half), directory), ...theirs(files.slice(half), directory)];
}

test.skipIf(NIXPKGS === undefined)("every file is read", { timeout: 600_000 }, () => {
  const files = nixFiles();
  expect(files.length).toBeGreaterThan(10_000);
  const refused = files.filter((file) => ours(file) === undefined);
  const byNix = HAS_ORACLE ? withScratch((directory) => refused.filter((file) => theirs([file], directory)[0])) : [];
  console.warn(`${files.length - refused.length} of ${files.length} files are read; the others: ${refused.join(" ")}`);
  expect(byNix).toEqual([]);
  expect(refused.length).toBeLessThan(10);
});

test.skipIf(NIXPKGS === undefined || !HAS_ORACLE)("trees are those of Nix", { timeout: 1_800_000 }, () => {
  const all = nixFiles();
  const step = Math.max(1, all.length / SAMPLE);
  const files = Array.from({ length: Math.min(all.length, SAMPLE) }, (_, i) => all[Math.floor(i * step)] as string);
  const different = withScratch((directory) => {
    const found: string[] = [];
    for (let i = 0; i < files.length; i += BATCH) {
      const batch = files.slice(i, i + BATCH);
      const answers = theirs(batch, directory);
      expect(answers).toHaveLength(batch.length);
      found.push(...batch.filter((file, j) => ours(file) !== answers[j]));
    }
    return found;
  });
  console.warn(`${files.length - different.length} of ${files.length} files of nixpkgs parse as in Nix`);
  expect(different).toEqual([]);
});

function withScratch<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "tvix-parse-"));
  try {
    return work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
