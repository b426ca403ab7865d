// The servers as programs: sockets that systemd passes, who may write to what, and the end on a signal.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { digestOf } from "../../lib/castore/digest.ts";
import { parseGrpcAddress } from "../../lib/castore/grpc/address.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { openGrpcStore } from "../../lib/store/grpc.ts";
import { openStore } from "../../lib/store/open.ts";
import { PROGRAM } from "../cli/tvix.ts";

const scratch = mkdtempSync(join(tmpdir(), "tvix-daemon-"));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
let count = 0;
const fresh = (): string => join(scratch, String(count++));

/** Starts a program of ours and waits until it says something. */
async function start(child: ChildProcess): Promise<{ child: ChildProcess; said: () => string }> {
  children.push(child);
  let text = "";
  child.stderr?.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  if (child.stderr) await once(child.stderr, "data");
  return { child, said: () => text };
}

/** Starts it as systemd does: with a listening socket as descriptor 3, called `api`. The port of that socket. */
async function activate(args: string): Promise<{ port: number; child: ChildProcess; said: () => string }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const command = `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=api exec '${process.execPath}' '${PROGRAM}' ${args}`;
  const child = spawn("sh", ["-c", command], { stdio: ["ignore", "ignore", "pipe", fd] });
  // The socket is the child's now: what came to it here would be lost.
  server.close();
  return { port, ...(await start(child)) };
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
}

describe("a socket that systemd passes", () => {
  test("is the daemon's", async () => {
    const { port, child } = await activate(`daemon --listen systemd:api --store ${fresh()}`);
    const client = await openStore(`grpc+http://127.0.0.1:${port}`);
    const [digest] = await client.blobs.put([pseudoRandomBytes(100_000, 1)]);
    expect(await client.blobs.has([digest as ReturnType<typeof digestOf>])).toEqual([true]);
    await client.close();
    await stop(child);
  });

  test("of another name is an error, and the daemon does not start", async () => {
    const { child, said } = await activate(`daemon --listen systemd:web --store ${fresh()}`);
    if (child.exitCode === null) await once(child, "exit");
    expect(child.exitCode).not.toBe(0);
    expect(said()).toContain("ERR_LISTEN_SYSTEMD");
  });

  test("is the cache's, which takes no uploads there without a token: nobody knows who can reach it", async () => {
    const { port, child } = await activate(`cache serve --listen systemd --store ${fresh()}`);
    const url = `http://127.0.0.1:${port}`;
    expect(await (await fetch(`${url}/nix-cache-info`)).text()).toContain("StoreDir: /nix/store");
    const put = (headers = {}) => fetch(`${url}/nar/short.nar`, { method: "PUT", body: "x", headers });
    expect((await put()).status).toBe(403);
    await stop(child);
    const tokens = fresh();
    writeFileSync(tokens, "secret\n");
    const second = await activate(`cache serve --listen systemd --store ${fresh()} --token-file ${tokens}`);
    const at = `http://127.0.0.1:${second.port}/nar/short.nar`;
    expect((await fetch(at, { method: "PUT", body: "x" })).status).toBe(401);
    const headers = { authorization: "Bearer secret" };
    expect((await fetch(at, { method: "PUT", body: "x", headers })).status).toBe(400);
    await stop(second.child);
  });
});

describe("the end on SIGTERM", () => {
  test("comes after the download that is under way, and before any new call", async () => {
    const directory = fresh();
    const large = pseudoRandomBytes(30_000_000, 5);
    const store = await openStore(directory);
    await store.blobs.put([large]);
    await store.close();
    const socket = fresh();
    const args = [PROGRAM, "daemon", "--listen", socket, "--store", directory];
    const { child } = await start(spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] }));
    const client = await openGrpcStore(parseGrpcAddress(`grpc+unix://${socket}`), undefined, { attempts: 1 });
    const reader = await client.blobs.openRead(digestOf(large));
    const exit = once(child, "exit");
    let size = 0;
    for await (const piece of reader?.stream() ?? []) {
      if (size === 0) child.kill("SIGTERM");
      size += piece.length;
    }
    expect(size).toBe(large.length);
    expect(await exit).toEqual([0, null]);
    await expect(client.blobs.has([digestOf(large)])).rejects.toMatchObject({ code: "ERR_REMOTE_UNAVAILABLE" });
    await client.close();
  });
});
