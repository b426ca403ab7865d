// Our server under an independent client, @grpc/grpc-js, with calls written down as bytes; and what tools ask of it.
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { create, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  type ChannelCredentials,
  Client,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, describe, expect, test } from "vitest";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { digestHex, digestOf } from "../../lib/castore/digest.ts";
import * as snix from "../../lib/castore/gen/snix/castore/v1/castore_pb.ts";
import * as tvix from "../../lib/castore/gen/tvix/castore/v1/castore_pb.ts";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../lib/server/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../lib/server/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as Alpha } from "../../lib/server/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { PathInfoService as SnixPathInfos } from "../../lib/store/gen/snix/store/v1/store_pb.ts";
import { PathInfoService as TvixPathInfos } from "../../lib/store/gen/tvix/store/v1/store_pb.ts";
import { type Pair, startPair } from "./peers.ts";

let pair: Pair | undefined;
const clients: Client[] = [];
afterAll(async () => {
  for (const client of clients) client.close();
  await pair?.close();
});

async function connect(): Promise<Client> {
  pair ??= await startPair();
  const insecure: ChannelCredentials = credentials.createInsecure();
  const client = new Client(`unix:${pair.socket}`, insecure, { "grpc.max_receive_message_length": 1 << 22 });
  clients.push(client);
  return client;
}

/** Calls a method; calls of all kinds are a list of requests and a list of answers. */
async function call<M extends DescMethod>(
  method: M,
  requests: readonly object[],
): Promise<MessageShape<M["output"]>[]> {
  const client = await connect();
  const path = `/${method.parent.typeName}/${method.name}`;
  const encode = (message: object) => Buffer.from(toBinary(method.input, create(method.input, message as never)));
  const decode = (bytes: Buffer) => fromBinary(method.output as M["output"], bytes);
  return await new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: MessageShape<M["output"]>) => {
      if (error || !answer) reject(error);
      else resolve([answer]);
    };
    const answers: MessageShape<M["output"]>[] = [];
    const collect = (stream: Readable) =>
      stream
        .on("data", (answer: MessageShape<M["output"]>) => answers.push(answer))
        .on("error", reject)
        .on("end", () => resolve(answers));
    const send = (stream: Writable) => {
      for (const request of requests) stream.write(request);
      stream.end();
    };
    const [first = {}] = requests;
    if (method.methodKind === "unary") client.makeUnaryRequest(path, encode, decode, first, done);
    else if (method.methodKind === "client_streaming") send(client.makeClientStreamRequest(path, encode, decode, done));
    else if (method.methodKind === "server_streaming")
      collect(client.makeServerStreamRequest(path, encode, decode, first));
    else {
      const stream = client.makeBidiStreamRequest(path, encode, decode);
      collect(stream);
      send(stream);
    }
  });
}

const hex = (bytes: Uint8Array | undefined): string => toHex(bytes ?? new Uint8Array(0));
const failure = (code: number) => expect.objectContaining({ code });

