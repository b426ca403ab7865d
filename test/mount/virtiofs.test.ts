import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { openStore } from "../../lib/store/open.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { attempt, hasAddon, serve, sh } from "./fixture.ts";
import { compileFront } from "./front.ts";

const { base, fresh } = scratch("virtiofs");
const front = hasAddon ? await compileFront() : undefined;
if (front === undefined) console.warn("SKIPPED: no fuse addon, or no C++ compiler; no virtiofs export is tested");

/** Runs the front-end against a socket: what it printed, or the reason it failed for. */
async function drive(socket: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await sh('exec "$@"', front ?? "", socket, ...args);
  return status === 0 ? stdout : stderr;
}

async function makeStore(): Promise<{ directory: string; tree: string; name: string }> {
  const tree = makeTree(fresh());
  writeFileSync(join(tree, "huge"), pseudoRandomBytes(5_000_001, 9));
  mkdirSync(join(tree, "wide"));
  for (let i = 0; i < 1000; i++) writeFileSync(join(tree, "wide", `file-${i}`), `${i}`);
  const directory = fresh();
  const store = await openStore(directory);
  const { path } = await store.importPath(tree, { name: "tree" });
  await store.close();
  return { directory, tree, name: path.basename };
}

describe.runIf(front !== undefined)("a store exported by virtiofs", () => {
  test("is the tree that was imported, and asks JavaScript once for what is new", async () => {
    const { directory, tree, name } = await makeStore();
    const socket = fresh();
    const served = await serve({ store: directory, socket });
    const copies = [fresh(), fresh()];
    expect(await drive(socket, "copy", name, copies[0] ?? "")).toBe("");
    const before = await served.counts();
    expect(await drive(socket, "copy", name, copies[1] ?? "")).toBe("");
    const after = await served.counts();
    for (const copy of copies) {
      expect(await sh('diff -r --no-dereference "$1" "$2"', tree, copy)).toMatchObject({ status: 0, stdout: "" });
    }
    expect((await sh('cd "$1" && stat -c %A hello run', copies[0] ?? "")).stdout).toBe("-r--r--r--\n-r-xr-xr-x\n");
    expect(before.asked).toBeGreaterThan(0);
    expect(after.requests).toBeGreaterThan(before.requests + 1000);
    expect(after.asked).toBe(before.asked);
    // The guest forgot what it looked up, and the next guest began with nothing.
    expect(after.inodes).toBeLessThan(10);
    expect(served.log).toEqual([]);
  });

  test.each([false, true])("survives whatever a guest or a front-end does; root listed: %s", async (listRoot) => {
    const { directory, name } = await makeStore();
    const socket = fresh();
    const served = await serve({ store: directory, socket, listRoot });
    expect(await drive(socket, "attack")).toMatch(/^survived \d\d attacks\n$/);
    expect(served.log.join("\n")).toContain("a chain is longer than its queue, or a loop");
    const copy = fresh();
    expect(await drive(socket, "copy", name, copy)).toBe("");
    expect((await served.counts()).waiting).toBe(0);
  });

  test("survives a guest that writes its rings at random", async () => {
    const { directory, name } = await makeStore();
    const socket = fresh();
    const served = await serve({ store: directory, socket, listRoot: true });
    expect(await drive(socket, "storm", "3", "1")).toMatch(/^survived [1-9]\d* storms\n$/);
    const copy = fresh();
    expect(await drive(socket, "copy", name, copy)).toBe("");
    expect(await served.counts()).toMatchObject({ waiting: 0 });
  });

  test("bounds what a guest holds that forgets nothing", async () => {
    const { directory, name } = await makeStore();
    const socket = fresh();
    // The tree has a thousand files in one directory, more than the guest may hold.
    const served = await serve({ store: directory, socket, maxInodes: 500 });
    expect(await drive(socket, "hoard", `${name}/wide`)).toBe("held 497, refused 503, served again\n");
    expect((await served.counts()).inodes).toBeLessThan(10);
    expect(served.log).toEqual([]);
    // A guest that forgets may see all of it.
    expect(await drive(socket, "copy", name, fresh())).toBe("");
  });

  test("takes the socket of a dead process, and nothing else", async () => {
    const { directory, name } = await makeStore();
    const socket = fresh();
    const first = await serve({ store: directory, socket });
    expect((await attempt({ store: directory, socket })).failed).toBe("ERR_MOUNT_BUSY");
    first.child.kill("SIGKILL");
    await first.ended();
    expect(existsSync(socket)).toBe(true);
    const second = await attempt({ store: directory, socket });
    expect(second.failed).toBeUndefined();
    expect(await drive(socket, "copy", name, fresh())).toBe("");
    second.child.send("end");
    expect(await second.ended()).toBe(0);
    expect(existsSync(socket)).toBe(false);
    const file = fresh();
    writeFileSync(file, "");
    for (const bad of [file, join(base, "none", "socket"), join(base, "x".repeat(120))]) {
      expect((await attempt({ store: directory, socket: bad })).failed).toBe("ERR_MOUNT_SOCKET");
    }
    expect(existsSync(file)).toBe(true);
  });

  test("works from the command line, and removes its socket at the end", async () => {
    const { directory, name } = await makeStore();
    const socket = fresh();
    const args = ["--import", "tsx", "lib/cli/tvix-mount.ts", "--store", directory, "--virtiofs", socket];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    try {
      const [said] = (await once(child.stderr, "data")) as [Uint8Array];
      expect(String(said)).toContain(basename(socket));
      expect(await drive(socket, "copy", name, fresh())).toBe("");
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      expect(await ended).toEqual([0, null]);
      expect(existsSync(socket)).toBe(false);
    } finally {
      child.kill("SIGKILL");
    }
    const both = await sh('exec node --import tsx lib/cli/tvix-mount.ts --virtiofs "$1" "$2"', socket, base);
    expect(both.status).toBe(2);
  });
});

