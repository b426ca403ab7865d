// The daemon's protocol: a conversation with a real nix-daemon, recorded and, where there is one, live; our own two
// sides with each other; hostile peers.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc } from "../property.ts";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import type { Connection } from "../../lib/formats/daemon/codec.ts";
import { writeFramed } from "../../lib/formats/daemon/framed.ts";
import { greetClient, greetServer, type Send } from "../../lib/formats/daemon/handshake.ts";
import { encodeLogFrame, finishReply, type LogFrame, readLogFrame } from "../../lib/formats/daemon/log.ts";
import {
  OPERATIONS,
  type Operation,
  type Operations,
  operationOf,
  type ReplyOf,
  type RequestOf,
} from "../../lib/formats/daemon/ops.ts";
import { type ValidPathInfo, validPathInfo } from "../../lib/formats/daemon/values.ts";
import { sha256 } from "../../lib/formats/digest.ts";
import { NarReader } from "../../lib/formats/nar/reader.ts";
import { type NarNode, packNar } from "../../lib/formats/nar/tree.ts";
import { generateKey, signText } from "../../lib/formats/signature.ts";
import { sourcePath, StorePath, textPath } from "../../lib/formats/store-path.ts";
import { WireReader, WireWriter } from "../../lib/formats/wire.ts";
import { codeOf, codeOfAsync } from "./codes.ts";
import { golden } from "./golden.ts";
import { collectBytes, pieces } from "./pieces.ts";

/** A client, just large enough for tests. */
class Client {
  readonly reader: WireReader;
  readonly #send: Send;
  readonly #connection: Connection;

  constructor(reader: WireReader, send: Send, connection: Connection) {
    this.reader = reader;
    this.#send = send;
    this.#connection = connection;
  }

