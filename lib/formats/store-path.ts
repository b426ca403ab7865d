// Store paths: their names, how they are read and written, and the constructions that derive them from contents.
//
// `<store dir>/<hash>-<name>`. The hash is 160 bits of a SHA-256 over a *fingerprint*
// `<type>:sha256:<inner hash>:<store dir>:<name>`, folded by XOR; what the type and the inner hash are depends on how
// the object came to be, and the five constructions at the end of this file are all there are.

import { toHex } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { displayBytes, latin1ToBytes } from "../base/text.ts";
import { type ContentAddress, formatOutputMethod } from "./content-address.ts";
import { digestLatin1, sha256 } from "./digest.ts";
import type { NixHash } from "./hash.ts";
import * as base32 from "./nixbase32.ts";

/** Where stores are unless configured otherwise. It is part of every fingerprint, hence of every hash. */
export const STORE_DIR = "/nix/store";

const HASH_CHARS = 32;
const HASH_BYTES = 20;
const NAME_MAX = 211;

/** 1 for the bytes that names may hold: `[0-9a-zA-Z+\-._?=]`. */
const NAME_CHARS: Uint8Array = new Uint8Array(256);
for (const char of "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?=") {
  NAME_CHARS[char.charCodeAt(0)] = 1;
}

/**
 * A store path without its store directory: a hash and a valid name. Immutable; equal paths have equal
 * {@link StorePath.basename}s, and the order of store paths is the order of those strings.
 */
export class StorePath {
  /** 32 digits of Nix's base-32. */
  readonly hash: string;
  /** 1 to 211 chars of `[0-9a-zA-Z+\-._?=]`, not `.` or `..` or beginning `.-` or `..-`. */
  readonly name: string;

  private constructor(hash: string, name: string) {
    this.hash = hash;
    this.name = name;
  }

  /** Joins a 20-byte hash and a name; throws the errors of {@link checkStoreName}. */
  static of(digest: Uint8Array, name: string): StorePath {
    if (digest.length !== HASH_BYTES) {
      throw new TvixError("ERR_STORE_PATH_HASH", `a store path's hash has 20 bytes, not ${digest.length}`);
    }
    return new StorePath(base32.encode(digest), checkStoreName(name));
  }

  /** Reads `<hash>-<name>`. Throws `ERR_STORE_PATH_SYNTAX`, `ERR_STORE_PATH_HASH` or `ERR_STORE_PATH_NAME`. */
  static parse(basename: string): StorePath {
    if (basename.length < HASH_CHARS + 1 || basename.charCodeAt(HASH_CHARS) !== 0x2d) {
      throw new TvixError("ERR_STORE_PATH_SYNTAX", `'${shown(basename)}' is not a store path`, {
        notes: ["expected 32 base-32 digits, a dash and a name"],
      });
    }
    if (!base32.isDigits(basename, 0, HASH_CHARS)) {
      throw new TvixError(
        "ERR_STORE_PATH_HASH",
        `'${shown(basename)}' has a char that is no base-32 digit in its hash`,
      );
    }
    return new StorePath(basename.slice(0, HASH_CHARS), checkStoreName(basename.slice(HASH_CHARS + 1)));
  }

  /** Reads `<store dir>/<hash>-<name>`; additionally throws `ERR_STORE_PATH_OUTSIDE`. */
  static parseAbsolute(path: string, storeDir: string = STORE_DIR): StorePath {
    return StorePath.parse(insideStore(path, storeDir));
  }

  /** Splits a path at or below a store path into that store path and the rest (`""`, or `/bin/sh`). */
  static split(path: string, storeDir: string = STORE_DIR): { readonly path: StorePath; readonly rest: string } {
    const inside = insideStore(path, storeDir);
    const slash = inside.indexOf("/");
    if (slash < 0) return { path: StorePath.parse(inside), rest: "" };
    return { path: StorePath.parse(inside.slice(0, slash)), rest: inside.slice(slash) };
  }

  /** The hash as 20 bytes. */
  get digest(): Uint8Array {
    return base32.decode(this.hash);
  }