describe.each([
  ["tvix", "node", tvix.BlobService, tvix.DirectoryService, TvixPathInfos],
  ["snix", "entry", snix.BlobService, snix.DirectoryService, SnixPathInfos],
] as const)("as %s.*", (_name, field, blobs, directories, pathInfos) => {
  test("blobs go up in pieces and come down", async () => {
    const bytes = pseudoRandomBytes(1_000_000, 4);
    const digest = digestOf(bytes);
    const pieces = [0, 1, 65_537, 900_000].map((at, i, all) => ({ data: bytes.subarray(at, all[i + 1]) }));
    const [put] = await call(blobs.method.put, pieces);
    expect(hex(put?.digest)).toBe(digestHex(digest));
    const read = await call(blobs.method.read, [{ digest }]);
    expect(Buffer.compare(concatBytes(read.map(({ data }) => data)), bytes)).toBe(0);
    const [stat] = await call(blobs.method.stat, [{ digest, sendChunks: true, sendBao: true }]);
    expect(stat?.bao.length).toBe(8 + 64 * (Math.ceil(bytes.length / 16_384) - 1));
    const [empty] = await call(blobs.method.put, []);
    expect(hex(empty?.digest)).toBe("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  });

  test("statuses are those of the protocol", async () => {
    const absent = digestOf(encodeUtf8("absent"));
    await expect(call(blobs.method.stat, [{ digest: absent }])).rejects.toEqual(failure(status.NOT_FOUND));
    await expect(call(blobs.method.read, [{ digest: absent }])).rejects.toEqual(failure(status.NOT_FOUND));
    await expect(call(blobs.method.stat, [{ digest: absent.subarray(1) }])).rejects.toEqual(
      failure(status.INVALID_ARGUMENT),
    );
    await expect(call(directories.method.get, [{}])).rejects.toEqual(failure(status.INVALID_ARGUMENT));
    const byWhat = { case: "digest", value: absent };
    await expect(call(directories.method.get, [{ byWhat }])).rejects.toEqual(failure(status.NOT_FOUND));
    expect(await call(directories.method.get, [{ byWhat, recursive: true }])).toEqual([]);
    await expect(call(directories.method.put, [])).rejects.toEqual(failure(status.INVALID_ARGUMENT));
    const dangling = { directories: [{ name: encodeUtf8("a"), digest: absent, size: 1n }] };
    await expect(call(directories.method.put, [dangling])).rejects.toEqual(failure(status.INTERNAL));
    await expect(call(pathInfos.method.get, [{}])).rejects.toEqual(failure(status.UNIMPLEMENTED));
    const hash = { byWhat: { case: "byOutputHash", value: new Uint8Array(20) } };
    await expect(call(pathInfos.method.get, [hash])).rejects.toEqual(failure(status.NOT_FOUND));
    await expect(call(pathInfos.method.put, [{}])).rejects.toEqual(failure(status.INVALID_ARGUMENT));
  });

  test("a method that is not served is an answer of gRPC's, not of HTTP's", async () => {
    const client = await connect();
    const answer = new Promise<ServiceError | null>((resolve) => {
      const same = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest("/no.such.Service/Method", same, same, Buffer.alloc(0), (error) => resolve(error));
    });
    expect(await answer).toMatchObject({ code: status.UNIMPLEMENTED, details: "there is no such method" });
  });

  test("directories come as the generated messages say, and hash to what they are called", async () => {
    await connect();
    const tree = {
      entries: { bin: { entries: { sh: { contents: "#!", executable: true } } }, link: { target: "bin" } },
    };
    const root = await ingestTree((pair as Pair).behind.castore, tree);
    if (root.type !== "directory") throw new Error("not a directory");
    const byWhat = { case: "digest", value: root.digest };
    const all = await call(directories.method.get, [{ byWhat, recursive: true }]);
    expect(all).toHaveLength(2);
    for (const message of all) {
      const bytes = toBinary(directories.method.get.output, message);
      const single = await call(directories.method.get, [{ byWhat: { case: "digest", value: digestOf(bytes) } }]);
      expect(single).toEqual([message]);
    }
    const [put] = await call(directories.method.put, all.toReversed());
    expect(hex(put?.rootDigest)).toBe(digestHex(root.digest));
    const node = { [field]: { case: "directory", value: { digest: root.digest, size: BigInt(root.size) } } };
    const [nar] = await call(pathInfos.method.calculateNAR, [node]);
    const { digest, size } = await (pair as Pair).behind.narDigest(root);
    expect([Number(nar?.narSize), hex(nar?.narSha256)]).toEqual([size, hex(digest)]);
  });
});

describe("a client made of the .proto files, without any code of ours", () => {
  const root = join(import.meta.dirname, "../../lib");
  const includeDirs = [join(root, "castore/proto"), join(root, "store/proto"), join(root, "server/proto")];

  test.each(["tvix", "snix"])("speaks %s.*", async (family) => {
    await connect();
    const files = [
      `${family}/castore/v1/castore.proto`,
      `${family}/store/v1/store.proto`,
      "grpc/health/v1/health.proto",
    ];
    const loaded = loadPackageDefinition(loadSync(files, { includeDirs, keepCase: true, longs: Number })) as never;
    /** Calls by name; a list of requests is a stream. */
    const invoke = async (
      path: string,
      name: string,
      request: object | object[],
    ): Promise<Record<string, unknown>[]> => {
      const service = path
        .split(".")
        .reduce((at, part) => at[part] as Record<string, unknown>, loaded as Record<string, unknown>);
      const client = new (service as unknown as ServiceClientConstructor)(
        `unix:${(pair as Pair).socket}`,
        credentials.createInsecure(),
      );
      clients.push(client);
      const method = (client[name] as (...args: unknown[]) => Readable & Writable).bind(client);
      return await new Promise((resolve, reject) => {
        const done = (error: Error | null, answer: Record<string, unknown>) =>
          error ? reject(error) : resolve([answer]);
        if (Array.isArray(request)) {
          const stream = method(done);
          for (const one of request) stream.write(one);
          stream.end();
          return;
        }
        const { responseStream } = (service as unknown as ServiceClientConstructor).service[name] as {
          responseStream: boolean;
        };
        if (!responseStream) {
          method(request, done);
          return;
        }
        const answers: Record<string, unknown>[] = [];
        const stream = method(request);
        stream.on("data", (answer: Record<string, unknown>) => answers.push(answer));
        stream.on("error", reject).on("end", () => resolve(answers));
      });
    };
    const blobs = `${family}.castore.v1.BlobService`;
    const directories = `${family}.castore.v1.DirectoryService`;
    const pathInfos = `${family}.store.v1.PathInfoService`;
    const bytes = pseudoRandomBytes(300_000, 6);
    const pieces = [0, 100_000, 200_000].map((at) => ({ data: bytes.subarray(at, at + 100_000) }));
    const [put] = await invoke(blobs, "Put", pieces);
    const digest = put?.["digest"] as Uint8Array;
    expect(hex(digest)).toBe(digestHex(digestOf(bytes)));
    const read = await invoke(blobs, "Read", { digest });
    expect(Buffer.compare(concatBytes(read.map(({ data }) => data as Uint8Array)), bytes)).toBe(0);
    const file = { name: Buffer.from("f"), digest, size: bytes.length, executable: true };
    const old = { directories: [], files: [file], symlinks: [] };
    const [stored] = await invoke(directories, "Put", [old]);
    const [got] = await invoke(directories, "Get", { digest: stored?.["root_digest"], recursive: true });
    expect(got).toMatchObject({ files: [{ name: Buffer.from("f"), size: bytes.length, executable: true }] });
    const place = { digest: stored?.["root_digest"], size: 2 };
    const [nar] = await invoke(pathInfos, "CalculateNAR", { directory: place });
    expect(Number(nar?.["nar_size"])).toBeGreaterThan(bytes.length);
    const path = sourcePath({ name: `from-${family}`, narSha256: nar?.["nar_sha256"] as Uint8Array });
    const named = { directory: { ...place, name: Buffer.from(path.basename) } };
    const info = { [family === "tvix" ? "node" : "entry"]: named, references: [], narinfo: { ...nar } };
    const [kept] = await invoke(pathInfos, "Put", info);
    const [again] = await invoke(pathInfos, "Get", { by_output_hash: Buffer.from(path.digest) });
    expect(again).toEqual(kept);
    expect((await (pair as Pair).behind.info(path)).narSize).toBe(Number(nar?.["nar_size"]));
    expect(await invoke("grpc.health.v1.Health", "Check", { service: blobs })).toMatchObject([{ status: 1 }]);
  });
});

describe("what tools ask", () => {
  test("health, of the server and of each service", async () => {
    for (const service of ["", "tvix.castore.v1.BlobService", "snix.store.v1.PathInfoService"]) {
      expect(await call(Health.method.check, [{ service }])).toMatchObject([{ status: Status.SERVING }]);
    }
    await expect(call(Health.method.check, [{ service: "no.such" }])).rejects.toEqual(failure(status.NOT_FOUND));
  });

  test.each([
    ["v1", ServerReflection],
    ["v1alpha", Alpha],
  ] as const)("reflection %s", async (_version, service) => {
    const ask = async (messageRequest: object) => {
      const [answer] = await call(service.method.serverReflectionInfo, [{ host: "h", messageRequest }]);
      return answer?.messageResponse;
    };
    const describing = async (messageRequest: object) => {
      const answer = await ask(messageRequest);
      if (answer?.case !== "fileDescriptorResponse") return answer?.case;
      return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    };
    const list = await ask({ case: "listServices", value: "" });
    const names = list?.case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
    const some = ["tvix.castore.v1.BlobService", "snix.castore.v1.DirectoryService", "grpc.health.v1.Health"];
    expect(names).toEqual(expect.arrayContaining(some));
    for (const name of names) {
      const files = await describing({ case: "fileContainingSymbol", value: name });
      if (!Array.isArray(files)) throw new Error(`nothing is known of ${name}`);
      const [owner] = files;
      expect(owner?.service.map((one) => `${owner.package}.${one.name}`)).toContain(name);
      const given = new Set(files.map((file) => file.name));
      for (const file of files) for (const needed of file.dependency) expect(given).toContain(needed);
    }
    expect(await describing({ case: "fileByFilename", value: "snix/store/v1/store.proto" })).toHaveLength(2);
    expect(await ask({ case: "fileContainingSymbol", value: "no.such" })).toMatchObject({ value: { errorCode: 5 } });
    const extensions = await ask({ case: "allExtensionNumbersOfType", value: "tvix.castore.v1.Node" });
    expect(extensions).toMatchObject({ value: { extensionNumber: [] } });
    expect((await ask({ case: "fileContainingExtension", value: {} }))?.case).toBe("errorResponse");
  });
});
