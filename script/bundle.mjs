// Joins the compiled command line into dist/cli/program.cjs and keeps V8's code cache for it: see lib/cli/bundle.ts.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const file = join(root, "dist/cli/program.cjs");
const cache = join(root, "dist/cli/program.cache");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

await build({
  entryPoints: [join(root, "dist/cli/program.js")],
  outfile: file,
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
  logLevel: "warning",
});

// The cache is taken after a run, so that it holds the functions that a start needs.
const { loadBundle, tune } = await import(pathToFileURL(join(root, "dist/cli/bundle.js")).href);
tune();
rmSync(cache, { force: true });
const bundle = loadBundle(pathToFileURL(file));
process.stdout.write = () => true;
for (const argv of [
  ["eval", "--no-cache", "-E", "1"],
  ["store", "--help"],
  ["hash", "--flat", file],
]) {
  await bundle.evaluate().runProgram(argv, pathToFileURL(join(root, "dist/cli/tvix.js")));
}
process.exitCode = 0;
writeFileSync(cache, bundle.script.createCachedData());
