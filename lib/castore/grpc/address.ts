// Addresses of gRPC servers.
//
//   grpc+http://host[:port]         over TCP; several servers of one store: grpc+http://a:8000,b:8000
//   grpc+https://host[:port]        over TLS; ?tls_ca_cert_path=FILE, ?tls_client_cert_path=, ?tls_client_key_path=
//   grpc+unix:///path               over a unix socket; also grpc+unix:/path
//
// `?wait-connect=1` connects when the store is opened instead of at the first call.
import { readFileSync } from "node:fs";
import { TvixError } from "../../base/error.ts";

/** Where the servers of a store are. */
export interface GrpcAddress {
  /** The address as it was given. */
  readonly text: string;
  readonly servers: readonly GrpcServerAddress[];
  readonly waitConnect: boolean;
  readonly tls: { readonly ca?: Uint8Array; readonly cert?: Uint8Array; readonly key?: Uint8Array };
}

/** One server. */
export interface GrpcServerAddress {
  /** `http://host:port`; what a unix socket is called is of no meaning. */
  readonly url: string;
  readonly socket?: string;
}

const DEFAULT_PORT = 8000;
const TLS_FILES = { tls_ca_cert_path: "ca", tls_client_cert_path: "cert", tls_client_key_path: "key" } as const;

/** Whether a scheme (without the colon) is one of those here. */
export function isGrpcScheme(scheme: string): boolean {
  return ["grpc+http", "grpc+https", "grpc+unix"].includes(scheme);
}

/**
 * Reads an address.
 * @throws TvixError `ERR_CASTORE_ADDRESS` saying what is wrong with it.
 */
export function parseGrpcAddress(text: string): GrpcAddress {
  const match = /^grpc\+(http|https|unix):([^?#]*)(?:\?([^#]*))?$/.exec(text);
  if (!match) throw addressError(text, "it is not one of grpc+http://, grpc+https://, grpc+unix://");
  const [, scheme, place = "", query = ""] = match;
  const servers = scheme === "unix" ? [unixServer(text, place)] : tcpServers(text, scheme as "http" | "https", place);
  const { waitConnect, tls } = readQuery(text, query, scheme === "https");
  return { text, servers, waitConnect, tls };
}

function unixServer(text: string, place: string): GrpcServerAddress {
  const path = /^(?:\/\/)?(\/(?!\/).*)$/.exec(place)?.[1];
  if (path === undefined || path === "/") throw addressError(text, "it names no absolute path of a socket");
  return { url: "http://localhost", socket: decodeURIComponent(path) };
}

function tcpServers(text: string, scheme: "http" | "https", place: string): GrpcServerAddress[] {
  if (!place.startsWith("//")) throw addressError(text, "it names no host");
  return place
    .slice(2)
    .split(",")
    .map((host) => {
      if (!/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/.test(host)) {
        throw addressError(text, host.includes("/") ? "it may not have a path" : `"${host}" is not HOST or HOST:PORT`);
      }
      const port = /:\d+$/.test(host) ? "" : `:${scheme === "https" ? 443 : DEFAULT_PORT}`;
      return { url: `${scheme}://${host}${port}` };
    });
}

function readQuery(text: string, query: string, secure: boolean): Pick<GrpcAddress, "waitConnect" | "tls"> {
  const tls: { ca?: Uint8Array; cert?: Uint8Array; key?: Uint8Array } = {};
  let waitConnect = false;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "wait-connect") waitConnect = value === "1" || value === "true";
    else if (secure && Object.hasOwn(TLS_FILES, name)) {
      tls[TLS_FILES[name as keyof typeof TLS_FILES]] = readTlsFile(text, value);
    } else throw addressError(text, `the parameter "${name}" is not known`);
  }
  return { waitConnect, tls };
}

function readTlsFile(text: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw addressError(text, cause instanceof Error ? cause.message : `${path} cannot be read`);
  }
}

function addressError(text: string, why: string): TvixError {
  return new TvixError("ERR_CASTORE_ADDRESS", `"${text}" is not the address of a gRPC server: ${why}`, {
    notes: ["grpc+http://host:port", "grpc+https://host", "grpc+unix:///path/of/socket"],
  });
}
