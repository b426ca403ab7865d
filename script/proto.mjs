// Turns the .proto files of the rooms into TypeScript: lib/ROOM/proto → lib/ROOM/gen. Needs no network.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = join(root, "node_modules/.bin");

for (const room of ["castore", "store", "server"]) {
  const gen = join(root, "lib", room, "gen");
  rmSync(gen, { recursive: true, force: true });
  const { status } = spawnSync(join(bin, "buf"), ["generate", `lib/${room}/proto`, "-o", gen], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
  if (status !== 0) process.exit(1);
}

// The generator puts all it makes into one folder; what store.v1 imports of castore.v1 is in the other room's.
const store = join(root, "lib/store/gen");
for (const file of readdirSync(store, { recursive: true }).filter((name) => name.endsWith(".ts"))) {
  const path = join(store, file);
  const [dialect] = file.split("/");
  const text = readFileSync(path, "utf8").replaceAll(
    '"../../castore/v1/',
    `"../../../../../castore/gen/${dialect}/castore/v1/`,
  );
  writeFileSync(path, text);
}
