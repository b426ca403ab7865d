// narinfo: what a binary cache says about one store path.

import { TvixError } from "../base/error.ts";
import { type ContentAddress, formatContentAddress, parseContentAddress } from "./content-address.ts";
import { readFields } from "./fields.ts";
import { formatPrefixedHash, type NixHash, parsePrefixedHash } from "./hash.ts";
import { formatSignature, parseSignature, type Signature } from "./signature.ts";
import { STORE_DIR, StorePath } from "./store-path.ts";

/** A narinfo. Sizes are in bytes; what is optional may be absent in the file. */
export interface NarInfo {
  readonly storePath: StorePath;
  /** Where the (compressed) archive is: relative to the cache's root, or absolute. */
  readonly url: string;
  /** `none`, `xz`, `bzip2`, `gzip`, `zstd`, `br`, …; `bzip2` when the file does not say. */
  readonly compression: string;
  /** Hash and size of the file at `url`, that is, of the compressed archive. */
  readonly fileHash?: NixHash;
  readonly fileSize?: number;
  /** SHA-256 and size of the archive itself. */
  readonly narHash: NixHash;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  /** The derivation that made it. */
  readonly deriver?: StorePath;
  readonly system?: string;
  readonly signatures: readonly Signature[];
  readonly ca?: ContentAddress;
}

/** Options of {@link parseNarInfo}. */
export interface NarInfoOptions {
  /** Default `/nix/store`. */
  readonly storeDir?: string;
  /**
   * Reads what caches in the wild serve and C++ Nix takes: no `References` line, references twice, a `NarSize` of 0, a
   * deriver that is not named `.drv`. Signatures that cannot be read are left out: they could not verify anyway.
   */
  readonly lenient?: boolean;
}

/** The media type under which a cache serves it. */
export const NARINFO_TYPE = "text/x-nix-narinfo";

/** Bytes of a narinfo at most; the largest in public caches, with some 10 000 references, stay well below. */
const SIZE_MAX = 4 * 1024 * 1024;

const OF = { what: "the narinfo", syntax: "ERR_NARINFO_SYNTAX" } as const;

const SINGLE: ReadonlySet<string> = new Set([
  "StorePath",
  "URL",
  "Compression",
  "FileHash",
  "FileSize",
  "NarHash",
  "NarSize",
  "References",
  "Deriver",
  "System",
  "CA",
]);

/**
 * Reads a narinfo. Unknown keys are ignored, known ones may occur once.
 *
 * @throws TvixError `ERR_NARINFO_SYNTAX`, `ERR_NARINFO_DUPLICATE`, `ERR_NARINFO_MISSING`, or `ERR_NARINFO_VALUE` with
 *   the reason as its cause
 */
export function parseNarInfo(input: string | Uint8Array, options: NarInfoOptions = {}): NarInfo {
  const { storeDir = STORE_DIR, lenient = false } = options;
  const single = new Map<string, string>();
  const signatures: Signature[] = [];
  for (const { key, value, line } of readFields(input, OF, SIZE_MAX)) {
    if (key === "Sig") {
      const signature = read("Sig", () => parseSignature(value), lenient);
      if (signature !== undefined) signatures.push(signature);
    } else if (SINGLE.has(key)) {
      if (single.has(key)) {
        throw new TvixError("ERR_NARINFO_DUPLICATE", `line ${line} of the narinfo gives ${key} a second time`);
      }
      single.set(key, value);
    }
  }
  const required = (key: string): string => {
    const value = single.get(key);
    if (value === undefined || value === "") throw new TvixError("ERR_NARINFO_MISSING", `the narinfo has no ${key}`);
    return value;
  };
  const optional = <T>(key: string, parse: (value: string) => T | undefined): Record<string, T> => {
    const text = single.get(key);
    const value = text === undefined || text === "" ? undefined : read(key, () => parse(text));
    return value === undefined ? {} : { [key.slice(0, 1).toLowerCase() + key.slice(1)]: value };
  };
  const narSize = read("NarSize", () => parseSize(required("NarSize"))) as number;
  if (narSize === 0 && !lenient) throw valueError("NarSize", "no archive has 0 bytes");
  if (!single.has("References") && !lenient) {
    throw new TvixError("ERR_NARINFO_MISSING", "the narinfo has no References");
  }
  return {
    storePath: read("StorePath", () => StorePath.parseAbsolute(required("StorePath"), storeDir)) as StorePath,
    url: required("URL"),
    compression: single.get("Compression") || "bzip2",
    ...optional("FileHash", parsePrefixedHash),
    ...optional("FileSize", parseSize),
    narHash: read("NarHash", () => parseNarHash(required("NarHash"))) as NixHash,
    narSize,
    references: parseReferences(single.get("References") ?? "", lenient),
    ...optional("Deriver", (value) => parseDeriver(value, lenient)),
    ...optional("System", (value) => value),
    signatures,
    ...(single.get("CA")
      ? { ca: read("CA", () => parseContentAddress(single.get("CA") as string)) as ContentAddress }
      : {}),
  };
}

