// Spans: what takes how long, told to whatever OpenTelemetry SDK the process has; without one this costs next to nothing.
//
// Nothing here exports anything. A process that wants its spans somewhere registers an SDK before it starts, for
// instance with `node --import ./otel.mjs`.
import { type Context, context, propagation, type Span, SpanStatusCode, trace } from "@opentelemetry/api";

/** What is known about a span when it begins. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** A span that is ended by hand: for work that is not one function call. */
export interface OpenSpan {
  /** Runs `work` with this span as the parent of those that it begins. */
  readonly within: <T>(work: () => T) => T;
  /** Ends the span, with the error that ended the work if one did. */
  readonly end: (error?: unknown) => void;
}

/** Begins a span; `headers` are those of a request that may name a parent in another process. */
export function openSpan(name: string, attributes: SpanAttributes, headers?: Headers): OpenSpan {
  const parent = headers ? propagation.extract(context.active(), headers, fromHeaders) : context.active();
  const span = trace.getTracer("tvix").startSpan(name, { attributes }, parent);
  const inside: Context = trace.setSpan(parent, span);
  return {
    within: (work) => context.with(inside, work),
    end: (error) => endSpan(span, error),
  };
}

/** A span around `work`. */
export async function inSpan<T>(name: string, attributes: SpanAttributes, work: () => Promise<T>): Promise<T> {
  const span = openSpan(name, attributes);
  try {
    const result = await span.within(work);
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Writes the span under way into the headers of a request, so that what another process does becomes part of it. */
export function injectSpan(headers: Headers): void {
  propagation.inject(context.active(), headers, { set: (carrier, key, value) => carrier.set(key, value) });
}

function endSpan(span: Span, error: unknown): void {
  if (error !== undefined) {
    const thrown = error instanceof Error ? error : new Error("something that is no error was thrown");
    span.recordException(thrown);
    span.setStatus({ code: SpanStatusCode.ERROR, message: thrown.message });
  }
  span.end();
}

const fromHeaders = {
  get: (carrier: Headers, key: string): string | undefined => carrier.get(key) ?? undefined,
  keys: (carrier: Headers): string[] => [...carrier.keys()],
};
