// Row: a blob of 1 GiB read from our daemon over a unix socket, against a file piped into a bare HTTP/2 stream of Node.
import { type ChildProcess, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../lib/base/error.ts";
import type { Digest } from "../lib/castore/digest.ts";
import { openStore } from "../lib/store/open.ts";
import type { Store } from "../lib/store/store.ts";
import type { BenchRow } from "./row.ts";

const SIZE = 2 ** 30;
const PIECE = 1 << 20;
/** The same for both: without room on the way neither gets far. */
const WINDOW = 16 << 20;
const cli = join(import.meta.dirname, "../dist/cli/tvix.cjs");

/** What a plain server does: a file through a stream. */
const PEER = `
const http2 = require("node:http2");
const fs = require("node:fs");
const server = http2.createServer({ settings: { initialWindowSize: 1 << 20 } });
server.on("stream", (stream) => {
  stream.respond({ ":status": 200 });
  fs.createReadStream(process.argv[2], { highWaterMark: ${256 << 10} }).pipe(stream);
});
server.listen(process.argv[1], () => console.error("ready"));
`;

let scratch = "";
let client: Store | undefined;
let digest: Digest | undefined;
const children: ChildProcess[] = [];

async function startChild(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  await once(child.stderr, "data");
}

async function prepare(): Promise<void> {
  if (!existsSync(cli)) throw new TvixError("ERR_BENCH_USAGE", "nothing is compiled yet: npm run build");
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
  const store = await openStore(join(scratch, "store"));
  const writer = store.blobs.openWrite();
  const piece = new Uint8Array(PIECE);
  const file = openSync(join(scratch, "file"), "w");
  for (let at = 0; at < SIZE; at += PIECE) {
    await writer.write(randomFillSync(piece));
    writeSync(file, piece);
  }
  closeSync(file);
  digest = await writer.close();
  await store.close();
  await startChild([cli, "daemon", "--listen", join(scratch, "ours"), "--store", join(scratch, "store")]);
  await startChild(["-e", PEER, join(scratch, "peer"), join(scratch, "file")]);
  client = await openStore(`grpc+unix://${join(scratch, "ours")}`);
  // A pack is written around the page cache, a file into it: neither is to come from the disk.
  await ours();
  await peers();
}

async function ours(): Promise<number> {
  const start = performance.now();
  const reader = await client?.blobs.openRead(digest as Digest);
  let size = 0;
  for await (const piece of reader?.stream() ?? []) size += piece.length;
  return throughput(start, size);
}

async function peers(): Promise<number> {
  const start = performance.now();
  const session = connect("http://localhost", {
    createConnection: () => connectSocket(join(scratch, "peer")),
    settings: { initialWindowSize: 1 << 20 },
  });
  await once(session, "connect");
  session.setLocalWindowSize(WINDOW);
  const stream = session.request({ ":path": "/" });
  let size = 0;
  for await (const piece of stream) size += (piece as Uint8Array).length;
  session.close();
  return throughput(start, size);
}

function throughput(start: number, size: number): number {
  if (size !== SIZE) throw new TvixError("ERR_BENCH_COMMAND", `${size} bytes came instead of ${SIZE}`);
  return size / 1e6 / (performance.now() - start);
}

async function cleanup(): Promise<void> {
  await client?.close();
  for (const child of children.splice(0)) {
    child.kill();
    await once(child, "exit");
  }
  rmSync(scratch, { recursive: true, force: true });
}

export const rows: readonly BenchRow[] = [
  {
    name: "grpc-read",
    work: "1 GiB blob from the daemon over a unix socket",
    peer: "the file, plain HTTP/2 stream in Node",
    reach: 0.8,
    sense: "throughput",
    prepare,
    ours,
    peers,
    cleanup,
  },
];