  async call<N extends keyof Operations>(name: N, request: RequestOf<N>, upload?: Uint8Array): Promise<ReplyOf<N>> {
    const operation = OPERATIONS[name] as unknown as Operation<RequestOf<N>, ReplyOf<N>>;
    const writer = new WireWriter().u64(operation.code);
    operation.request.write(writer, request, this.#connection);
    await this.#send(writer.take());
    if (upload !== undefined) await this.#send(await collectBytes(writeFramed([upload])));
    await finishReply(this.reader);
    return operation.reply.read(this.reader, this.#connection);
  }
}

const TEXT = encodeUtf8("some text\n");
const text = textPath({ name: "text", contents: TEXT });
const missing = StorePath.parse(`${"0".repeat(32)}-missing`);
const fileNar = (contents: string): Uint8Array => {
  const bytes = encodeUtf8(contents);
  const node: NarNode = { type: "regular", executable: false, size: bytes.length, contents: bytes };
  return packNar(node);
};
const infoOf = (name: string, nar: Uint8Array, references: StorePath[] = []): ValidPathInfo => {
  const narHash = { algo: "sha256", digest: sha256(nar) } as const;
  const absolute = references.map((reference) => reference.absolute());
  return {
    path: sourcePath({ name, narSha256: narHash.digest, references: absolute }),
    narHash,
    references,
    registrationTime: 1,
    narSize: nar.length,
    ultimate: false,
    signatures: [],
    ca: { method: "nar", hash: narHash },
  };
};

/** Everything that a store server needs, against an empty store. */
async function converse(reader: WireReader, send: Send): Promise<void> {
  const server = await greetServer(reader, send);
  expect(server.minor).toBeGreaterThanOrEqual(32);
  const client = new Client(reader, send, server);
  const sorted = (paths: readonly StorePath[]): string[] => paths.map(String).sort();

  await client.call("SetOptions", {
    keepFailed: false,
    keepGoing: true,
    tryFallback: false,
    verbosity: 0,
    maxBuildJobs: 1,
    maxSilentTime: 0,
    unusedBuildHook: 1,
    verboseBuild: 0,
    unusedLogType: 0,
    unusedPrintTrace: 0,
    buildCores: 0,
    useSubstitutes: false,
    overrides: new Map(),
  });
  expect(await client.call("IsValidPath", { path: text })).toBe(false);
  const request = { name: "text", method: "text:sha256", references: [], repair: false };
  const added = await client.call("AddToStore", request, TEXT);
  expect(added.path).toEqual(text);
  expect(added.ca?.method).toBe("text");
  expect(await client.call("IsValidPath", { path: text })).toBe(true);
  const { path: _, ...fields } = added;
  expect(await client.call("QueryPathInfo", { path: text })).toEqual(fields);
  expect(await client.call("QueryPathInfo", { path: missing })).toBeUndefined();

  const one = infoOf("one", fileNar("one\n"), [text]);
  await client.call("AddToStoreNar", { info: one, repair: false, dontCheckSigs: true }, fileNar("one\n"));
  const two = infoOf("two", fileNar("two\n"), [one.path]);
  const many = new WireWriter().u64(1);
  validPathInfo.write(many, two, server);
  many.raw(fileNar("two\n"));
  await client.call("AddMultipleToStore", { repair: false, dontCheckSigs: true }, many.take());

  const all = [text, one.path, two.path];
  expect(sorted(await client.call("QueryAllValidPaths", undefined))).toEqual(sorted(all));
  const asked = { paths: [...all, missing], substitute: false };
  expect(sorted(await client.call("QueryValidPaths", asked))).toEqual(sorted(all));
  expect(await client.call("QuerySubstitutablePaths", { paths: [missing] })).toEqual([]);
  expect(sorted(await client.call("QueryReferrers", { path: one.path }))).toEqual([two.path.basename]);
  expect(await client.call("QueryPathFromHashPart", { hashPart: two.path.hash })).toEqual(two.path);
  expect(await client.call("QueryPathFromHashPart", { hashPart: missing.hash })).toBeUndefined();
  await client.call("EnsurePath", { path: text });
  await client.call("AddTempRoot", { path: text });
  const signature = signText({ ...generateKey("k"), seed: new Uint8Array(32) }, "x");
  await client.call("AddSignatures", { path: text, signatures: [signature] });
  expect((await client.call("QueryPathInfo", { path: text }))?.signatures).toEqual([signature]);

  await client.call("NarFromPath", { path: two.path });
  const nar: Uint8Array[] = [];
  const inner = new NarReader(() => {});
  while (!inner.done) {
    const piece = (await reader.some()) ?? new Uint8Array(0);
    const taken = inner.take(piece);
    nar.push(piece.slice(0, taken));
    reader.unread(piece.subarray(taken));
  }
  expect(concatBytes(nar)).toEqual(fileNar("two\n"));

  const gone = await codeOfAsync(() => client.call("EnsurePath", { path: missing }));
  expect(gone).toBe("ERR_DAEMON_REMOTE");
  const plan = await client.call("QueryMissing", { paths: [{ path: text }, { path: missing }] });
  expect([plan.willBuild, plan.willSubstitute, sorted(plan.unknown)]).toEqual([[], [], [missing.basename]]);
  expect(await client.call("VerifyStore", { checkContents: true, repair: false })).toBe(false);
  expect(await client.call("IsValidPath", { path: two.path })).toBe(true);
}

describe("a real daemon", () => {
  test("as recorded: it gets the same bytes from us, and we read its answers", async () => {
    const sent: Uint8Array[] = [];
    await converse(new WireReader(pieces(golden("daemon/server.bin"), 13)), (bytes) => void sent.push(bytes.slice()));
    expect(concatBytes(sent)).toEqual(golden("daemon/client.bin"));
  });

  const hasDaemon = spawnSync("nix-daemon", ["--version"]).status === 0;
  if (!hasDaemon) console.warn("SKIPPED: no nix-daemon; the daemon protocol is checked against a recording only");

  test.skipIf(!hasDaemon)("live", async () => {
    const root = mkdtempSync(join(tmpdir(), "tvix-daemon-"));
    const env = { ...process.env, NIX_CONFIG: "build-users-group =\nsubstitute = false" };
    const child = spawn("nix-daemon", ["--stdio", "--store", root], { stdio: ["pipe", "pipe", "ignore"], env });
    const received: Uint8Array[] = [];
    const sent: Uint8Array[] = [];
    async function* replies(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const piece of child.stdout as AsyncIterable<Buffer>) {
        received.push(new Uint8Array(piece));
        yield new Uint8Array(piece);
      }
    }
    try {
      await converse(new WireReader(replies()), (bytes) => {
        sent.push(bytes.slice());
        child.stdin.write(bytes);
      });
    } finally {
      child.stdin.end();
      child.kill();
      await new Promise((resolve) => child.once("close", resolve));
      spawnSync("chmod", ["-R", "u+w", root]);
      rmSync(root, { recursive: true, force: true });
    }
    if (process.env.TVIX_RECORD === "1") {
      const directory = new URL("../data/formats/daemon/", import.meta.url);
      mkdirSync(directory, { recursive: true });
      writeFileSync(new URL("client.bin", directory), concatBytes(sent));
      writeFileSync(new URL("server.bin", directory), concatBytes(received));
    }
  });
});

describe("our two sides", () => {
  const connection: Connection = { minor: 37, storeDir: "/nix/store" };

  test("greet each other", async () => {
    for (const minor of [32, 33, 35, 37, 38, 99]) {
      const client = new WireWriter()
        .u64(0x6e697863)
        .u64(256 + minor)
        .u64(1)
        .u64(3)
        .u64(0)
        .take();
      const answer: Uint8Array[] = [];
      const agreed = await greetClient(new WireReader(pieces(client, 8)), (bytes) => void answer.push(bytes), {
        nixVersion: "2.34.8",
        trust: "trusted",
      });
      expect(agreed.minor).toBe(Math.min(minor, 37));
      if (minor !== 37) continue;
      const info = await greetServer(new WireReader(pieces(concatBytes(answer), 8)), () => {});
      expect(info).toEqual({ minor: 37, storeDir: "/nix/store", nixVersion: "2.34.8", trust: "trusted" });
    }
  });

  test("strangers and the too old are refused", async () => {
    const greet = (...words: number[]): Promise<string | undefined> => {
      const writer = new WireWriter();
      for (const word of words) writer.u64(word);
      return codeOfAsync(() =>
        greetClient(new WireReader(pieces(writer.take(), 8)), () => {}, { nixVersion: "2.34.8" }),
      );
    };
    expect(await greet(0x20544547)).toBe("ERR_DAEMON_MAGIC");
    expect(await greet(0x6e697863, 256 + 21)).toBe("ERR_DAEMON_VERSION");
    expect(await greet(0x6e697863, 512 + 37)).toBe("ERR_DAEMON_VERSION");
    expect(await greet(0x6e697863)).toBe("ERR_WIRE_TRUNCATED");
  });

  const roundTrip = async <N extends keyof Operations>(
    name: N,
    request: RequestOf<N>,
    reply: ReplyOf<N>,
    minor = 37,
  ): Promise<void> => {
    const operation = OPERATIONS[name] as unknown as Operation<RequestOf<N>, ReplyOf<N>>;
    const on = { ...connection, minor };
    const writer = new WireWriter();
    operation.request.write(writer, request, on);
    operation.reply.write(writer, reply, on);
    const reader = new WireReader(pieces(writer.take(), 5));
    expect(await operation.request.read(reader, on)).toEqual(request);
    expect(await operation.reply.read(reader, on)).toEqual(reply);
    expect(await reader.atEnd()).toBe(true);
    expect(operationOf(operation.code)).toBe(name);
  };

  test("values of the operations that the conversation leaves out", async () => {
    const drvPath = StorePath.parse(`${"0".repeat(32)}-a.drv`);
    const result = {
      status: "dependency failed",
      error: "x",
      timesBuilt: 1,
      isNonDeterministic: false,
      startTime: 1,
      stopTime: 2,
      builtOutputs: new Map([["sha256:00!out", "{}"]]),
    } as const;
    const derivation = {
      outputs: new Map([["out", { path: text.absolute(), hashAlgo: "", hash: "" }]]),
      inputSrcs: [text],
      system: "s",
      builder: "b",
      args: ["x"],
      env: new Map([["k", "v\xff"]]),
    };
    await roundTrip("BuildDerivation", { drvPath, derivation, mode: "check" }, { ...result, cpuUser: 5 });
    await roundTrip("BuildDerivation", { drvPath, derivation, mode: "normal" }, result, 34);
    const wanted = [
      { path: text },
      { path: drvPath, outputs: "*" },
      { path: drvPath, outputs: ["out", "dev"] },
    ] as const;
    await roundTrip("BuildPathsWithResults", { paths: wanted, mode: "repair" }, [{ path: wanted[1], result }]);
    await roundTrip("BuildPaths", { paths: wanted, mode: "normal" }, undefined);
    await roundTrip(
      "QueryDerivationOutputMap",
      { path: drvPath },
      new Map([
        ["out", text],
        ["dev", undefined],
      ]),
    );
    await roundTrip("FindRoots", undefined, new Map([["/root", text]]));
    await roundTrip("QueryValidDerivers", { path: text }, [drvPath]);
    await roundTrip("AddPermRoot", { path: text, link: "/l" }, "/l");
    await roundTrip("AddIndirectRoot", { link: "/l" }, undefined);
    await roundTrip("AddBuildLog", { path: drvPath }, undefined);
    await roundTrip("QueryRealisation", { id: "sha256:00!out" }, []);
    await roundTrip("RegisterDrvOutput", { realisation: "{}" }, undefined);
    await roundTrip("OptimiseStore", undefined, undefined);
    const unused = { unused1: 0, unused2: 0, unused3: 0 };
    await roundTrip(
      "CollectGarbage",
      {
        action: "delete dead",
        pathsToDelete: [],
        ignoreLiveness: false,
        maxFreed: Number.POSITIVE_INFINITY,
        ...unused,
      },
      { paths: ["/nix/store/x"], bytesFreed: 1, unused: 0 },
    );
  });

  test("log frames read back", async () => {
    const frames: LogFrame[] = [
      { type: "next", text: "é\n" },
      { type: "start", id: 1, level: 3, activity: 105, text: "t", fields: [1, "two"], parent: 0 },
      { type: "result", id: 1, result: 101, fields: [] },
      { type: "stop", id: 1 },
      { type: "error", level: 0, name: "Error", message: "m", traces: ["a", "b"] },
      { type: "last" },
    ];
    const reader = new WireReader(pieces(concatBytes(frames.map(encodeLogFrame)), 3));
    for (const frame of frames) expect(await readLogFrame(reader)).toEqual(frame);
  });
});

describe("a hostile peer", () => {
  const connection: Connection = { minor: 37, storeDir: "/nix/store" };
  const read = (name: keyof Operations, bytes: Uint8Array): Promise<string | undefined> =>
    codeOfAsync(() => OPERATIONS[name].request.read(new WireReader(pieces(bytes, 64)), connection));

  test("is refused", async () => {
    expect(codeOf(() => operationOf(3))).toBe("ERR_DAEMON_UNKNOWN_OPERATION");
    expect(await read("IsValidPath", new WireWriter().string("/etc/passwd").take())).toBe("ERR_STORE_PATH_OUTSIDE");
    expect(await read("BuildPaths", new WireWriter().strings([`${text.absolute()}!`]).take())).toBe("ERR_DAEMON_VALUE");
    expect(await read("BuildPaths", new WireWriter().strings([]).u64(3).take())).toBe("ERR_DAEMON_VALUE");
    const error = new WireWriter().u64(0x63787470).string("Warning").take();
    expect(await codeOfAsync(() => readLogFrame(new WireReader(pieces(error, 8))))).toBe("ERR_DAEMON_LOG_FRAME");
    const position = new WireWriter().u64(0x63787470).string("Error").u64(0).string("").string("").u64(1).take();
    expect(await codeOfAsync(() => readLogFrame(new WireReader(pieces(position, 8))))).toBe("ERR_DAEMON_LOG_FRAME");
    expect(await codeOfAsync(() => readLogFrame(new WireReader(pieces(new Uint8Array(8), 8))))).toBe(
      "ERR_DAEMON_LOG_FRAME",
    );
  });

  test("can only cause typed errors", async () => {
    const client = golden("daemon/client.bin");
    const server = golden("daemon/server.bin");
    const names = Object.keys(OPERATIONS) as (keyof Operations)[];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.constantFrom(client, server),
        fc.nat(),
        async (name, bytes, from) => {
          const part = bytes.subarray(from % bytes.length);
          await read(name, part);
          const { reply } = OPERATIONS[name];
          await codeOfAsync(() => reply.read(new WireReader(pieces(part, 64)), connection));
          await codeOfAsync(() => finishReply(new WireReader(pieces(part, 64))));
        },
      ),
      { numRuns: 300 },
    );
  });
});
