// Spans of calls: those of the server are below those of the client, whose context crosses in the headers.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { context, propagation, trace } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../lib/castore/digest.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { PROGRAM } from "../cli/tvix.ts";
import { freshPath, type Pair, startPair } from "./peers.ts";

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

let pair: Pair;
beforeAll(async () => {
  provider.register();
  pair = await startPair();
});
afterAll(async () => {
  await pair.close();
  await provider.shutdown();
  trace.disable();
  context.disable();
  propagation.disable();
});

const named = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);

/** The server's spans below a client's, by the client's name. */
const below = (name: string): ReadableSpan[] => {
  const ours = new Set(named(name).map((span) => span.spanContext().spanId));
  return exporter.getFinishedSpans().filter(({ parentSpanContext: parent }) => parent && ours.has(parent.spanId));
};

test("a call, a stream and a download are each a span here and one below it over there", async () => {
  const bytes = pseudoRandomBytes(2_000_000, 1);
  const digest = digestOf(bytes);
  await pair.client.blobs.put([bytes]);
  const reader = await pair.client.blobs.openRead(digest);
  for await (const piece of reader?.stream() ?? []) expect(piece.length).toBeGreaterThan(0);
  for await (const info of pair.client.list()) expect(info).toBeDefined();
  expect(below("call PutBlobs").map(({ name }) => name)).toEqual(["tvix.transfer.v1.TransferService/PutBlobs"]);
  const stat = below("call BlobService.Stat");
  expect(stat.map(({ name }) => name)).toContain("snix.castore.v1.BlobService/Stat");
  const read = below("call BlobService.Read");
  expect(read.map(({ name }) => name)).toContain("snix.castore.v1.BlobService/Read");
  expect(read[0]?.attributes).toEqual({ "rpc.system": "grpc", "rpc.method": "snix.castore.v1.BlobService/Read" });
  expect(below("call PathInfoService.List").map(({ name }) => name)).toEqual(["snix.store.v1.PathInfoService/List"]);
  for (const span of read) expect(span.parentSpanContext?.isRemote).toBe(true);
});

test("what goes wrong is in both", async () => {
  exporter.reset();
  const absent = digestOf(new Uint8Array(5));
  expect(await pair.client.blobs.chunks(absent)).toBeUndefined();
  for (const span of [...named("call BlobService.Stat"), ...below("call BlobService.Stat")]) {
    expect(span.status.message).toContain("is not in the store");
    expect(span.events[0]?.attributes?.["exception.message"]).toContain("is not in the store");
  }
  expect(below("call BlobService.Stat")).toHaveLength(1);
});

test("programs tell the SDK that Node was told to load, across processes", async () => {
  const file = freshPath("spans");
  const socket = freshPath("daemon");
  writeFileSync(file, "");
  const run = (args: readonly string[]) =>
    spawn(process.execPath, ["--import", join(import.meta.dirname, "otel.mjs"), PROGRAM, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, SPANS_FILE: file },
    });
  const daemon = run(["daemon", "--listen", socket, "--store", "memory:"]);
  await once(daemon.stderr, "data");
  const client = run(["store", "import", import.meta.filename, "--store", `grpc+unix://${socket}`]);
  client.stderr.resume();
  expect(await once(client, "exit")).toEqual([0, null]);
  daemon.kill("SIGTERM");
  expect(await once(daemon, "exit")).toEqual([0, null]);

  const spans = readFileSync(file, "utf8").trimEnd().split("\n");
  const parsed = spans.map((line) => JSON.parse(line) as { name: string; spanId: string; parent?: string });
  const calls = parsed.filter(({ name }) => name === "call PathInfoService.Put");
  expect(calls).toHaveLength(1);
  const [put] = parsed.filter(({ parent }) => parent === calls[0]?.spanId);
  expect(put?.name).toBe("snix.store.v1.PathInfoService/Put");
});
