// Spans reach the SDK that a process has, with their errors; without one, work is just done.
import { type Span, trace, type Tracer, type TracerProvider } from "@opentelemetry/api";
import { afterEach, describe, expect, test } from "vitest";
import { injectSpan, inSpan } from "../../lib/base/trace.ts";

afterEach(() => trace.disable());

interface Recorded {
  readonly name: string;
  readonly attributes: object | undefined;
  error?: string;
  ended?: boolean;
}

/** As much of an SDK as it takes to see what is told to one. */
function record(): Recorded[] {
  const spans: Recorded[] = [];
  const startSpan = (name: string, options?: { attributes?: object }) => {
    const span: Recorded = { name, attributes: options?.attributes };
    spans.push(span);
    return {
      recordException: (error: Error) => {
        span.error = error.message;
      },
      setStatus: () => {},
      end: () => {
        span.ended = true;
      },
    } as unknown as Span;
  };
  const tracer = { startSpan } as unknown as Tracer;
  trace.setGlobalTracerProvider({ getTracer: () => tracer } satisfies TracerProvider);
  return spans;
}

describe("spans", () => {
  test("are told with what is known of them, ended, and with what went wrong", async () => {
    const spans = record();
    expect(await inSpan("good", { size: 3 }, async () => 7)).toBe(7);
    await expect(inSpan("bad", {}, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(spans).toEqual([
      { name: "good", attributes: { size: 3 }, ended: true },
      { name: "bad", attributes: {}, error: "broken", ended: true },
    ]);
  });

  test("need no SDK", async () => {
    expect(await inSpan("none", {}, async () => 7)).toBe(7);
    const headers = new Headers();
    injectSpan(headers);
    expect([...headers]).toEqual([]);
  });
});