/** Writes a narinfo in the order of C++ Nix, keeping the order of references and signatures. */
export function formatNarInfo(info: NarInfo, storeDir: string = STORE_DIR): string {
  const lines = [
    `StorePath: ${info.storePath.absolute(storeDir)}`,
    `URL: ${info.url}`,
    `Compression: ${info.compression}`,
  ];
  if (info.fileHash !== undefined) lines.push(`FileHash: ${formatPrefixedHash(info.fileHash, "nix32")}`);
  if (info.fileSize !== undefined) lines.push(`FileSize: ${info.fileSize}`);
  lines.push(`NarHash: ${formatPrefixedHash(info.narHash, "nix32")}`, `NarSize: ${info.narSize}`);
  lines.push(`References: ${info.references.map((reference) => reference.basename).join(" ")}`);
  if (info.deriver !== undefined) lines.push(`Deriver: ${info.deriver.basename}`);
  if (info.system !== undefined) lines.push(`System: ${info.system}`);
  for (const signature of info.signatures) lines.push(`Sig: ${formatSignature(signature)}`);
  if (info.ca !== undefined) lines.push(`CA: ${formatContentAddress(info.ca)}`);
  for (const line of lines) {
    if (line.includes("\n"))
      throw new TvixError("ERR_NARINFO_VALUE", `a value with a line feed: ${JSON.stringify(line)}`);
  }
  return `${lines.join("\n")}\n`;
}

function parseNarHash(text: string): NixHash {
  // Some caches write the bare digest in base-16, which Nix reads as well.
  const hash = parsePrefixedHash(/^[0-9a-f]{64}$/.test(text) ? `sha256:${text}` : text);
  if (hash.algo !== "sha256") throw valueError("NarHash", `archives are hashed with sha256, not ${hash.algo}`);
  return hash;
}

function parseReferences(text: string, lenient: boolean): StorePath[] {
  const names = text.split(" ").filter((name) => name !== "");
  const distinct = new Set(names);
  if (distinct.size < names.length && !lenient) throw valueError("References", "a path is named twice");
  return Array.from(distinct, (name) => read("References", () => StorePath.parse(name)) as StorePath);
}

function parseDeriver(text: string, lenient: boolean): StorePath | undefined {
  if (text === "unknown-deriver") return undefined;
  const deriver = StorePath.parse(text);
  if (!deriver.isDerivation() && !lenient) throw valueError("Deriver", `'${text}' does not end in .drv`);
  return deriver;
}

function parseSize(text: string): number {
  const size = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new TvixError("ERR_NARINFO_VALUE", `'${text.slice(0, 40)}' is not a size`);
  return size;
}

/** Runs a parser; what it throws becomes the cause of an error that names the key, or `undefined` when lenient. */
function read<T>(key: string, parse: () => T, lenient = false): T | undefined {
  try {
    return parse();
  } catch (cause) {
    if (lenient) return undefined;
    if (cause instanceof TvixError && cause.code.startsWith("ERR_NARINFO_")) throw cause;
    throw valueError(key, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function valueError(key: string, why: string, cause?: unknown): TvixError {
  return new TvixError("ERR_NARINFO_VALUE", `the narinfo's ${key} is wrong: ${why}`, { cause });
}
