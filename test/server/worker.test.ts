// The worker protocol: stock Nix with our store as its own, and clients that say anything at all.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { fc } from "../property.ts";
import { afterAll, describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { collectBytes } from "../../lib/castore/blob/range.ts";
import { writeFramed } from "../../lib/formats/daemon/framed.ts";
import { greetServer } from "../../lib/formats/daemon/handshake.ts";
import { finishReply } from "../../lib/formats/daemon/log.ts";
import {
  OPERATIONS,
  type Operation,
  type Operations,
  type ReplyOf,
  type RequestOf,
} from "../../lib/formats/daemon/ops.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { nixHash } from "../../lib/formats/hash.ts";
import { packNar } from "../../lib/formats/nar/tree.ts";
import { generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { sourcePath, StorePath } from "../../lib/formats/store-path.ts";
import { WireReader, WireWriter } from "../../lib/formats/wire.ts";
import { listen, type Listening, parseListen } from "../../lib/server/listen.ts";
import { workerServer, type WorkerOptions } from "../../lib/server/worker.ts";
import { copyClosure } from "../../lib/store/copy.ts";
import { openStore } from "../../lib/store/open.ts";
import { signPathInfo } from "../../lib/store/sign.ts";
import type { Store } from "../../lib/store/store.ts";
import { APP, LIB, PUBLIC_KEY, TEXT } from "../store/cache-server.ts";
import { makeTree, scratch } from "../store/fixture.ts";
import { clients } from "./nix.ts";

const { base, fresh } = scratch("worker");
const tree = makeTree(join(base, "tree"));
const FIXTURE = `nix+file://${join(import.meta.dirname, "../data/store/caches/none")}?trusted_public_keys=${encodeURIComponent(PUBLIC_KEY)}`;
const open: { listening: Listening; store: Store }[] = [];
afterAll(async () => {
  for (const { listening, store } of open) {
    await listening.close(0);
    await store.close();
  }
});

interface Served {
  readonly store: Store;
  readonly socket: string;
  readonly errors: unknown[];
}

async function serve(options: WorkerOptions = {}): Promise<Served> {
  const store = await openStore(fresh());
  const socket = fresh();
  const errors: unknown[] = [];
  const create = () => workerServer(store, { onError: (error) => errors.push(error), ...options });
  open.push({ listening: await listen([parseListen(socket)], create), store });
  return { store, socket, errors };
}

async function fixtureInto(store: Store): Promise<void> {
  const from = await openStore(FIXTURE);
  await copyClosure(from, store, [APP]);
  await from.close();
}

/**
 * A store on a unix socket is for clients that see its files: they ask the daemon what there is and read archives off
 * the file system, where a mount would be. Here the paths are written out, below a root of their own.
 */
async function withFiles(store: Store, socket: string): Promise<string> {
  const root = fresh();
  mkdirSync(join(root, "nix/store"), { recursive: true });
  for await (const { path } of store.list()) {
    await store.export(path.basename, join(root, "nix/store", path.basename));
  }
  return `unix://${socket}?root=${root}`;
}

const shown = (...names: string[]) => names.map((name) => `/nix/store/${name}`);

if (clients.length === 0) console.warn("no Nix is installed: its clients are not tested against the worker protocol");

describe.each(clients.map((client) => [client.name, client] as const))("%s", (_, nix) => {
  test("asks, adds, copies both ways, exports and imports", async () => {
    const { store, socket, errors } = await serve();
    await fixtureInto(store);
    const remote = ["--store", `unix://${socket}`];
    const [app, lib, text] = shown(APP, LIB, TEXT) as [string, string, string];
    const query = async (...args: string[]) =>
      (await nix("nix-store", ...remote, "--query", ...args)).trim().split("\n").sort();
    expect(await query("--references", app)).toEqual([text, app, lib].sort());
    expect(await query("--referrers", lib)).toEqual([app]);
    expect(await query("--requisites", app)).toEqual(expect.arrayContaining([text, lib, app]));
    expect(await query("--hash", lib)).toEqual(["sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6crw241gr3"]);
    expect(await query("--size", lib)).toEqual(["120"]);
    expect(await query("--deriver", lib)).toEqual(["/nix/store/zfr39wpnwpnlgfhika4fg62s5lfiq29l-lib.drv"]);
    await nix("nix-store", ...remote, "--check-validity", app);
    const absent = "/nix/store/00000000000000000000000000000000-absent";
    await expect(nix("nix-store", ...remote, "--check-validity", absent)).rejects.toThrow(/not valid/);
    expect((await nix("nix", "path-info", ...remote, "-r", app)).trim().split("\n").sort()).toEqual(
      [app, lib, text].sort(),
    );
    await expect(nix("nix", "path-info", ...remote, absent)).rejects.toThrow(absent);

    // Adding: the paths that Nix gives without us.
    const plain = fresh();
    const added = (await nix("nix-store", ...remote, "--add", tree)).trim();
    expect(added).toBe((await nix("nix-store", "--store", plain, "--add", tree)).trim());
    expect((await store.info(added)).ca?.method).toBe("nar");
    for (const method of [["sha256"], ["--recursive", "sha1"], ["sha512"]]) {
      const flat = (await nix("nix-store", ...remote, "--add-fixed", ...method, join(tree, "run"))).trim();
      expect(flat).toBe((await nix("nix-store", "--store", plain, "--add-fixed", ...method, join(tree, "run"))).trim());
      expect((await store.info(flat)).ca).toBeDefined();
    }

    // Copying out of it into Nix's own store, and from there into another of ours.
    const files = await withFiles(store, socket);
    await nix("nix", "copy", "--from", files, "--to", plain, "--no-check-sigs", app);
    expect(readFileSync(join(plain, "nix/store", APP, "share/refs"), "utf8")).toContain(LIB);
    const second = await serve();
    await nix("nix", "copy", "--from", plain, "--to", `unix://${second.socket}`, app, added);
    expect((await second.store.info(APP)).references).toHaveLength(3);
    expect((await second.store.info(added)).narSize).toBe((await store.info(added)).narSize);

    // As a stream.
    const third = await serve();
    const file = fresh();
    await nix("sh", "-c", `nix-store --store '${files}' --export ${text} ${lib} ${app} > ${file}`);
    await nix("sh", "-c", `nix-store --store unix://${third.socket} --import < ${file}`);
    expect((await third.store.info(APP)).narSize).toBe((await store.info(APP)).narSize);

    await nix("nix-store", ...remote, "--verify", "--check-contents");
    expect((await nix("nix-store", ...remote, "--gc", "--print-dead")).trim().split("\n")).toContain(app);
    await nix("nix-store", ...remote, "--gc");
    await expect(store.info(APP)).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
    expect([...errors, ...second.errors, ...third.errors]).toEqual([]);
  });

  test("signs, and is refused what is not signed", async () => {
    const key = generateKey("worker-1");
    const { store, socket } = await serve({ keys: [toPublicKey(key)], trusted: false });
    const source = await serve();
    await fixtureInto(source.store);
    const command = ["copy", "--from", await withFiles(source.store, source.socket), "--to", `unix://${socket}`];
    await expect(nix("nix", ...command, `/nix/store/${LIB}`)).rejects.toThrow(/signed/);
    await nix("nix", ...command, `/nix/store/${TEXT}`);
    await source.store.pathInfos.put(signPathInfo(await source.store.info(LIB), key));
    await nix("nix", ...command, `/nix/store/${LIB}`);
    expect((await store.info(LIB)).signatures.map((one) => one.name)).toContain("worker-1");
    await expect(nix("nix-store", "--store", `unix://${socket}`, "--gc")).rejects.toThrow(/trusted/);
  });

  test("derivations that are built already are answered", async () => {
    const { store, socket } = await serve();
    const directory = fresh();
    mkdirSync(directory);
    writeFileSync(join(directory, "x.nix"), 'derivation { name = "x"; system = "any"; builder = "/none"; }');
    const remote = ["--store", `unix://${socket}`];
    const drv = (await nix("nix-instantiate", ...remote, join(directory, "x.nix"))).trim();
    expect((await store.info(drv)).ca?.method).toBe("text");
    await expect(nix("nix-store", ...remote, "--realise", drv)).rejects.toThrow(
      /does not build|don't know how|required system|unable/,
    );
    const files = await withFiles(store, socket);
    const out = (await nix("nix-store", "--store", files, "--query", "--outputs", drv)).trim();
    const made = await store.importPath(tree);
    await store.pathInfos.put({ ...made, path: StorePath.parseAbsolute(out), ca: undefined });
    expect((await nix("nix-store", "--store", files, "--realise", drv)).trim()).toBe(out);
  });
});

/** A client that can also lie. */
class Client {
  readonly socket: Socket;
  readonly reader: WireReader;

  constructor(path: string) {
    this.socket = connect(path).on("error", () => {});
    this.reader = new WireReader(this.socket);
  }

  async greet(): Promise<void> {
    await greetServer(this.reader, (bytes) => void this.socket.write(bytes));
  }

  async call<N extends keyof Operations>(name: N, request: RequestOf<N>, upload?: Uint8Array): Promise<ReplyOf<N>> {
    const operation = OPERATIONS[name] as unknown as Operation<RequestOf<N>, ReplyOf<N>>;
    const connection = { minor: 37, storeDir: "/nix/store" };
    const writer = new WireWriter().u64(operation.code);
    operation.request.write(writer, request, connection);
    this.socket.write(writer.take());
    if (upload) this.socket.write(await collectBytes(writeFramed([upload])));
    await finishReply(this.reader);
    return await operation.reply.read(this.reader, connection);
  }

  close(): void {
    this.socket.destroy();
  }
}

const CONTENTS = encodeUtf8("uploaded");
const NAR = packNar({ type: "regular", executable: false, size: CONTENTS.length, contents: CONTENTS });
const PATH = sourcePath({ name: "uploaded", narSha256: sha256(NAR) });
const INFO = {
  path: PATH,
  narHash: nixHash("sha256", sha256(NAR)),
  narSize: NAR.length,
  references: [] as StorePath[],
  registrationTime: 0,
  ultimate: false,
  signatures: [],
};
const flags = { repair: false, dontCheckSigs: true };

describe("clients of any kind", () => {
  test("a refused upload is read to its end, so that the connection goes on", async () => {
    const { store, socket, errors } = await serve();
    const client = new Client(socket);
    await client.greet();
    const bad: [Partial<typeof INFO>, Uint8Array][] = [
      [{}, NAR.slice(0, 50)],
      [{}, encodeUtf8("no NAR at all")],
      [{}, concatBytes([NAR, NAR])],
      [{ narSize: 5 }, NAR],
      [{ narSize: 5000 }, NAR],
      [{ narHash: nixHash("sha256", new Uint8Array(32)) }, NAR],
      [{ references: [StorePath.of(new Uint8Array(20), "absent")] }, NAR],
    ];
    for (const [changes, nar] of bad) {
      const work = client.call("AddToStoreNar", { info: { ...INFO, ...changes }, ...flags }, nar);
      await expect(work).rejects.toMatchObject({ code: "ERR_DAEMON_REMOTE" });
      expect(await client.call("IsValidPath", { path: PATH })).toBe(false);
    }
    await expect(client.call("AddMultipleToStore", flags, encodeUtf8("??"))).rejects.toThrow("ERR_WIRE_TRUNCATED");
    await expect(
      client.call("AddToStore", { name: "../x", method: "fixed:sha256", references: [], repair: false }, NAR),
    ).rejects.toThrow("ERR_STORE_PATH_NAME");
    await client.call("AddToStoreNar", { info: INFO, ...flags }, NAR);
    expect((await store.info(PATH)).narSize).toBe(NAR.length);
    expect(await client.call("QueryPathFromHashPart", { hashPart: PATH.hash })).toEqual(PATH);
    await client.call("NarFromPath", { path: PATH });
    expect(await client.reader.raw(NAR.length)).toEqual(NAR);
    expect((await client.call("QueryPathInfo", { path: PATH }))?.narSize).toBe(NAR.length);
    expect(await client.call("QueryPathFromHashPart", { hashPart: "../../etc" })).toBeUndefined();
    client.close();
    expect(errors).toEqual([]);
  });

  test("who says something else is shown the door", async () => {
    const { socket } = await serve();
    for (const hello of ["GET / HTTP/1.1\r\n\r\n", "\0".repeat(100), "cxin\0\0\0\0\x0a\x01\0\0\0\0\0\0"]) {
      const client = connect(socket).on("error", () => {});
      client.write(hello, "latin1");
      const answer = Buffer.from(await collectBytes(client as AsyncIterable<Uint8Array>)).toString("latin1");
      expect(answer).toMatch(/ERR_DAEMON_(MAGIC|VERSION)/);
    }
  });

  test("anything after the greeting is answered or ends the connection", async () => {
    const { socket, errors } = await serve();
    const code = fc.constantFrom(
      ...Object.values(OPERATIONS as unknown as Record<string, { code: number }>).map((each) => each.code),
      999,
    );
    const words = fc.array(
      fc.oneof(fc.nat(5), fc.constant(Number.MAX_SAFE_INTEGER), fc.constant(Number.POSITIVE_INFINITY), fc.string()),
      { maxLength: 8 },
    );
    const property = fc.asyncProperty(code, words, async (operation, values) => {
      const client = new Client(socket);
      await client.greet();
      const writer = new WireWriter().u64(operation);
      for (const value of values) {
        if (typeof value === "number") writer.u64(value);
        else writer.bytes(encodeUtf8(value));
      }
      client.socket.end(writer.take());
      while ((await client.reader.some()) !== undefined);
      client.close();
    });
    await fc.assert(property, { numRuns: 150 });
    const client = new Client(socket);
    await client.greet();
    expect(await client.call("QueryAllValidPaths", undefined)).toEqual([]);
    client.close();
    expect(errors).toEqual([]);
  });
});
