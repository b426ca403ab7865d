// What the robustness tests run in processes of their own: node --import tsx child.ts COMMAND STORE ARGUMENTS…
//
//   import  STORE PATH…   imports each path under a root of its name, printing each store path as it is acknowledged
//   gc      STORE         collects until its standard input ends, printing each time
//   verify  STORE         prints a line of JSON for each damage found
//   fill    STORE SMALL LARGE   expects LARGE not to fit; then SMALL must still do
import { basename } from "node:path";
import { TvixError } from "../../lib/base/error.ts";
import { collectGarbage } from "../../lib/store/gc.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyStore } from "../../lib/store/verify.ts";

const [command = "", address = "", ...rest] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

async function importAll(store: Store): Promise<void> {
  for (const path of rest) {
    const info = await store.importPath(path, { root: basename(path) });
    say(info.path.basename);
  }
}

async function collectAgain(store: Store): Promise<void> {
  const state = { ended: false };
  process.stdin.resume();
  process.stdin.on("end", () => {
    state.ended = true;
  });
  while (!state.ended) {
    const { removedChunks } = await collectGarbage(store, { keepShare: 0.9 });
    say(`removed ${removedChunks}`);
    await new Promise((done) => {
      setTimeout(done, 5);
    });
  }
}

async function report(store: Store): Promise<void> {
  for (const damage of (await verifyStore(store)).damage) say(JSON.stringify(damage));
}

async function fill(store: Store): Promise<void> {
  const [small = "", large = ""] = rest;
  try {
    await store.importPath(large);
    say("fitted");
  } catch (error) {
    say(error instanceof TvixError ? error.code : String(error));
  }
  say((await store.importPath(small)).path.basename);
  await report(store);
}

try {
  const store = await openStore(address);
  say("open");
  const commands = new Map([
    ["import", importAll],
    ["gc", collectAgain],
    ["verify", report],
    ["fill", fill],
  ]);
  await commands.get(command)?.(store);
  await store.close();
} catch (error) {
  say(error instanceof TvixError ? error.code : String(error));
  process.exitCode = 1;
}
