// How fast the hashes are: BLAKE3 against b3sum, SHA-256 against OpenSSL, on the same bytes in the same run.
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blake3Async, blake3File } from "../lib/native/blake3.ts";
import { sha256 } from "../lib/native/sha256.ts";
import type { BenchRow } from "./row.ts";

const SIZE = 2 ** 30;

/** 1 GiB of random bytes, in memory and in a file that is in memory too; made once for all rows that use it. */
class Input {
  #users = 0;
  #folder = "";
  bytes: Uint8Array = new Uint8Array(0);

  get path(): string {
    return join(this.#folder, "random");
  }

  open(): void {
    if (this.#users++ > 0) return;
    this.bytes = new Uint8Array(SIZE);
    for (let at = 0; at < SIZE; at += 2 ** 24) randomFillSync(this.bytes, at, 2 ** 24);
    this.#folder = mkdtempSync(join(process.platform === "linux" ? "/dev/shm" : tmpdir(), "tvix-bench-"));
    writeFileSync(this.path, this.bytes);
  }

  close(): void {
    if (--this.#users > 0) return;
    rmSync(this.#folder, { recursive: true });
    this.bytes = new Uint8Array(0);
  }
}

const input = new Input();

/** GB/s of hashing {@link SIZE} bytes. */
async function throughput(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return SIZE / 1e6 / (performance.now() - start);
}

/** GB/s of b3sum, timed by a shell: forking this process, with a gigabyte in it, would count against the peer. */
function b3sum(threads: number): number {
  const script = `TIMEFORMAT=%3R; time b3sum --num-threads ${threads} "$0" >/dev/null`;
  const seconds = execFileSync("bash", ["-c", `{ ${script}; } 2>&1`, input.path], { encoding: "utf8" });
  return SIZE / 1e9 / Number(seconds);
}

function blake3Row(name: string, work: string, threads: number, ours: () => Promise<unknown>): BenchRow {
  return {
    name,
    work,
    peer: `b3sum --num-threads ${threads}`,
    reach: 1,
    sense: "throughput",
    prepare: async () => input.open(),
    ours: () => throughput(ours),
    peers: async () => b3sum(threads),
    cleanup: async () => input.close(),
  };
}

/** GB/s of SHA-256 over the same 16 KiB again and again for a second, as `openssl speed` does. */
async function sha256Speed(): Promise<number> {
  const block = new Uint8Array(16384);
  const start = performance.now();
  let blocks = 0;
  let elapsed = 0;
  for (; elapsed < 1000; elapsed = performance.now() - start) {
    for (let i = 0; i < 1000; i++) sha256(block);
    blocks += 1000;
  }
  return (blocks * block.length) / 1e6 / elapsed;
}

/** OpenSSL's own figure, which it prints in thousands of bytes a second. */
async function opensslSpeed(): Promise<number> {
  const arguments_ = ["speed", "-elapsed", "-bytes", "16384", "-seconds", "1", "sha256"];
  const output = execFileSync("openssl", arguments_, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const figure = /^sha256\s+([\d.]+)k/m.exec(output)?.[1];
  if (figure === undefined) throw new Error(`openssl speed printed no figure for sha256:\n${output}`);
  return Number(figure) / 1e6;
}

export const rows: BenchRow[] = [
  blake3Row("blake3-1", "BLAKE3, one thread, 1 GiB in memory", 1, () => blake3Async(input.bytes, { threads: 1 })),
  blake3Row("blake3-2", "BLAKE3, two threads, 1 GiB in memory", 2, () => blake3Async(input.bytes, { threads: 2 })),
  blake3Row("blake3-file-1", "BLAKE3, one thread, 1 GiB file", 1, () => blake3File(input.path, { threads: 1 })),
  blake3Row("blake3-file-2", "BLAKE3, two threads, 1 GiB file", 2, () => blake3File(input.path, { threads: 2 })),
  {
    name: "sha256",
    work: "SHA-256, 16 KiB",
    peer: "openssl speed sha256",
    reach: 0.95,
    sense: "throughput",
    ours: sha256Speed,
    peers: opensslSpeed,
  },
];
