// Bundles bench/ and runs it: `npm run bench -- [NAME…] [--json] [--samples N] [--node PATH]`. A loader that compiles while the
// process runs would halve what some rows measure.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const folder = join(root, "build/bench");
await build({
  entryPoints: [join(root, "bench/main.ts"), join(root, "bench/million.ts")],
  outdir: folder,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  packages: "external",
  // Sources find the package's root by where they are.
  define: {
    "import.meta.dirname": JSON.stringify(join(root, "bench")),
    "import.meta.url": JSON.stringify(pathToFileURL(join(root, "dist/bench/main.js")).href),
  },
  logLevel: "warning",
});
const { status } = spawnSync(process.execPath, [join(folder, "main.mjs"), ...process.argv.slice(2)], {
  stdio: "inherit",
  cwd: root,
});
process.exitCode = status ?? 1;
