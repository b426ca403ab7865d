// Path infos of a gRPC server; each is read by the strict reader and must be the one that was asked for.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { GrpcBlobService } from "../castore/blob/grpc.ts";
import { encodeNode } from "../castore/canonical.ts";
import { GrpcDirectoryService } from "../castore/directory/grpc.ts";
import type { GrpcAddress } from "../castore/grpc/address.ts";
import { type Dialects, dialects, GrpcEndpoint, type GrpcOptions, isNotFound } from "../castore/grpc/endpoint.ts";
import type { Node } from "../castore/node.ts";
import { PathInfoService as SnixPathInfos } from "./gen/snix/store/v1/store_pb.ts";
import { PathInfoService as TvixPathInfos } from "./gen/tvix/store/v1/store_pb.ts";
import { MemoryNarIndex } from "./memory.ts";
import type { NarDigest } from "./nar/render.ts";
import { checkPathInfo, decodePathInfo, encodePathInfo, equalPathInfos, type PathInfo } from "./path-info.ts";
import type { PathInfoService } from "./service.ts";
import { Store } from "./store.ts";

const PATH_INFOS: Dialects<typeof SnixPathInfos> = dialects(SnixPathInfos, TvixPathInfos);
/** Time for the server to read a whole tree, in milliseconds. */
const LONG = 3_600_000;

/** Path infos of a server. */
export class GrpcPathInfoService implements PathInfoService {
  readonly #endpoint: GrpcEndpoint;

  constructor(endpoint: GrpcEndpoint) {
    this.#endpoint = endpoint;
  }

  async get(hash: Uint8Array): Promise<PathInfo | undefined> {
    let info: PathInfo;
    try {
      info = await this.#endpoint.call(PATH_INFOS, "PathInfoService.Get", async (client, options, { method }) => {
        const message = await client.get({ byWhat: { case: "byOutputHash", value: hash } }, options);
        return readInfo(method.get.output, message);
      });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    if (equalBytes(info.path.digest, hash)) return info;
    throw new TvixError("ERR_REMOTE_WRONG", `the server was asked for another path and sent ${info.path.basename}`);
  }

  /** The server may add signatures, and change nothing else. */
  async put(info: PathInfo): Promise<PathInfo> {
    const bytes = encodePathInfo(checkPathInfo(info));
    const stored = await this.#endpoint.call(PATH_INFOS, "PathInfoService.Put", async (client, options, { method }) =>
      readInfo(method.put.output, await client.put(fromBinary(method.put.input, bytes), options)),
    );
    if (equalPathInfos(stored, info)) return stored;
    throw new TvixError("ERR_REMOTE_WRONG", `the server stored something else for ${info.path.basename}`);
  }

  async *list(): AsyncGenerator<PathInfo> {
    yield* this.#endpoint.stream(PATH_INFOS, "PathInfoService.List", (client, signal, { method }) =>
      readInfos(method.list.output, client.list({}, { signal })),
    );
  }

  /** Hash and size of the NAR of a tree that the server has, as the server says. */
  async calculateNar(root: Node): Promise<NarDigest> {
    const { narSha256, narSize } = await this.#endpoint.call(
      PATH_INFOS,
      "PathInfoService.CalculateNAR",
      (client, options, { method }) =>
        client.calculateNAR(fromBinary(method.calculateNAR.input, encodeNode(root)), options),
      { timeout: LONG },
    );
    return { digest: narSha256, size: Number(narSize) };
  }
}

/** A store behind one or several daemons. */
export async function openGrpcStore(address: GrpcAddress, storeDir?: string, options?: GrpcOptions): Promise<Store> {
  const endpoint = new GrpcEndpoint(address, options);
  if (address.waitConnect) await endpoint.ready();
  const pathInfos = new GrpcPathInfoService(endpoint);
  return new Store({
    address: address.text,
    castore: { blobs: new GrpcBlobService(endpoint), directories: new GrpcDirectoryService(endpoint) },
    pathInfos,
    // What NARs this process has seen there: the protocol has no such question.
    narIndex: new MemoryNarIndex(),
    narDigest: (root) => pathInfos.calculateNar(root),
    storeDir,
    received: () => endpoint.received,
    close: async () => endpoint.close(),
  });
}

function readInfo<D extends DescMessage>(schema: D, message: MessageShape<D>): PathInfo {
  return decodePathInfo(toBinary(schema, message));
}

async function* readInfos<D extends DescMessage>(
  schema: D,
  messages: AsyncIterable<MessageShape<D>>,
): AsyncGenerator<PathInfo> {
  for await (const message of messages) yield readInfo(schema, message);
}
