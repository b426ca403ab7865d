// Joins the compiled command line into dist/cli/program.cjs, what a replay needs into dist/cli/replay.cjs, and keeps
// V8's code caches for them: see lib/cli/bundle.ts.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
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

await build({
  entryPoints: [join(directory, "program.js"), join(directory, "replay.js")],
  outdir: directory,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  // Commander is a part of every start; the other packages are loaded when a command needs them.
  external: Object.keys(manifest.dependencies).filter((name) => name !== "commander"),
  // A script run by node:vm cannot import, it can require.
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "bundle_url" },
  // Names stay, so that stacks stay readable.
  minifyWhitespace: true,
  minifySyntax: true,
  plugins: [WITHOUT_PROCESSES],
  logLevel: "warning",
});

const { loadBundle } = await import(pathToFileURL(join(directory, "bundle.js")).href);
const { tuneEngine } = await import(pathToFileURL(join(directory, "../eval/tune.js")).href);
tuneEngine();
process.stdout.write = () => true;
const entry = pathToFileURL(join(directory, "tvix.js"));

/** The cache is taken after a run, so that it holds the functions that a start needs. */
async function keepCode(name, run) {
  const file = join(directory, `${name}.cjs`);
  const cache = join(directory, `${name}.cache`);
  rmSync(cache, { force: true });
  const bundle = loadBundle(pathToFileURL(file));
  await run(bundle.evaluate());
  writeFileSync(cache, bundle.script.createCachedData());
}

await keepCode("program", async ({ runProgram }) => {
  for (const argv of [
    ["eval", "--no-cache", "-E", "1"],
    ["store", "--help"],
    ["hash", "--flat", join(directory, "program.cjs")],
  ]) {
    await runProgram(argv, entry);
  }
});
await keepCode("replay", async ({ replay }) => {
  await replay(["eval", "-E", "1"], entry);
});
process.exitCode = 0;
