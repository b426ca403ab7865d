// Downloads from a server that misbehaves on request, and the cache in front of it.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bytesToLatin1 } from "../../../lib/base/text.ts";
import { readBlob } from "../../../lib/castore/blob/range.ts";
import { FetchCache } from "../../../lib/nix/fetch/cache.ts";
import { downloadFile, downloadTarball } from "../../../lib/nix/fetch/download.ts";
import { download, type DownloadOptions } from "../../../lib/nix/fetch/http.ts";
import { parseNetrc } from "../../../lib/nix/fetch/netrc.ts";
import { codeOfAsync } from "../../formats/codes.ts";
import { scratch } from "../../store/fixture.ts";
import { tarball } from "./fixture.ts";

const { base, fresh } = scratch("http");
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let handler: Handler = () => {};
let seen: IncomingMessage[] = [];
let origin = "";
const server = createServer((request, response) => {
  seen.push(request);
  handler(request, response);
});

beforeAll(async () => {
  process.env["NETRC"] = join(base, "netrc");
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  seen = [];
});
afterAll(() => {
  delete process.env["NETRC"];
  server.closeAllConnections();
  server.close();
});

async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  let out = "";
  for await (const piece of body) out += bytesToLatin1(piece);
  return out;
}

const get = (path: string, options: DownloadOptions = {}) =>
  download(path.includes(":") ? path : origin + path, { pause: 1, ...options }, ({ body }) => text(body));