  /** `<hash>-<name>`. */
  get basename(): string {
    return `${this.hash}-${this.name}`;
  }

  /** `<store dir>/<hash>-<name>`. */
  absolute(storeDir: string = STORE_DIR): string {
    return `${storeDir}/${this.hash}-${this.name}`;
  }

  /** Whether it names a derivation's file. */
  isDerivation(): boolean {
    return this.name.endsWith(".drv");
  }

  /** The same as {@link StorePath.basename}. */
  toString(): string {
    return this.basename;
  }
}

/** Orders store paths: by hash, then by name. */
export function compareStorePaths(a: StorePath, b: StorePath): number {
  if (a.hash !== b.hash) return a.hash < b.hash ? -1 : 1;
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

/** Returns `name` if it may name a store path; throws `ERR_STORE_PATH_NAME` saying why not otherwise. */
export function checkStoreName(name: string): string {
  if (name.length === 0) throw nameError(name, "name must not be empty");
  if (name.length > NAME_MAX) {
    throw nameError(name, `name must be no longer than ${NAME_MAX} characters, it has ${name.length}`);
  }
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code > 255 || NAME_CHARS[code] === 0) {
      throw nameError(name, `name '${shown(name)}' contains illegal character '${shown(name.charAt(i))}'`);
    }
  }
  if (name.charCodeAt(0) === 0x2e) {
    if (name === "." || name === "..") throw nameError(name, `name '${name}' is not valid`);
    if (name.startsWith(".-") || name.startsWith("..-")) {
      const first = name.slice(0, name.indexOf("-"));
      throw nameError(name, `name '${name}' is not valid: first dash-separated component must not be '${first}'`);
    }
  }
  return name;
}

/** Inputs that every construction takes. */
interface Construction {
  /** The name of the object. */
  readonly name: string;
  /** Default `/nix/store`. */
  readonly storeDir?: string | undefined;
}

/** Other store paths that the object's contents mention, absolute; order and repetition do not matter. */
export type References = Iterable<string>;

/** Construction 1: a text with references (`builtins.toFile`, derivations), given its contents or their SHA-256. */
export function textPath(
  input: Construction & {
    readonly contents: Uint8Array | { readonly sha256: Uint8Array };
    readonly references?: References;
  },
): StorePath {
  const inner = input.contents instanceof Uint8Array ? sha256(input.contents) : input.contents.sha256;
  return makeStorePath(`text${joinReferences(input.references)}`, toHex(inner), input.name, input.storeDir);
}

/**
 * Construction 2: an object named by the SHA-256 of its NAR. `selfReferencing` says whether its contents mention its
 * own path (the hash is then that of the NAR with the own hash part blanked).
 */
export function sourcePath(
  input: Construction & {
    readonly narSha256: Uint8Array;
    readonly references?: References;
    readonly selfReferencing?: boolean;
  },
): StorePath {
  const type = `source${joinReferences(input.references)}${input.selfReferencing === true ? ":self" : ""}`;
  return makeStorePath(type, toHex(input.narSha256), input.name, input.storeDir);
}

/** Construction 3: any other content hash: a flat file, or a NAR (or git object) hashed otherwise than with SHA-256. */
export function fixedPath(
  input: Construction & { readonly method: "flat" | "nar" | "git"; readonly hash: NixHash },
): StorePath {
  const text = `fixed:out:${formatOutputMethod(input.method, input.hash.algo)}:${toHex(input.hash.digest)}:`;
  return makeStorePath("output:out", toHex(digestLatin1("sha256", text)), input.name, input.storeDir);
}

/**
 * Construction 4: whatever a content address says, choosing among the three above. References with a method that
 * cannot have any throw `ERR_STORE_PATH_REFERENCES`.
 */
