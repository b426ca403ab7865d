// Packs the package, installs it into an empty folder without running scripts, and uses it as a stranger would.
//
// Checked: every subpath export imports, the addon loads from its prebuilt binary and computes, the commands run,
// the types resolve under strict rules (attw), and without a fitting binary the error says how to build one.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const scratch = mkdtempSync(join(tmpdir(), "tvix-package-"));

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", cwd: scratch, maxBuffer: 1 << 26, ...options });
  return { status: result.status, stdout: result.stdout ?? "", stderr: result.stderr ?? "" };
}

function must(command, args, options) {
  const result = run(command, args, options);
  assert.equal(result.status, 0, `${command} ${args.join(" ")}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

try {
  const packed = must("npm", ["pack", "--pack-destination", scratch, "--silent"], { cwd: root });
  const tarball = join(scratch, packed.trim().split("\n").at(-1));
  const attw = run(join(root, "node_modules/.bin/attw"), [tarball, "--profile", "esm-only"]);
  assert.equal(attw.status, 0, attw.stdout + attw.stderr);

  const folder = join(scratch, "app");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "app", version: "1.0.0", type: "module" }));
  must("npm", ["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: folder });

  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const subpaths = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
  writeFileSync(
    join(folder, "imports.mjs"),
    subpaths
      .map((path) => `console.log(Object.keys(await import(${JSON.stringify(join("tvix", path))})).length);`)
      .join("\n"),
  );
  const counts = must(process.execPath, ["imports.mjs"], { cwd: folder }).trim().split("\n");
  assert.equal(counts.length, subpaths.length);
  for (const [i, count] of counts.entries()) assert.ok(Number(count) > 0, `${subpaths[i]} exports nothing`);

  // The NAR hash of an empty file, from the format itself: it takes the addon to compute it here.
  writeFileSync(join(folder, "empty"), "");
  const tvix = join(folder, "node_modules/.bin/tvix");
  const hash = must(tvix, ["hash", "--type", "sha256", "--format", "base16", "empty"], { cwd: folder }).trim();
  assert.equal(hash, "77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246");
  assert.equal(must(tvix, ["--version"]).trim(), manifest.version);

  rmSync(join(folder, "node_modules/tvix/prebuilds"), { recursive: true });
  const without = run(tvix, ["hash", "empty"], { cwd: folder });
  assert.equal(without.status, 1);
  assert.match(without.stderr, /ERR_NATIVE_MISSING/);
  assert.match(without.stderr, /npm run build:native/);
  console.log(`installed ${tarball.split("/").at(-1)}, imported ${subpaths.length} subpaths`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
