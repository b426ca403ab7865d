// Spans of calls: those of the server are below those of the client, whose context crosses in the headers.
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../lib/castore/digest.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { type Pair, startPair } from "./peers.ts";

interface Recorded {
  readonly name: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly attributes: object;
  error?: string;
  ended: boolean;
}

/** What an SDK registers: a tracer, a context that follows promises, and headers that carry it. */
const spans: Recorded[] = [];
const current = new AsyncLocalStorage<Context>();
const manager: ContextManager = {
  active: () => current.getStore() ?? ROOT_CONTEXT,
  with: (inner, work, self, ...args) => current.run(inner, () => work.apply(self as never, args)),
  bind: (_inner, target) => target,
  enable: () => manager,
  disable: () => manager,
};
const tracer = {
  startSpan: (name: string, options: { attributes: object }, within: Context) => {
    const id = String(spans.length + 1).padStart(16, "0");
    const parent = trace.getSpanContext(within)?.spanId;
    const recorded: Recorded = { name, id, parent, attributes: options.attributes, ended: false };
    spans.push(recorded);
    return {
      spanContext: () => ({ traceId: "1".repeat(32), spanId: id, traceFlags: 1 }),
      recordException: (error: Error) => {
        recorded.error = error.message;
      },
      setStatus: () => {},
      end: () => {
        recorded.ended = true;
      },
    } as unknown as Span;
  },
} as unknown as Tracer;

let pair: Pair;
beforeAll(async () => {
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  context.setGlobalContextManager(manager);
  propagation.setGlobalPropagator({
    inject: (from, carrier, setter) => setter.set(carrier, "traceparent", trace.getSpanContext(from)?.spanId ?? ""),
    extract: (into, carrier, getter) => {
      const spanId = String(getter.get(carrier, "traceparent") ?? "");
      if (spanId === "") return into;
      return trace.setSpanContext(into, { traceId: "1".repeat(32), spanId, traceFlags: 1, isRemote: true });
    },
    fields: () => ["traceparent"],
  });
  pair = await startPair();
});
afterAll(async () => {
  await pair.close();
  trace.disable();
  context.disable();
  propagation.disable();
});

/** The server's spans below a client's, by name. */
const below = (name: string): Recorded[] => {
  const ours = spans.filter((span) => span.name === name).map(({ id }) => id);
  return spans.filter(({ parent }) => parent !== undefined && ours.includes(parent));
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
  expect(spans.filter(({ ended }) => !ended)).toEqual([]);
});

test("what goes wrong is in both", async () => {
  spans.length = 0;
  const absent = digestOf(new Uint8Array(5));
  expect(await pair.client.blobs.chunks(absent)).toBeUndefined();
  const [server] = below("call BlobService.Stat");
  expect(server?.error).toContain("is not in the store");
  expect(spans.find(({ name }) => name === "call BlobService.Stat")?.error).toContain("is not in the store");
});
