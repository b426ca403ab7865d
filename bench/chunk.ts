// How fast chunk boundaries are found, against copying the same bytes in memory.
import { randomFillSync } from "node:crypto";
import { chunkLengths } from "../lib/native/chunk.ts";
import type { BenchRow } from "./row.ts";

const SIZE = 2 ** 28;

let bytes: Uint8Array = new Uint8Array(0);
let target: Uint8Array = new Uint8Array(0);

/** GB/s of going through {@link SIZE} bytes. */
function throughput(work: () => unknown): Promise<number> {
  const start = performance.now();
  work();
  return Promise.resolve(SIZE / 1e6 / (performance.now() - start));
}

export const rows: readonly BenchRow[] = [
  {
    name: "fastcdc",
    work: "chunk boundaries of 256 MiB of random bytes",
    peer: "memory copy of the same bytes",
    reach: 0.2,
    sense: "throughput",
    prepare: () => {
      bytes = new Uint8Array(SIZE);
      for (let at = 0; at < SIZE; at += 2 ** 24) randomFillSync(bytes, at, 2 ** 24);
      target = new Uint8Array(SIZE).fill(1);
      return Promise.resolve();
    },
    ours: () => throughput(() => chunkLengths(bytes)),
    peers: () => throughput(() => target.set(bytes)),
    cleanup: () => {
      bytes = new Uint8Array(0);
      target = new Uint8Array(0);
      return Promise.resolve();
    },
  },
];
