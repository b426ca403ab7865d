// Builds the fuse addon with node-gyp and puts it at build/fuse/fuse.node: `npm run build:fuse`. With `--prebuild` also
// at prebuilds/fuse/<platform>-<architecture>/fuse.node, for the package; beside the core's, since prebuildify and
// node-gyp-build know one addon for each folder.
//
// node-gyp wants a folder with Node's headers and build settings and would download one. Everything it needs is in the
// package node-api-headers, since the addon uses Node-API alone; so a folder is made of those and of two small files of
// settings. That works without a network, whether or not the machine has Node's own headers.
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const require = createRequire(import.meta.url);

const prebuild = process.argv.includes("--prebuild");
if (process.platform !== "linux") {
  console.error("the fuse addon is for Linux only");
  process.exit(prebuild ? 0 : 1);
}
const found = spawnSync("pkg-config", ["--modversion", "fuse3"], { encoding: "utf8" });
if (found.status !== 0) {
  console.error("libfuse3 or pkg-config is missing; on Debian: apt-get install libfuse3-dev pkg-config python3 make");
  process.exit(1);
}

const nodedir = join(root, "build/fuse/nodedir");
const include = join(nodedir, "include/node");
mkdirSync(include, { recursive: true });
cpSync(join(dirname(require.resolve("node-api-headers/package.json")), "include"), include, { recursive: true });
writeFileSync(join(include, "config.gypi"), JSON.stringify({ target_defaults: {}, variables: {} }));
const settings = { target_defaults: { default_configuration: "Release", configurations: { Release: {} } } };
writeFileSync(join(include, "common.gypi"), JSON.stringify(settings));

// `configure` and `build`, not `rebuild`, which would empty build/ and with it the core addon's.
// An npm that was told of a nodedir tells node-gyp, which would heed it besides --nodedir.
const { npm_config_nodedir: _, ...env } = process.env;
const gyp = join(dirname(require.resolve("node-gyp/package.json")), "bin/node-gyp.js");
for (const step of ["configure", "build"]) {
  const ran = spawnSync(process.execPath, [gyp, step, "--nodedir", nodedir, "--loglevel", "error"], {
    cwd: root,
    env,
    stdio: "inherit",
  });
  if (ran.status !== 0) process.exit(ran.status ?? 1);
}
// Renamed into place: a process that has the former one loaded keeps it.
const target = join(root, "build/fuse/fuse.node");
const fresh = `${target}.new`;
copyFileSync(join(root, "build/Release/fuse.node"), fresh);
if (existsSync(target)) rmSync(target);
renameSync(fresh, target);
if (prebuild) {
  const folder = join(root, `prebuilds/fuse/${process.platform}-${process.arch}`);
  mkdirSync(folder, { recursive: true });
  const packed = join(folder, "fuse.node");
  const stripped = spawnSync("strip", ["-o", packed, target], { stdio: "inherit" });
  if (stripped.status !== 0) process.exit(stripped.status ?? 1);
}
// prebuildify takes every addon in build/Release for the core's.
rmSync(join(root, "build/Release/fuse.node"));
