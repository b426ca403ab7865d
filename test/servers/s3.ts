// A bucket in memory behind the few S3 requests that the store makes: for faults that no real gateway shows on demand.
// Signatures are not checked; what is real about S3 is tested on a real gateway (test/servers/radosgw).
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a test makes of a request: an answer instead of the usual one, or nothing. */
export type Fault = (request: {
  readonly method: string;
  readonly key: string;
}) =>
  | { readonly status: number; readonly code?: string; readonly headers?: Record<string, string> }
  | "drop"
  | undefined;

/** The server under test's control. */
export interface FakeBucket {
  readonly address: string;
  readonly objects: Map<string, Buffer>;
  /** Requests so far, as `METHOD key`. */
  readonly requests: string[];
  fault: Fault | undefined;
  /** Whether every page of a listing is the first one again. */
  forgetful: boolean;
  readonly close: () => Promise<void>;
}

/** Starts one on a free port of an address of this machine. */
export async function startBucket(host = "127.0.0.1"): Promise<FakeBucket> {
  const objects = new Map<string, Buffer>();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://bucket");
    const key = decodeURIComponent(url.pathname).replace(/^\/bucket\/?/, "");
    const method = request.method ?? "";
    requests.push(`${method} ${key === "" ? "LIST" : key}`);
    const body: Buffer[] = [];
    for await (const piece of request) body.push(piece as Buffer);
    const fault = bucket.fault?.({ method, key });
    if (fault === "drop") return void request.socket.destroy();
    if (fault) return fail(response, fault.status, fault.code ?? "Fault", fault.headers);
    const value = objects.get(key);
    if (method === "GET" && key === "") return list(response, url.searchParams);
    if (method === "PUT") {
      if (value !== undefined && request.headers["if-none-match"] === "*") {
        return fail(response, 412, "PreconditionFailed");
      }
      objects.set(key, Buffer.concat(body));
      return void response.writeHead(200, { etag: '"x"' }).end();
    }
    if (value === undefined) return fail(response, 404, "NoSuchKey");
    response.writeHead(200, { "content-length": value.length, etag: '"x"' });
    response.end(method === "HEAD" ? undefined : value);
  };
  const list = (response: ServerResponse, query: URLSearchParams): void => {
    const token = bucket.forgetful ? null : query.get("continuation-token");
    const after = token ?? query.get("start-after") ?? "";
    const keys = [...objects.keys()].filter((key) => key.startsWith(query.get("prefix") ?? "") && key > after).sort();
    const page = keys.slice(0, 1000);
    const more = keys.length > page.length;
    const contents = page.map((key) => `<Contents><Key>${key}</Key></Contents>`).join("");
    const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : "";
    response.writeHead(200, { "content-type": "application/xml" });
    response.end(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents}</ListBucketResult>`);
  };
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const bucket: FakeBucket = {
    address: `s3://bucket/base?endpoint=http://${host}:${port}`,
    objects,
    requests,
    fault: undefined,
    forgetful: false,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return bucket;
}

function fail(response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/xml", ...headers });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} it is</Message></Error>`);
}
