// What the row `million` runs in a process of its own: node million.mjs fill|use STORE.
//
// `fill` stores a million small blobs; `use` opens the store, asks for 10 000 of them and collects them all. Both print
// a line of JSON: seconds of that work, and the most memory the process ever held, in bytes.
import { readFileSync } from "node:fs";
import { digestOf } from "../lib/castore/digest.ts";
import { collectGarbage } from "../lib/store/gc.ts";
import { openStore } from "../lib/store/open.ts";

const MILLION = 1_000_000;
const [phase, directory = ""] = process.argv.slice(2);
const blobAt = (i: number): Uint8Array => new TextEncoder().encode(`blob number ${i}`);

const opening = performance.now();
const store = await openStore(directory);
const opened = (performance.now() - opening) / 1000;
const start = performance.now();
if (phase === "fill") {
  for (let at = 0; at < MILLION; at += 10_000) {
    await store.blobs.put(Array.from({ length: 10_000 }, (_, i) => blobAt(at + i)));
  }
} else {
  const known = await store.blobs.has(Array.from({ length: 10_000 }, (_, i) => digestOf(blobAt(i * 100))));
  if (known.some((is) => !is)) throw new Error("a blob is missing");
  const { removedChunks } = await collectGarbage(store);
  if (removedChunks !== MILLION) throw new Error(`${removedChunks} chunks were collected`);
}
const seconds = (performance.now() - start) / 1000;
await store.close();
// Not `maxRSS`, which starts at what the parent had.
const rss = Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
console.log(JSON.stringify({ opened, seconds, rss }));
