// Mounts over remote stores: only what is touched is fetched, and the run says how much that was.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { serveGrpc } from "../../lib/server/grpc.ts";
import { parseListen } from "../../lib/server/listen.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { watchUse } from "../../lib/store/used.ts";
import { hindrance } from "../mount/fixture.ts";
import { startBucket } from "../servers/s3.ts";

process.env["AWS_ACCESS_KEY_ID"] ??= "AK";
process.env["AWS_SECRET_ACCESS_KEY"] ??= "SK";

const scratch = mkdtempSync(join(tmpdir(), "tvix-lazy-"));
const LARGE = 40_000_000;
const bytes = pseudoRandomBytes(LARGE, 3);
let store: Store;
let library: PathInfo;
let program: PathInfo;
let bucket: Awaited<ReturnType<typeof startBucket>>;
const places: Record<string, string> = {};
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  store = await openStore(join(scratch, "store"));
  const put = async (name: string, entries: Record<string, Uint8Array>, references: PathInfo[]): Promise<PathInfo> => {
    const root = await ingestTree(store.castore, { entries });
    const { digest, size } = await store.narDigest(root);
    const to = references.map(({ path }) => path);
    const path = sourcePath({
      name,
      narSha256: digest,
      references: to.map(({ basename }) => `/nix/store/${basename}`),
    });
    const parts = { path, root, references: to, narSha256: digest, narSize: size, signatures: [] };
    return await store.pathInfos.put(parts);
  };
  library = await put("library", { large: bytes, text: encodeUtf8("a text") }, []);
  program = await put("program", { main: encodeUtf8("the program"), more: pseudoRandomBytes(5_000_000, 4) }, [library]);
  const socket = join(scratch, "socket");
  const server = await serveGrpc(store, [parseListen(socket)]);
  closers.push(() => server.close(0));
  places["a daemon"] = `grpc+unix://${socket}`;
  bucket = await startBucket();
  closers.push(() => bucket.close());
  places["a bucket"] = bucket.address;
  const there = await openStore(bucket.address);
  await copyClosure(store, there, [program.path]);
  await there.close();
});
afterAll(async () => {
  for (const close of closers) await close();
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
});

describe.each(["a daemon", "a bucket"])("over %s", (kind) => {
  test("what is used is counted, and what is not is not fetched", async () => {
    const opened = await openStore(places[kind]);
    const watched = watchUse(opened);
    expect(await watched.store.readFile(`${program.path.basename}/main`)).toEqual(encodeUtf8("the program"));
    const { received, ...use } = await watched.use();
    expect(use).toEqual({ paths: 1, closure: 2, closureBytes: program.narSize + library.narSize });
    expect(received).toBeGreaterThan(100);
    expect(received).toBeLessThan(20_000);
    await opened.close();
  });

  test.skipIf(hindrance !== undefined)("a mount fetches what is touched, and says so", async () => {
    const mountpoint = join(scratch, kind.replace(" ", "-"));
    await mkdir(mountpoint);
    const args = ["--import", "tsx", "lib/cli/tvix-mount.ts", "--stats", "--store", places[kind] as string, mountpoint];
    const mount: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "pipe"] });
    let said = "";
    await new Promise<void>((done, failed) => {
      mount.once("exit", () => failed(new Error(said)));
      mount.stderr?.on("data", (text: Buffer) => {
        said += text.toString();
        if (said.includes("mounted on")) done();
      });
    });
    mount.removeAllListeners("exit");
    const gone = once(mount, "close");
    try {
      // By other threads and processes: this one serves the store.
      expect(await readFile(join(mountpoint, program.path.basename, "main"), "utf8")).toBe("the program");
      const large = join(mountpoint, library.path.basename, "large");
      const dd = ["if=" + large, "bs=1000", "skip=20000", "count=1", "status=none"];
      const { stdout } = await promisify(execFile)("dd", dd, { encoding: "buffer", timeout: 60_000 });
      expect(Buffer.compare(stdout, bytes.subarray(20_000_000, 20_001_000))).toBe(0);
    } finally {
      mount.kill("SIGTERM");
      await gone;
    }
    const [, received, closure, paths] = /fetched (\d+) of (\d+) bytes in the closure \((\d+) paths\)/.exec(said) ?? [];
    expect({ closure: Number(closure), paths: Number(paths) }).toEqual({
      closure: program.narSize + library.narSize,
      paths: 2,
    });
    // The kernel reads ahead, and chunks come whole; most of the forty-five megabytes stay where they are.
    expect(Number(received)).toBeGreaterThan(1000);
    expect(Number(received)).toBeLessThan(6_000_000);
  });
});

test("a store on this machine has nothing to count", () => expect(store.received).toBeUndefined());