describe.runIf(front !== undefined)("trees of a slow service exported by virtiofs", () => {
  test("are the same trees", async () => {
    const tree = makeTree(fresh());
    writeFileSync(join(tree, "huge"), pseudoRandomBytes(3_000_001, 10));
    const socket = fresh();
    await serve({ slowTree: tree, socket });
    const copy = fresh();
    expect(await drive(socket, "copy", "tree", copy)).toBe("");
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, copy)).toMatchObject({ status: 0, stdout: "" });
  });

  test("may lose their guest in the middle of a request, and the next one is served", async () => {
    const tree = makeTree(fresh());
    const socket = fresh();
    const served = await serve({ slowTree: tree, socket });
    await served.ask("hang");
    const lost = spawn(front ?? "", [socket, "copy", "tree", fresh()], { stdio: "ignore" });
    while ((await served.counts()).waiting === 0) await sleep(10);
    const died = once(lost, "exit");
    lost.kill("SIGKILL");
    await died;
    await served.ask("recover");
    const copy = fresh();
    expect(await drive(socket, "copy", "tree", copy)).toBe("");
    expect(await sh('diff -r --no-dereference "$1" "$2"', tree, copy)).toMatchObject({ status: 0, stdout: "" });
  });

  test("end although a request waits", async () => {
    const tree = makeTree(fresh());
    const socket = fresh();
    const served = await serve({ slowTree: tree, socket });
    await served.ask("hang");
    const waiting = spawn(front ?? "", [socket, "copy", "tree", fresh()], { stdio: "ignore" });
    const gaveUp = once(waiting, "exit");
    while ((await served.counts()).waiting === 0) await sleep(10);
    served.child.send("end");
    expect(await served.ended()).toBe(0);
    expect(existsSync(socket)).toBe(false);
    expect(await gaveUp).toEqual([1, null]);
  });
});
