// Addresses: how a store is named on a command line, in a configuration or in a program.
//
//   (nothing)            the default local store
//   /path  ./path  ~/p   a local store in a directory; also file:///path and local:/path
//   memory:              a store in this process's memory
//   nix+https://host     a Nix binary cache, read only; also nix+http:, and nix+file:///path for one in a directory
//   dir:/path            objects as files in a directory, in the layout of object stores
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { TvixError } from "../base/error.ts";
import { type CacheAddress, parseCacheAddress } from "./nix-http/address.ts";

/** What an address stands for. */
export type StoreAddress =
  | { readonly kind: "local"; readonly directory: string }
  | { readonly kind: "object"; readonly directory: string }
  | { readonly kind: "cache"; readonly cache: CacheAddress }
  | { readonly kind: "memory" };

/** The forms that {@link parseAddress} knows, for people. */
export const KNOWN_ADDRESSES: readonly string[] = [
  "a path: a local store in that directory (also file:///path, local:/path)",
  "memory: a store that ends with the process",
  "nix+https://host: a Nix binary cache, read only (also nix+http:, nix+file:)",
  "dir:/path objects as files in a directory, laid out as in object stores",
];

/**
 * Where the default local store is: `$TVIX_STORE`, else `tvix/store` in `$XDG_DATA_HOME`, else in `~/.local/share`.
 */
export function defaultStoreDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { TVIX_STORE, XDG_DATA_HOME } = environment;
  if (TVIX_STORE) return resolve(TVIX_STORE);
  const data = XDG_DATA_HOME && isAbsolute(XDG_DATA_HOME) ? XDG_DATA_HOME : join(homedir(), ".local", "share");
  return join(data, "tvix", "store");
}

/**
 * Reads an address; none or an empty one is the default local store.
 * @throws TvixError `ERR_STORE_ADDRESS` naming the known forms.
 */
export function parseAddress(text?: string): StoreAddress {
  if (text === undefined || text === "") return { kind: "local", directory: defaultStoreDirectory() };
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: "local", directory: expand(text) };
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
    case "dir":
      return { kind: "object", directory: plainPath(text, rest) };
    default:
      throw addressError(text, `the scheme "${scheme}:" is not known`);
  }
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
