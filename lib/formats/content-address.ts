// Content addresses: how the content of a store object was hashed to name it, as in narinfo's `CA` and path infos.

import { TvixError } from "../base/error.ts";
import { formatPrefixedHash, type HashAlgo, type NixHash, parseDigest, parseHashAlgo } from "./hash.ts";

/**
 * What was hashed: the bytes of a file as a text with references, the bytes of a flat file, the NAR of the object, or
 * its git object (experimental in Nix).
 */
export type ContentMethod = "text" | "flat" | "nar" | "git";

/** A method and the hash it gave. */
export interface ContentAddress {
  readonly method: ContentMethod;
  readonly hash: NixHash;
}

const PREFIXES: Readonly<Record<ContentMethod, string>> = {
  text: "text:",
  flat: "fixed:",
  nar: "fixed:r:",
  git: "fixed:git:",
};

/** Writes `text:sha256:…`, `fixed:<algo>:…`, `fixed:r:<algo>:…` or `fixed:git:<algo>:…`, the digest in nix32. */
export function formatContentAddress(address: ContentAddress): string {
  return PREFIXES[address.method] + formatPrefixedHash(address.hash, "nix32");
}

/** Reads what {@link formatContentAddress} writes, with the digest in any encoding. Throws `ERR_CA_SYNTAX`. */
export function parseContentAddress(text: string): ContentAddress {
  const [method, algo, digest] = splitAddress(text);
  if (digest === undefined) throw syntaxError(text, "it has no digest");
  return { method, hash: parseDigest(digest, algo) };
}

/** Writes method and algorithm without a digest (`text:sha256`, `fixed:r:sha256`), as the worker protocol does. */
export function formatContentMethod(method: ContentMethod, algo: HashAlgo): string {
  return PREFIXES[method] + algo;
}

/** Reads what {@link formatContentMethod} writes. Throws `ERR_CA_SYNTAX`. */
export function parseContentMethod(text: string): { readonly method: ContentMethod; readonly algo: HashAlgo } {
  const [method, algo, digest] = splitAddress(text);
  if (digest !== undefined) throw syntaxError(text, "a digest does not belong here");
  return { method, algo };
}

/** Writes the hash-algorithm field of a derivation's output: `sha256`, `r:sha256`, `text:sha256`, `git:sha1`. */
export function formatOutputMethod(method: ContentMethod, algo: HashAlgo): string {
  return OUTPUT_PREFIXES[method] + algo;
}

/** Reads what {@link formatOutputMethod} writes. Throws `ERR_HASH_UNKNOWN_ALGO`. */
export function parseOutputMethod(text: string): { readonly method: ContentMethod; readonly algo: HashAlgo } {
  if (text.startsWith("r:")) return { method: "nar", algo: parseHashAlgo(text.slice(2)) };
  if (text.startsWith("text:")) return { method: "text", algo: parseHashAlgo(text.slice(5)) };
  if (text.startsWith("git:")) return { method: "git", algo: parseHashAlgo(text.slice(4)) };
  return { method: "flat", algo: parseHashAlgo(text) };
}

const OUTPUT_PREFIXES: Readonly<Record<ContentMethod, string>> = { text: "text:", flat: "", nar: "r:", git: "git:" };

function splitAddress(text: string): [ContentMethod, HashAlgo, string | undefined] {
  const method = (["text", "nar", "git", "flat"] as const).find((each) => text.startsWith(PREFIXES[each]));
  if (method === undefined) throw syntaxError(text, "it starts neither with 'text:' nor with 'fixed:'");
  const rest = text.slice(PREFIXES[method].length);
  const colon = rest.indexOf(":");
  const algo = parseHashAlgo(colon < 0 ? rest : rest.slice(0, colon));
  if (method === "text" && algo !== "sha256") throw syntaxError(text, "a text is always hashed with sha256");
  return [method, algo, colon < 0 ? undefined : rest.slice(colon + 1)];
}

function syntaxError(text: string, why: string): TvixError {
  return new TvixError("ERR_CA_SYNTAX", `'${text.slice(0, 150)}' is not a content address: ${why}`);
}
