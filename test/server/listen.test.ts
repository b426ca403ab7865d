// Where servers listen: the forms of addresses, sockets left behind, systemd's descriptors, stopping.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { listen, parseListen, systemdSockets } from "../../lib/server/listen.ts";

const scratch = mkdtempSync(join(tmpdir(), "tvix-listen-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const echo = (): Server => createServer((socket) => socket.pipe(socket));

describe("addresses", () => {
  test.each([
    ["127.0.0.1:80", { kind: "tcp", host: "127.0.0.1", port: 80 }],
    ["[::1]:8000", { kind: "tcp", host: "::1", port: 8000 }],
    [":8000", { kind: "tcp", host: undefined, port: 8000 }],
    ["localhost:0", { kind: "tcp", host: "localhost", port: 0 }],
    ["/run/x.sock", { kind: "unix", path: "/run/x.sock" }],
    ["unix:/run/x.sock", { kind: "unix", path: "/run/x.sock" }],
    ["systemd", { kind: "systemd", name: undefined }],
    ["systemd:api", { kind: "systemd", name: "api" }],
  ])("%s", (text, address) => expect(parseListen(text)).toEqual(address));

  test.each(["", "8000", "a:b", "::1:80", "host:70000", "unix:", "http://x:1"])("not %j", (text) => {
    expect(() => parseListen(text)).toThrow(expect.objectContaining({ code: "ERR_LISTEN_ADDRESS" }));
  });
});

describe("listening", () => {
  test("on TCP and a unix socket at once; the socket is gone afterwards", async () => {
    const path = join(scratch, "both.sock");
    const listening = await listen([parseListen("127.0.0.1:0"), parseListen(path)], echo);
    expect(listening.addresses[0]).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    expect(listening.addresses[1]).toBe(path);
    for (const target of [{ port: Number(listening.addresses[0]?.split(":")[1]) }, { path }]) {
      const socket = connect({ ...target } as { path: string });
      socket.write("hello");
      const [data] = (await once(socket, "data")) as [Buffer];
      expect(data.toString()).toBe("hello");
      socket.end();
    }
    await listening.close(5000);
    expect(existsSync(path)).toBe(false);
  });

  test("connections that do not end are cut after the grace", async () => {
    const path = join(scratch, "cut.sock");
    const listening = await listen([parseListen(path)], echo);
    const socket = connect(path);
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write("x");
    await once(socket, "data");
    const closed = once(socket, "close");
    await listening.close(10);
    await closed;
  });

  test("replaces a socket left behind, and nothing else", async () => {
    const stale = join(scratch, "stale.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    expect(existsSync(stale)).toBe(true);
    const listening = await listen([parseListen(stale)], echo);
    await expect(listen([parseListen(stale)], echo)).rejects.toMatchObject({ code: "ERR_LISTEN" });
    await listening.close(0);
    const file = join(scratch, "file");
    writeFileSync(file, "mine");
    await expect(listen([parseListen(file)], echo)).rejects.toMatchObject({ code: "ERR_LISTEN" });
    expect(existsSync(file)).toBe(true);
  });

  test("one address that fails leaves none listening", async () => {
    const path = join(scratch, "one.sock");
    const taken = await listen([parseListen("127.0.0.1:0")], echo);
    const busy = parseListen(taken.addresses[0] as string);
    await expect(listen([parseListen(path), busy], echo)).rejects.toMatchObject({ code: "ERR_LISTEN" });
    expect(existsSync(path)).toBe(false);
    await taken.close(0);
  });
});

describe("systemd", () => {
  test("descriptors are this process's, and may be chosen by name", () => {
    const environment = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "api:web:api" };
    expect(systemdSockets(environment, 7)).toEqual([3, 4, 5]);
    expect(systemdSockets(environment, 7, "api")).toEqual([3, 5]);
    expect(systemdSockets(environment, 7, "none")).toEqual([]);
    expect(systemdSockets(environment, 8)).toEqual([]);
    expect(systemdSockets({ LISTEN_PID: "7" }, 7)).toEqual([]);
  });

  test("none passed is an error that says so", async () => {
    await expect(listen([parseListen("systemd")], echo)).rejects.toMatchObject({ code: "ERR_LISTEN_SYSTEMD" });
  });
});