describe("download", () => {
  test("follows redirections, and says where it ended", async () => {
    handler = ({ url }, response) => {
      if (url === "/a") response.writeHead(302, { location: "/b" }).end();
      else if (url === "/b") response.writeHead(301, { location: `${origin}/c` }).end();
      else response.end("here");
    };
    const found = await download(`${origin}/a`, {}, async ({ body, url }) => [await text(body), url]);
    expect(found).toEqual(["here", `${origin}/c`]);
  });

  test.each([
    ["into the file system", "file:///etc/passwd"],
    ["to nowhere", "http://["],
  ])("refuses redirections %s", async (_, location) => {
    handler = (_request, response) => response.writeHead(302, { location }).end();
    expect(await codeOfAsync(() => get("/"))).toBe("ERR_FETCH_NETWORK");
  });

  test("ends circles of redirections", async () => {
    handler = (_request, response) => response.writeHead(302, { location: "/" }).end();
    expect(await codeOfAsync(() => get("/"))).toBe("ERR_FETCH_NETWORK");
    expect(seen.length).toBe(21);
  });

  test("asks again while the server is busy, or breaks off in the middle", async () => {
    handler = (_request, response) => {
      if (seen.length === 1) response.writeHead(503).end();
      else if (seen.length === 2)
        response.writeHead(200, { "content-length": "100" }).write("half", () => response.destroy());
      else if (seen.length === 3) response.destroy();
      else response.end("whole");
    };
    expect(await get("/")).toBe("whole");
    expect(seen.length).toBe(4);
  });

  test("gives up after a few attempts, and at once where asking again is no use", async () => {
    handler = (_request, response) => response.writeHead(500).end();
    expect(await codeOfAsync(() => get("/", { attempts: 3 }))).toBe("ERR_FETCH_STATUS");
    expect(seen.length).toBe(3);
    handler = (_request, response) => response.writeHead(404, "Nothing Here").end();
    await expect(get("/missing")).rejects.toMatchObject({
      code: "ERR_FETCH_STATUS",
      message: `unable to download '${origin}/missing': HTTP error 404`,
      notes: ["the server says: Nothing Here"],
    });
    expect(seen.length).toBe(4);
  });

  test("an error of whoever takes the bytes is not the network's: nothing is repeated", async () => {
    handler = (_request, response) => response.end("x");
    await expect(download(origin, { pause: 1 }, () => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
    expect(seen.length).toBe(1);
  });

  test("names what no server answers at", async () => {
    expect(await codeOfAsync(() => get("http://127.0.0.1:9/x", { attempts: 1 }))).toBe("ERR_FETCH_NETWORK");
    expect(await codeOfAsync(() => get("gopher://example.org/"))).toBe("ERR_FETCH_URL");
    expect(await codeOfAsync(() => get("no url: at all"))).toBe("ERR_FETCH_URL");
    expect(await codeOfAsync(() => get("file:///nowhere/at/all"))).toBe("ERR_FETCH_FILE");
    expect(await codeOfAsync(() => get(pathToFileURL(base).href))).toBe("ERR_FETCH_FILE");
  });

  test("gives credentials to the host that they are for, and to no other", async () => {
    writeFileSync(
      join(base, "netrc"),
      "machine example.org login a password b\nmachine 127.0.0.1 login me password secret\n",
    );
    handler = ({ url }, response) => {
      if (url === "/a") response.writeHead(302, { location: origin.replace("127.0.0.1", "localhost") }).end();
      else response.end("x");
    };
    await get("/a").catch(() => undefined);
    expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa("me:secret")}`);
    expect(seen[1]?.headers.authorization).toBeUndefined();
    seen = [];
    handler = (_request, response) => response.end("x");
    await get(origin.replace("//", "//user:p%40ss@"));
    expect(seen[0]?.headers.authorization).toBe(`Basic ${btoa("user:p@ss")}`);
  });
});

describe("netrc", () => {
  test.each([
    ["machine h login l password p", "l:p"],
    ["machine x login a password b\nmachine h\n  password p\n  login l\n", "l:p"],
    ["default login d password e", "d:e"],
    ["machine x login a password b\ndefault login d password e", "d:e"],
    ['machine h login l password "a \\" b"', 'l:a " b'],
    ["macdef init\nmachine h login no password no\n\nmachine h login l password p", "l:p"],
    ["machine x login a password b", undefined],
    ["machine h login l", undefined],
    ["", undefined],
  ])("%j", (file, found) => {
    expect(parseNetrc(file, "h")).toBe(found);
  });
});

describe("the cache", () => {
  const open = () => FetchCache.open(fresh());

  test("asks nobody while an answer is fresh, and then whether it still holds", async () => {
    const cache = await open();
    let contents = "one";
    handler = ({ headers }, response) => {
      const etag = `"${contents}"`;
      if (headers["if-none-match"] === etag) response.writeHead(304).end();
      else response.writeHead(200, { etag }).end(contents);
    };
    const url = `${origin}/file`;
    const fetchIt = async (ttl: number): Promise<string> => {
      const { tree } = await downloadFile(cache, { url, ttl });
      if (tree.root.type !== "file") throw new Error("no file");
      return bytesToLatin1(await readBlob(cache.store.blobs, tree.root.digest));
    };
    expect(await fetchIt(3600)).toBe("one");
    expect(await fetchIt(3600)).toBe("one");
    expect(seen.length).toBe(1);
    expect(await fetchIt(0)).toBe("one");
    expect(seen.length).toBe(2);
    contents = "two";
    expect(await fetchIt(3600)).toBe("one");
    expect(await fetchIt(0)).toBe("two");
    expect(seen.length).toBe(3);
    await cache.store.close();
  });

  test("keeps what an archive says of itself, and the server's immutable name for it", async () => {
    const cache = await open();
    const bytes = await tarball({ "top/a": "x" });
    handler = (_request, response) => {
      response.writeHead(200, { link: '</other>; rel="next", </a.tar?rev=1>; rel="immutable"' }).end(bytes);
    };
    for (const ttl of [0, 3600]) {
      const found = await downloadTarball(cache, { url: `${origin}/latest.tar`, ttl });
      expect(found).toMatchObject({ immutableUrl: `${origin}/a.tar?rev=1`, lastModified: 1_000_000_000 });
    }
    expect(seen.length).toBe(1);
    await cache.store.close();
  });

  test("a damaged note, or one whose tree is gone, counts as none", async () => {
    const directory = fresh();
    const cache = await FetchCache.open(directory);
    handler = (_request, response) => response.end("x");
    const request = { url: `${origin}/file`, ttl: 3600 };
    const key = { kind: "file", url: request.url };
    const { tree } = await downloadFile(cache, request);
    expect((await cache.get(key))?.tree).toEqual(tree);
    expect(await cache.withHash(tree.narSha256)).toMatchObject({ root: tree.root });
    expect(await cache.withHash(new Uint8Array(32))).toBeUndefined();
    await cache.put(key, { ...tree, narSha256: new Uint8Array(32) });
    expect(await cache.get(key)).toBeUndefined();
    await downloadFile(cache, request);
    expect(seen.length).toBe(2);
    await cache.store.close();
  });

  test("an archive that cannot be unpacked is an error that names it, and nothing is noted", async () => {
    const cache = await open();
    handler = (_request, response) => response.end("no archive");
    const request = { url: `${origin}/bad.tar`, ttl: 3600 };
    await expect(downloadTarball(cache, request)).rejects.toMatchObject({
      message: expect.stringContaining(`cannot unpack '${origin}/bad.tar'`) as string,
    });
    expect(await cache.get({ kind: "tarball", url: request.url })).toBeUndefined();
    await cache.store.close();
  });
});