export function contentAddressedPath(
  input: Construction & {
    readonly address: ContentAddress;
    readonly references?: References;
    readonly selfReferencing?: boolean;
  },
): StorePath {
  const { method, hash } = input.address;
  const { name, storeDir, references = [], selfReferencing = false } = input;
  if (method === "text") {
    if (selfReferencing) throw referencesError(name, "a text cannot refer to itself");
    if (hash.algo !== "sha256") throw referencesError(name, "a text is always hashed with sha256");
    return textPath({ name, storeDir, contents: { sha256: hash.digest }, references });
  }
  if (method === "nar" && hash.algo === "sha256") {
    return sourcePath({ name, storeDir, narSha256: hash.digest, references, selfReferencing });
  }
  if (selfReferencing || !isEmpty(references)) {
    throw referencesError(
      name,
      `an object addressed by ${formatOutputMethod(method, hash.algo)} cannot have references`,
    );
  }
  return fixedPath({ name, storeDir, method, hash });
}

/** Construction 5: output `output` of a derivation named `name` whose masked modulo hash is `modulo` (hexadecimal). */
export function outputPath(input: Construction & { readonly output: string; readonly modulo: string }): StorePath {
  return makeStorePath(
    `output:${input.output}`,
    input.modulo,
    outputPathName(input.name, input.output),
    input.storeDir,
  );
}

/** The name of an output's path: the derivation's name, and `-<output>` unless that is `out`. */
export function outputPathName(derivationName: string, output: string): string {
  return output === "out" ? derivationName : `${derivationName}-${output}`;
}

/** `builtins.placeholder`: the text that stands for the path of `output` inside its own derivation. */
export function placeholder(output: string): string {
  return `/${base32.encode(digestLatin1("sha256", `nix-output:${output}`))}`;
}

/** The text that stands for the path, not yet known, of `output` of the content-addressed derivation at `drvPath`. */
export function upstreamPlaceholder(drvPath: StorePath, output: string): string {
  const name = outputPathName(drvPath.name.replace(/\.drv$/, ""), output);
  return `/${base32.encode(digestLatin1("sha256", `nix-upstream-output:${drvPath.hash}:${name}`))}`;
}

/**
 * The text that stands for the path of `output` of a derivation that itself is not built yet: `derivation` is the
 * placeholder of the output which that derivation will be.
 */
export function computedPlaceholder(derivation: string, output: string): string {
  const folded = base32.encode(compressHash(base32.decode(derivation.slice(1))));
  return `/${base32.encode(digestLatin1("sha256", `nix-computed-output:${folded}:${output}`))}`;
}

/** Folds a digest to 20 bytes by XOR, as every store path's hash is. */
export function compressHash(digest: Uint8Array, size: number = HASH_BYTES): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < digest.length; i++) out[i % size] = (out[i % size] as number) ^ (digest[i] as number);
  return out;
}

/** The path with fingerprint `<type>:sha256:<inner>:<store dir>:<name>`; `inner` is lower-case hexadecimal. */
export function makeStorePath(type: string, inner: string, name: string, storeDir: string = STORE_DIR): StorePath {
  return StorePath.of(compressHash(digestLatin1("sha256", `${type}:sha256:${inner}:${storeDir}:${name}`)), name);
}

function joinReferences(references: References | undefined): string {
  if (references === undefined) return "";
  let out = "";
  for (const reference of [...new Set(references)].sort()) out += `:${reference}`;
  return out;
}

function isEmpty(references: References): boolean {
  for (const _ of references) return false;
  return true;
}

function insideStore(path: string, storeDir: string): string {
  if (path.length <= storeDir.length || !path.startsWith(storeDir) || path.charCodeAt(storeDir.length) !== 0x2f) {
    throw new TvixError("ERR_STORE_PATH_OUTSIDE", `path '${shown(path)}' is not in the Nix store`, {
      notes: [`the store is at ${storeDir}`],
    });
  }
  return path.slice(storeDir.length + 1);
}

function nameError(name: string, why: string): TvixError {
  return new TvixError("ERR_STORE_PATH_NAME", why, name.length > 60 ? {} : { notes: [`the name is '${shown(name)}'`] });
}

function referencesError(name: string, why: string): TvixError {
  return new TvixError("ERR_STORE_PATH_REFERENCES", `'${name}': ${why}`);
}

function shown(text: string): string {
  const cut = text.length <= 250 ? text : `${text.slice(0, 250)}…`;
  return /^[\u0020-\u007e]*$/.test(cut) ? cut : displayBytes(latin1ToBytes(cut));
}
