// Listening: where a server waits for connections, and how it stops without cutting anyone off.
//
// This room serves a store to others. Each protocol is a file that turns a store into a `node:net` server (an HTTP/2
// server is one): gRPC in `grpc.ts` with `reflection.ts` and `health.ts` beside it. Where the connections come from is
// this file's business alone: TCP, unix sockets, or sockets that systemd has opened.
//
//   [HOST]:PORT        TCP; without a host on all interfaces; port 0 is any free one
//   /path  unix:/path  a unix socket; one that nobody listens on any more is replaced
//   systemd[:NAME]     the sockets passed by systemd (LISTEN_FDS), or those called NAME
import { lstatSync, unlinkSync } from "node:fs";
import { connect, type ListenOptions, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import { TvixError } from "../base/error.ts";

/** A place to listen. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "systemd"; readonly name: string | undefined };

/** Servers that listen. */
export interface Listening {
  /** Where, as `host:port` with the port that was given out, `/path`, or `fd:3`. */
  readonly addresses: readonly string[];
  /**
   * Stops taking connections and waits until those there are have ended; after `grace` milliseconds they are cut.
   * Where a protocol has a way to say goodbye (GOAWAY, closing idle connections), its server says it before.
   */
  close(grace: number): Promise<void>;
}

/** The first descriptor that systemd passes. */
const FIRST_FD = 3;

/**
 * Reads where to listen.
 * @throws TvixError `ERR_LISTEN_ADDRESS` naming the known forms.
 */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith("/") || text.startsWith("./")) return { kind: "unix", path: resolve(text) };
  if (/^unix:./.test(text)) return { kind: "unix", path: resolve(text.slice(5)) };
  const systemd = /^systemd(?::(.+))?$/.exec(text);
  if (systemd) return { kind: "systemd", name: systemd[1] };
  const tcp = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text);
  const port = Number(tcp?.[3]);
  if (!tcp || port > 65535) {
    throw new TvixError("ERR_LISTEN_ADDRESS", `"${text}" is no place to listen`, {
      notes: ["HOST:PORT, [::1]:PORT or :PORT", "/path or unix:/path", "systemd or systemd:NAME"],
    });
  }
  return { kind: "tcp", host: tcp[1] ?? (tcp[2] || undefined), port };
}

/**
 * Listens at every address, each with a server of its own from `create`, which is told of what kind the address is. If
 * one fails, none is left listening.
 * @throws TvixError `ERR_LISTEN` when an address cannot be had, `ERR_LISTEN_SYSTEMD` when systemd passed no socket.
 */
export async function listen(
  addresses: readonly ListenAddress[],
  create: (kind: ListenAddress["kind"]) => Server,
): Promise<Listening> {
  const places = addresses.flatMap((address) => placesOf(address).map((place) => ({ place, kind: address.kind })));
  const open: Open[] = [];
  try {
    for (const { place, kind } of places) open.push(await bind(create(kind), place));
  } catch (error) {
    await Promise.all(open.map((one) => closeOne(one, 0)));
    throw error;
  }
  return {
    addresses: open.map(({ server, place }) => shown(server, place)),
    close: async (grace) => {
      await Promise.all(open.map((one) => closeOne(one, grace)));
    },
  };
}

interface Open {
  readonly server: Server;
  readonly place: ListenOptions & { fd?: number };
  readonly sockets: ReadonlySet<Socket>;
}

function placesOf(address: ListenAddress): Open["place"][] {
  if (address.kind === "tcp") return [{ port: address.port, ...(address.host ? { host: address.host } : {}) }];
  if (address.kind === "unix") return [{ path: address.path }];
  const fds = systemdSockets(process.env, process.pid, address.name);
  if (fds.length === 0) {
    const which = address.name === undefined ? "no socket" : `no socket called ${address.name}`;
    throw new TvixError("ERR_LISTEN_SYSTEMD", `systemd passed ${which}`, {
      notes: ["LISTEN_PID and LISTEN_FDS are set for a service that a .socket unit starts"],
    });
  }
  return fds.map((fd) => ({ fd }));
}

/** The descriptors that systemd passed to process `pid`: all, or those of one name. The protocol is sd_listen_fds(3). */
export function systemdSockets(environment: NodeJS.ProcessEnv, pid: number, name?: string): number[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== pid || !Number.isInteger(count) || count < 1) return [];
  const names = LISTEN_FDNAMES?.split(":") ?? [];
  const fds = Array.from({ length: count }, (_, i) => FIRST_FD + i);
  return name === undefined ? fds : fds.filter((_, i) => names[i] === name);
}

async function bind(server: Server, place: Open["place"]): Promise<Open> {
  if (place.path !== undefined) await removeStale(place.path);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((done, failed) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const at =
        place.path ?? (place.fd === undefined ? `${place.host ?? ""}:${place.port}` : `descriptor ${place.fd}`);
      failed(new TvixError("ERR_LISTEN", `cannot listen on ${at}: ${cause.message}`, { cause }));
    });
    server.listen(place, done);
  });
  server.removeAllListeners("error");
  return { server, place, sockets };
}

/** Removes a unix socket that a process left behind; one that answers is left alone, and so is any other file. */
async function removeStale(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const refused = await new Promise<boolean>((done) => {
    const probe = connect(path);
    probe
      .on("connect", () => done(false))
      .on("error", (error: NodeJS.ErrnoException) => {
        done(error.code === "ECONNREFUSED");
      });
    probe.on("connect", () => probe.destroy());
  });
  if (refused) unlinkSync(path);
}

function shown(server: Server, place: Open["place"]): string {
  if (place.path !== undefined) return place.path;
  const address = server.address();
  if (typeof address === "string") return address;
  if (address === null) return `fd:${place.fd}`;
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

async function closeOne({ server, sockets }: Open, grace: number): Promise<void> {
  const closed = new Promise<void>((done) => {
    server.close(() => done());
  });
  const cut = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, grace);
  await closed;
  clearTimeout(cut);
}
