// Joins the compiled command line into dist/cli/program.cjs, what a replay needs into dist/cli/replay.cjs, and keeps
// V8's code caches for them: see lib/cli/bundle.ts.
import fs, { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const directory = join(root, "dist/cli");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Commander loads what starts processes, and with it all of Node's networking, for a feature that we do not use. */
const WITHOUT_PROCESSES = {
  name: "without-processes",
  setup(plan) {
    plan.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      importer.includes("/commander/") ? { path: "child_process", namespace: "empty" } : undefined,
    );
    plan.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {};" }));
  },
};

/** @type {import("esbuild").BuildOptions} */
const OPTIONS = {
  outdir: directory,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  // Commander is a part of every start; the other packages are loaded when a command needs them.
  external: Object.keys(manifest.dependencies).filter((name) => name !== "commander"),
  // Names stay, so that stacks stay readable.
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [WITHOUT_PROCESSES],
  logLevel: "warning",
};

/** What loads much of Node and is rarely used: found when the first of it is asked for. */
const LATE = /\brequire\("(node:(?:crypto|fs\/promises|net|perf_hooks|stream|stream\/web|timers\/promises|tty))"\)/g;

const { outputFiles } = await build({
  ...OPTIONS,
  entryPoints: [join(directory, "program.js"), join(directory, "replay.js")],
  // A script run by node:vm cannot import, it can require.
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "bundle_url" },
  write: false,
});
for (const { path, text } of outputFiles) {
  // One char per byte, so that it can be read as it is.
  if (/[^\0-\x7f]/.test(text)) throw new Error(`${path} has more than ASCII`);
  writeFileSync(
    path,
    `(function (exports, require, late, module, bundle_url) {${text.replace(LATE, 'late("$1")')}\n})`,
  );
}
await build({
  ...OPTIONS,
  entryPoints: [join(directory, "tvix.js")],
  external: ["./program.js"],
  define: { "import.meta.url": "entry_url" },
  banner: { js: 'const entry_url = require("node:url").pathToFileURL(__filename).href;' },
});
chmodSync(join(directory, "tvix.cjs"), 0o755);

const { loadBundle } = await import(pathToFileURL(join(directory, "bundle.js")).href);
const { tuneEngine } = await import(pathToFileURL(join(directory, "../eval/tune.js")).href);
tuneEngine();
// What is run here says nothing.
const { writeSync } = fs;
fs.writeSync = (descriptor, data, ...rest) => (descriptor === 1 ? data.length : writeSync(descriptor, data, ...rest));
process.stdout.write = () => true;
const entry = pathToFileURL(join(directory, "tvix.js"));

for (const name of readdirSync(directory)) if (name.endsWith(".cache")) rmSync(join(directory, name));

/** Caches are taken after a run, so that they hold the functions that a start needs. */
function keepCode(bundle, name) {
  writeFileSync(join(directory, `${name}.cache`), bundle.script.createCachedData());
}

const program = loadBundle(pathToFileURL(join(directory, "program.cjs")));
const { runProgram } = program.evaluate();
// First alone: what is read for an evaluation holds nothing of the other commands. What a small package set uses,
// without compiled units and with them, is compiled by then: it would be a twentieth of a warm `hello.drvPath`.
const scratch = mkdtempSync(join(tmpdir(), "tvix-bundle-"));
process.env["XDG_CACHE_HOME"] = scratch;
await runProgram(["eval", "--no-cache", "-E", "1"], entry);
for (const _state of ["first", "warm"]) {
  await runProgram(["eval", "--no-replay", "--strict", join(root, "test/data/nix/packages/paths.nix")], entry);
}
keepCode(program, "program-eval");
await runProgram(["store", "--help"], entry);
await runProgram(["hash", "--flat", join(directory, "program.cjs")], entry);
keepCode(program, "program");

const replaying = loadBundle(pathToFileURL(join(directory, "replay.cjs")));
await replaying.evaluate().replay(["eval", "-E", "1"], entry);
keepCode(replaying, "replay");
rmSync(scratch, { recursive: true });
process.exitCode = 0;
