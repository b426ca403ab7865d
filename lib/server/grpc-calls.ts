// What happens around every gRPC call: a place among those under way, a span, a report, errors turned into statuses.
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { TvixError } from "../base/error.ts";
import type { Limit } from "../base/limit.ts";
import { openSpan } from "../base/trace.ts";

/** What became of a call. */
export interface CallReport {
  /** `package.Service/Method`. */
  readonly method: string;
  /** `ok`, or the name of the gRPC status. */
  readonly status: string;
  /** Time until its last message, waiting included. */
  readonly milliseconds: number;
  /** What was thrown, unless it is the client's fault or wish. */
  readonly error?: unknown;
}

/** A call under way. */
export interface Call {
  /** Waits for a place and runs `work` inside the call's span. */
  readonly run: <T>(signal: AbortSignal, work: () => Promise<T>) => Promise<T>;
  /** Runs more of the call inside its span. */
  readonly within: <T>(work: () => T) => T;
  /** Ends the call, with the status that it failed with if it did. */
  readonly end: (failure?: ConnectError) => void;
}

/** Statuses that tell of the server's trouble rather than the client's. */
const OURS: ReadonlySet<Code> = new Set([Code.Unknown, Code.Internal, Code.DataLoss, Code.Unavailable]);

/** All calls of a server; at most as many run at once as `limit` lets in. */
export class Calls {
  readonly #limit: Limit;
  readonly #onCall: (report: CallReport) => void;

  constructor(limit: Limit, onCall: (report: CallReport) => void) {
    this.#limit = limit;
    this.#onCall = onCall;
  }

  /** Begins a call; `headers` may name the span of the client. */
  begin(method: string, headers: Headers): Call {
    const started = performance.now();
    const span = openSpan(method, { "rpc.system": "grpc", "rpc.method": method }, headers);
    let leave = (): void => {};
    return {
      run: async (signal, work) => {
        leave = await this.#limit.enter(signal);
        return await span.within(work);
      },
      within: span.within,
      end: (failure) => {
        leave();
        span.end(failure);
        const status = failure === undefined ? "ok" : Code[failure.code].toLowerCase();
        const ours = failure !== undefined && OURS.has(failure.code);
        const milliseconds = Math.round(performance.now() - started);
        this.#onCall({ method, status, milliseconds, ...(ours ? { error: failure.cause ?? failure } : {}) });
      },
    };
  }

  /** The same around the calls that connect handles. */
  interceptor(): Interceptor {
    return (next) => async (request) => {
      const call = this.begin(`${request.service.typeName}/${request.method.name}`, request.header);
      try {
        const response = await call.run(request.signal, () => next(request));
        if (response.stream) return { ...response, message: ended(response.message, call) };
        call.end();
        return response;
      } catch (error) {
        const status = statusOf(error);
        call.end(status);
        throw status;
      }
    };
  }
}

/** The messages of an answer; the call ends when they end, however they end. */
async function* ended<T>(messages: AsyncIterable<T>, call: Call): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let failure: ConnectError | undefined = new ConnectError("the client went away", Code.Canceled);
  try {
    for (;;) {
      const { done, value } = await call.within(() => iterator.next());
      if (done === true) break;
      yield value;
    }
    failure = undefined;
  } catch (error) {
    failure = statusOf(error);
    throw failure;
  } finally {
    if (failure !== undefined) await iterator.return?.();
    call.end(failure);
  }
}

/** Our codes that have a status of their own; all others are INTERNAL. */
const STATUSES: readonly (readonly [RegExp, Code])[] = [
  [/^ERR_BUSY$|^ERR_STORE_FULL$|^ERR_OBJECT_BUSY$/, Code.ResourceExhausted],
  [/^ERR_CASTORE_MISSING$|^ERR_STORE_NO_PATH$/, Code.NotFound],
  [/^ERR_CASTORE_CORRUPT$|^ERR_ZSTD/, Code.DataLoss],
  [/^ERR_STORE_READONLY$|^ERR_PACK_READONLY$/, Code.PermissionDenied],
  [/^ERR_CASTORE_CLOSURE_EMPTY$|^ERR_CASTORE_DIGEST$|^ERR_PATH_INFO/, Code.InvalidArgument],
  [/^ERR_REMOTE_UNAVAILABLE$|^ERR_OBJECT_UNAVAILABLE$/, Code.Unavailable],
  [/^ERR_STORE_COLLECTED$/, Code.Aborted],
];

/** An error as a status. The client reads the message; what is not ours to tell stays here. */
export function statusOf(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof TvixError) {
    const code = STATUSES.find(([pattern]) => pattern.test(error.code))?.[1] ?? Code.Internal;
    return new ConnectError(`${error.message} [${error.code}]`, code, undefined, undefined, error);
  }
  // An awaited event tells of an abort in words of its own.
  if (error instanceof Error && error.name === "AbortError" && error.cause) return statusOf(error.cause);
  return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
}
