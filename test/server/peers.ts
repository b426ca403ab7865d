// Servers for tests: ours on a unix socket, and others that speak what a test has them speak.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterAll } from "vitest";
import type { GrpcOptions } from "../../lib/castore/grpc/endpoint.ts";
import { parseGrpcAddress } from "../../lib/castore/grpc/address.ts";
import { type GrpcServerOptions, serveGrpc } from "../../lib/server/grpc.ts";
import { listen, parseListen } from "../../lib/server/listen.ts";
import { openGrpcStore } from "../../lib/store/grpc.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";

const scratch = mkdtempSync(join(tmpdir(), "tvix-grpc-"));
let count = 0;
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A path in a directory that goes with the tests. */
export function freshPath(name: string): string {
  return join(scratch, `${count++}-${name}`);
}

/** A server and a client of it. */
export interface Pair {
  readonly address: string;
  readonly socket: string;
  readonly client: Store;
  /** What the server serves. */
  readonly behind: Store;
  readonly close: () => Promise<void>;
}

/** Our server over a store (a new one in memory if none is given), and our client. */
export async function startPair(options: GrpcServerOptions = {}, behind?: Store): Promise<Pair> {
  const store = behind ?? (await openStore("memory:"));
  const socket = freshPath("sock");
  const listening = await serveGrpc(store, [parseListen(socket)], options);
  const address = `grpc+unix://${socket}`;
  const client = await openStore(address);
  return {
    address,
    socket,
    client,
    behind: store,
    close: async () => {
      await client.close();
      await listening.close(1000);
      await store.close();
    },
  };
}

/** A server that has the services given, whatever they do, and our client. */
export async function startPeer(
  routes: (router: ConnectRouter) => void,
  options: GrpcOptions = {},
): Promise<{ client: Store; address: string; close: () => Promise<void> }> {
  const socket = freshPath("peer");
  const handle = connectNodeAdapter({ routes, grpc: true, grpcWeb: false, connect: false });
  const listening = await listen([parseListen(socket)], () => createServer(handle));
  const address = `grpc+unix://${socket}`;
  const client = await openGrpcStore(parseGrpcAddress(address), undefined, options);
  return {
    client,
    address,
    close: async () => {
      await client.close();
      await listening.close(0);
    },
  };
}
