// The one door: format, lint, types, dead code, package checks and all tests, each a step with its own verdict.
//
// `npm run check` runs everything; `npm run check -- lint types` runs the named steps. A step prints its output only
// when it fails. The last line adds up: each test counts, and each other step counts as one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
process.chdir(root);
const scratch = mkdtempSync(join(tmpdir(), "tvix-check-"));
const bin = (name) => join(root, "node_modules/.bin", name);

function run(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error ? String(result.error) : ""}`;
  return { ok: result.status === 0, status: result.status, output };
}

/** Each step returns {ok, output} and, where it runs tests, {passed, failed, skipped}; `note` is always printed. */
const steps = {
  format: () => run(bin("biome"), ["format", "."]),
  "format-native": () => {
    const tool = ["clang-format-19", "clang-format"].find((name) => run(name, ["--version"]).ok);
    if (!tool) return { ok: true, output: "", note: "clang-format is not installed: C++ format not checked" };
    const files = run("git", ["ls-files", "native/*.cc", "native/*.h"]).output.split("\n").filter(Boolean);
    return run(tool, ["--dry-run", "--Werror", ...files]);
  },
  lint: () => run(bin("oxlint"), []),
  types: () => run(bin("tsc"), ["-p", "tsconfig.json"]),
  build: () => run("npm", ["run", "--silent", "build"]),
  "dead-code": () => run(bin("knip"), ["--no-progress"]),
  publint: () => run(bin("publint"), ["--strict"]),
  "native-tests": () => {
    const build = join(root, "build/test");
    const configured = run("cmake", ["-S", ".", "-B", build, "-G", "Ninja", "-DTVIX_TESTS=ON"]);
    if (!configured.ok) return configured;
    const built = run("cmake", ["--build", build]);
    if (!built.ok) return built;
    const tested = run(join(build, "native_test"), []);
    const counts = /test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed(?: \|\s*(\d+) skipped)?/.exec(tested.output);
    if (!counts) return { ...tested, ok: false };
    return { ...tested, passed: Number(counts[1]), failed: Number(counts[2]), skipped: Number(counts[3] ?? 0) };
  },
  tests: () => {
    const report = join(scratch, "vitest.json");
    const tested = run(bin("vitest"), ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`]);
    if (!existsSync(report)) return { ...tested, ok: false };
    const { numPassedTests, numFailedTests, numPendingTests, success } = JSON.parse(readFileSync(report, "utf8"));
    const skips = tested.output.split("\n").filter((line) => line.includes("SKIP"));
    return {
      ok: tested.ok && success,
      output: tested.output,
      passed: numPassedTests,
      failed: numFailedTests,
      skipped: numPendingTests,
      note: [...new Set(skips)].join("\n"),
    };
  },
  microvm: () => {
    const booted = run(join(root, "script/microvm"), []);
    // What it needs cannot be had here.
    if (booted.status === 75) return { ok: true, output: "", passed: 0, skipped: 1, note: booted.output.trim() };
    return booted;
  },
  package: () => run(process.execPath, [join(root, "test/package/install.mjs")]),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in steps));
if (unknown.length > 0) {
  console.error(`no step ${unknown.join(", ")}; there are: ${Object.keys(steps).join(", ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
let skipped = 0;
for (const [name, step] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const start = performance.now();
  const result = step();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const counted = result.passed === undefined ? "" : `: ${result.passed} tests`;
  console.log(`${result.ok ? "ok  " : "FAIL"} ${name} (${seconds} s)${counted}`);
  if (!result.ok) console.log(result.output);
  if (result.note) console.log(result.note);
  passed += result.passed ?? (result.ok ? 1 : 0);
  failed += Math.max(result.failed ?? 0, result.ok ? 0 : 1);
  skipped += result.skipped ?? 0;
}
rmSync(scratch, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed === 0 ? 0 : 1);
