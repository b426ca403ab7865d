// What happens around every gRPC call: a place among those under way, a span, a report, errors turned into statuses.
import { Code, ConnectError, type Interceptor, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { TvixError } from "../base/error.ts";
import { Limit } from "../base/limit.ts";
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

/** Statuses that tell of the server's trouble rather than the client's. */
const OURS: ReadonlySet<Code> = new Set([Code.Unknown, Code.Internal, Code.DataLoss, Code.Unavailable]);

/** Wraps all calls; at most as many run at once as `limit` lets in. */
export function callInterceptor(limit: Limit, onCall: (report: CallReport) => void): Interceptor {
  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`;
    const started = performance.now();
    const span = openSpan(method, { "rpc.system": "grpc", "rpc.method": method }, request.header);
    let leave = (): void => {};
    const end = (error?: unknown): void => {
      leave();
      span.end(error);
      const status = error === undefined ? "ok" : Code[(error as ConnectError).code].toLowerCase();
      const ours = error !== undefined && OURS.has((error as ConnectError).code);
      const milliseconds = Math.round(performance.now() - started);
      onCall({ method, status, milliseconds, ...(ours ? { error: (error as Error).cause ?? error } : {}) });
    };
    let response: UnaryResponse | StreamResponse;
    try {
      leave = await limit.enter(request.signal);
      response = await span.within(() => next(request));
    } catch (error) {
      const status = statusOf(error);
      end(status);
      throw status;
    }
    if (!response.stream) end();
    else response = { ...response, message: ended(response.message, span.within, end) };
    return response;
  };
}

/** The messages of an answer, with something done when they end, however they end. */
async function* ended<T>(
  messages: AsyncIterable<T>,
  within: <R>(work: () => R) => R,
  end: (error?: unknown) => void,
): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let failure: unknown = new ConnectError("the client went away", Code.Canceled);
  try {
    for (;;) {
      const { done, value } = await within(() => iterator.next());
      if (done === true) break;
      yield value;
    }
    failure = undefined;
  } catch (error) {
    failure = statusOf(error);
    throw failure;
  } finally {
    if (failure !== undefined) await iterator.return?.();
    end(failure);
  }
}

/** Our codes that have a status of their own; all others are INTERNAL. */
const STATUSES: readonly (readonly [RegExp, Code])[] = [
  [/^ERR_BUSY$|^ERR_STORE_FULL$/, Code.ResourceExhausted],
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
  return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
}
