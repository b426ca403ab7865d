// PathInfoService for gRPC, the same under both its names.
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { decodeNode } from "../castore/canonical.ts";
import { checkNode } from "../castore/node.ts";
import { narDigest } from "../store/nar/render.ts";
import { decodePathInfo, encodePathInfo } from "../store/path-info.ts";
import type { Store } from "../store/store.ts";
import { TvixError } from "../base/error.ts";
import { checkWritable } from "./grpc-castore.ts";

interface GetPathInfo {
  readonly byWhat: { readonly case: "byOutputHash"; readonly value: Uint8Array } | { readonly case?: undefined };
}

/** What {@link pathInfoMethods} gives; it fits the descriptors of either package. */
export interface PathInfoMethods<P extends DescMessage, N extends DescMessage> {
  get(request: GetPathInfo): Promise<MessageShape<P>>;
  put(info: MessageShape<P>): Promise<MessageShape<P>>;
  calculateNAR(node: MessageShape<N>): Promise<{ narSize: bigint; narSha256: Uint8Array }>;
  list(): AsyncGenerator<MessageShape<P>>;
}

/** The methods of PathInfoService with path infos as messages of `schema` and roots of `rootSchema`. */
export function pathInfoMethods<P extends DescMessage, N extends DescMessage>(
  store: Store,
  schema: P,
  rootSchema: N,
  readOnly: boolean,
): PathInfoMethods<P, N> {
  const { pathInfos } = store;
  return {
    get: async ({ byWhat }) => {
      if (byWhat.case !== "byOutputHash") throw new ConnectError("by_what is not set", Code.Unimplemented);
      if (byWhat.value.length !== 20) {
        throw new ConnectError(`an output hash has 20 bytes, not ${byWhat.value.length}`, Code.InvalidArgument);
      }
      const info = await pathInfos.get(byWhat.value);
      if (info === undefined) throw new ConnectError("the path is not in the store", Code.NotFound);
      return fromBinary(schema, encodePathInfo(info));
    },
    put: async (message) => {
      checkWritable(readOnly);
      const info = invalidIfWrong("Invalid path info", () => decodePathInfo(toBinary(schema, message)));
      return fromBinary(schema, encodePathInfo(await pathInfos.put(info)));
    },
    calculateNAR: async (message) => {
      const { name, node } = invalidIfWrong("Invalid root", () => decodeNode(toBinary(rootSchema, message)));
      if (name.length > 0) throw new ConnectError("Invalid root: it has a name", Code.InvalidArgument);
      invalidIfWrong("Invalid root", () => checkNode(node));
      const { digest, size } = await narDigest(store.castore, node);
      return { narSize: BigInt(size), narSha256: digest };
    },
    list: async function* () {
      for await (const info of pathInfos.list()) yield fromBinary(schema, encodePathInfo(info));
    },
  };
}

function invalidIfWrong<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TvixError) throw new ConnectError(`${what}: ${error.message}`, Code.InvalidArgument);
    throw error;
  }
}
