// A binary cache of files that the tests hold in their hands: served from memory, counted, and changed at will.
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, relative } from "node:path";
import { afterAll } from "vitest";

/** What is at a path: bytes, or a function that answers as it likes. */
export type Answer = string | Uint8Array | ((request: IncomingMessage, response: ServerResponse) => void);

/** A running cache. */
export interface CacheServer {
  /** `http://127.0.0.1:PORT/` */
  readonly url: string;
  /** By path, `nar/…`; changes count from the next request on. */
  readonly files: Map<string, Answer>;
  /** `GET nar/…`, in the order they came. */
  readonly requests: string[];
}

/** The caches that C++ Nix wrote, one for each compression; each has the three paths below. */
export const CACHES: string = join(import.meta.dirname, "../data/store/caches");
export const APP = "frir97h310w0dm2bl6yg9nfiy5znm8x5-app";
export const TEXT = "56mfpdwyfr29n11k074i9w8c8y6d6v2i-text";
export const LIB = "w3zvg3i28nb50vlvyhfpp8rzkqym97vw-lib";
export const PUBLIC_KEY: string = readFileSync(join(CACHES, "public-key"), "utf8").trim();

/** The files of one of those caches. */
export function cacheFiles(compression: string): Map<string, Answer> {
  const root = join(CACHES, compression);
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((file) => {
      const path = join(file.parentPath, file.name);
      return [relative(root, path), new Uint8Array(readFileSync(path))];
    }),
  );
}

/** Serves files until the tests of the calling file end. */
export async function serveFiles(files: Map<string, Answer>): Promise<CacheServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = (request.url ?? "").slice(1);
    requests.push(`${request.method} ${path}`);
    const answer = files.get(path);
    if (answer === undefined) response.writeHead(404).end("not here");
    else if (typeof answer === "function") answer(request, response);
    else response.writeHead(200, { "content-length": answer.length }).end(answer);
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, files, requests };
}
