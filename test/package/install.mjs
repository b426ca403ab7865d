// Packs the package, installs it into an empty folder without running scripts, and uses it as a stranger would.
//
// Checked: every subpath export imports, the addons load from their prebuilt binaries and work, the commands run,
// the types resolve under strict rules (attw), and without a fitting binary or libfuse3 the error says what to do.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

  // An export of an empty tree takes the addon of mounts, and nothing of the machine but libfuse3.
  const addon = join(folder, `node_modules/tvix/prebuilds/fuse/${process.platform}-${process.arch}/fuse.node`);
  if (existsSync(addon)) {
    writeFileSync(
      join(folder, "export.mjs"),
      `import { exportVirtiofs } from "tvix/mount";
       const castore = { blobs: {}, directories: {} };
       try {
         await (await exportVirtiofs({ castore, roots: [], socket: "socket" })).close();
         console.log("exported");
       } catch (error) {
         console.log(error.code, ...error.notes);
       }`,
    );
    const attempt = () => must(process.execPath, ["export.mjs"], { cwd: folder });
    assert.equal(attempt(), "exported\n");
    // As where libfuse3 is not installed; and where nothing was built at all.
    writeFileSync(addon, readFileSync(addon, "latin1").replaceAll("libfuse3.so.3", "libnone3.so.3"), "latin1");
    assert.match(attempt(), /^ERR_MOUNT_NATIVE .*libnone3\.so\.3: cannot open shared.*apt-get install fuse3/);
    rmSync(addon);
    assert.match(attempt(), /^ERR_MOUNT_NATIVE .*npm run build:fuse/);
  }

  rmSync(join(folder, "node_modules/tvix/prebuilds"), { recursive: true });
  const without = run(tvix, ["hash", "empty"], { cwd: folder });
  assert.equal(without.status, 1);
  assert.match(without.stderr, /ERR_NATIVE_MISSING/);
  assert.match(without.stderr, /npm run build:native/);
  console.log(`installed ${tarball.split("/").at(-1)}, imported ${subpaths.length} subpaths`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
