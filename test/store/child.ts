// What the robustness tests run in processes of their own: node --import tsx child.ts COMMAND STORE ARGUMENTS…
//
//   import  STORE PATH…   imports each path under a root of its name, printing each store path as it is acknowledged
//   gc      STORE         collects until its standard input ends, printing each time
//   verify  STORE         prints a line of JSON for each damage found
//   read    STORE         reads all that roots keep until its standard input ends, printing each time
//   churn   STORE PATH…   imports each path without a root, again and again until its standard input ends
//   fill    STORE SMALL LARGE   expects LARGE not to fit; then SMALL must still do
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { TvixError } from "../../lib/base/error.ts";
import { collectGarbage } from "../../lib/store/gc.ts";
import { openStore } from "../../lib/store/open.ts";
import { listRoots } from "../../lib/store/roots.ts";
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

/** Does something again and again until standard input ends. */
async function repeat(body: () => Promise<void>): Promise<void> {
  const state = { ended: false };
  process.stdin.resume();
  process.stdin.on("end", () => {
    state.ended = true;
  });
  while (!state.ended) {
    await body();
    await new Promise((done) => {
      setTimeout(done, 5);
    });
  }
}

async function collectAgain(store: Store): Promise<void> {
  await repeat(async () => {
    const { removedChunks } = await collectGarbage(store, { keepShare: 0.9 });
    say(`removed ${removedChunks}`);
  });
}

/** Path infos, NARs and files of all roots, each against the hash that the store gives it. */
async function readAgain(store: Store): Promise<void> {
  await repeat(async () => {
    for (const { path } of await listRoots(store)) {
      const info = await store.info(path);
      const hash = createHash("sha256");
      for await (const piece of store.nar(path.basename)) hash.update(piece);
      if (!hash.digest().equals(info.narSha256)) throw new Error(`${path.basename} was read wrong`);
      for await (const piece of store.cat(`${path.basename}/large`, true)) if (piece.length === 0) say("nothing");
    }
    say("read");
  });
}

/** Opens the store anew each time: a pack that a process goes on appending to is not collected. */
async function churn(): Promise<void> {
  await repeat(async () => {
    const store = await openStore(address);
    for (const path of rest) await store.importPath(path);
    await store.close();
    say("imported");
  });
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
    ["read", readAgain],
    ["churn", churn],
  ]);
  await commands.get(command)?.(store);
  await store.close();
} catch (error) {
  say(error instanceof TvixError ? error.code : String(error));
  // Its standard input may stay open for long.
  process.exit(1);
}
