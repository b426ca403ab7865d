// Addresses: how a store is named on a command line, in a configuration or in a program.
//
//   (nothing)            what $TVIX_STORE says, else the local store in the user's data directory
//   /path  ./path  ~/p   a local store in a directory; also file:///path and local:/path
//   memory:              a store in this process's memory
//   nix+https://host     a Nix binary cache, read only; also nix+http:, and nix+file:///path for one in a directory
//   dir:/path            objects as files in a directory, in the layout of object stores
//   s3://bucket/prefix   objects in a bucket, with ?endpoint=URL elsewhere than at AWS (castore/object/s3.ts)
//   grpc+http://host     a daemon: also grpc+https:, grpc+unix: (castore/grpc/address.ts)
//   compose:/file.toml   stores made of others (compose/file.ts); #NAME behind it opens another than "root"
//   cache:?near=A&far=B  what is read from B is kept in A; several far= are asked in turn
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { TvixError } from "../base/error.ts";
import { parseS3Address, type S3Address } from "../castore/object/s3-address.ts";
import { type CacheAddress, parseCacheAddress } from "./nix-http/address.ts";
import { type GrpcAddress, isGrpcScheme, parseGrpcAddress } from "../castore/grpc/address.ts";

/** What an address stands for. */
export type StoreAddress =
  | { readonly kind: "local"; readonly directory: string }
  | { readonly kind: "object"; readonly directory: string }
  | { readonly kind: "cache"; readonly cache: CacheAddress }
  | { readonly kind: "s3"; readonly s3: S3Address }
  | { readonly kind: "grpc"; readonly grpc: GrpcAddress }
  | { readonly kind: "compose"; readonly file: string; readonly name: string }
  | { readonly kind: "cached"; readonly near: string; readonly far: readonly string[] }
  | { readonly kind: "memory" };

/** The forms that {@link parseAddress} knows, for people. */
export const KNOWN_ADDRESSES: readonly string[] = [
  "a path: a local store in that directory (also file:///path, local:/path)",
  "memory: a store that ends with the process",
  "nix+https://host: a Nix binary cache, read only (also nix+http:, nix+file:)",
  "compose:/file.toml stores made of others, as the file says",
  "cache:?near=ADDRESS&far=ADDRESS what is read from far is kept near",
  "dir:/path objects as files in a directory, laid out as in object stores",
  "s3://bucket/prefix objects in a bucket; ?endpoint=URL for gateways, ?region=NAME",
  "grpc+http://host:port a daemon (also grpc+https:, grpc+unix:///path); several of one store: grpc+http://a,b",
];

/** The directory of the user's own store: `tvix/store` in `$XDG_DATA_HOME`, else in `~/.local/share`. */
export function defaultStoreDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_DATA_HOME } = environment;
  const data = XDG_DATA_HOME && isAbsolute(XDG_DATA_HOME) ? XDG_DATA_HOME : join(homedir(), ".local", "share");
  return join(data, "tvix", "store");
}

/**
 * Reads an address; none is the one in `$TVIX_STORE`, and without that (or empty) the user's own store.
 * @throws TvixError `ERR_STORE_ADDRESS` naming the known forms, or `ERR_CASTORE_ADDRESS` for that of a server.
 */
export function parseAddress(given?: string, environment: NodeJS.ProcessEnv = process.env): StoreAddress {
  const text = given ?? environment["TVIX_STORE"] ?? "";
  if (text === "") return { kind: "local", directory: defaultStoreDirectory(environment) };
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: "local", directory: expand(text) };
  if (isGrpcScheme(scheme)) return { kind: "grpc", grpc: parseGrpcAddress(text) };
  const rest = text.slice(scheme.length + 1);
  switch (scheme) {
    case "memory":
      if (rest !== "" && rest !== "//") throw addressError(text, "memory: takes no path");
      return { kind: "memory" };
    case "file":
      return { kind: "local", directory: filePath(text) };
    case "local":
      return { kind: "local", directory: plainPath(text, rest) };
    case "nix+https":
    case "nix+http":
    case "nix+file":
      return { kind: "cache", cache: parseCacheAddress(text) };
    case "s3":
      return { kind: "s3", s3: parseS3Address(text) };
    case "compose": {
      const [, file = "", name = "root"] = /^([^#]*)(?:#(.+))?$/.exec(rest) ?? [];
      return { kind: "compose", file: plainPath(text, file), name };
    }
    case "cache":
      return { kind: "cached", ...nearAndFar(text, rest) };
    case "dir":
      return { kind: "object", directory: plainPath(text, rest) };
    default:
      throw addressError(text, `the scheme "${scheme}:" is not known`);
  }
}

function nearAndFar(text: string, rest: string): { near: string; far: string[] } {
  const query = new URLSearchParams(rest.replace(/^(\/\/)?\?/, ""));
  const [near, ...others] = query.getAll("near");
  const far = query.getAll("far");
  if (near === undefined || others.length > 0 || far.length === 0 || [...query.keys()].length !== 1 + far.length) {
    throw addressError(text, "it has one near= and at least one far=, each with an address");
  }
  return { near, far };
}

function expand(path: string): string {
  return resolve(path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path);
}

function filePath(text: string): string {
  try {
    return fileURLToPath(text);
  } catch (cause) {
    throw addressError(text, cause instanceof Error ? cause.message : "not a file URL");
  }
}

function plainPath(text: string, rest: string): string {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  if (path === "") throw addressError(text, "it names no directory");
  return expand(path);
}

/** The error for a text that is no address. */
function addressError(text: string, why: string): TvixError {
  return new TvixError("ERR_STORE_ADDRESS", `"${text}" is not the address of a store: ${why}`, {
    notes: KNOWN_ADDRESSES.map((form) => `known: ${form}`),
  });
}
