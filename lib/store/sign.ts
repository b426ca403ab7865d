// Signatures of path infos: made with Nix's key files, and what is trusted.
import { readFile } from "node:fs/promises";
import { TvixError } from "../base/error.ts";
import { nixHash } from "../formats/hash.ts";
import {
  fingerprint,
  formatPublicKey,
  parsePublicKey,
  parseSecretKey,
  type PublicKey,
  type SecretKey,
  signText,
  toPublicKey,
  verifyText,
} from "../formats/signature.ts";
import { contentAddressedPath, type StorePath } from "../formats/store-path.ts";
import type { PathClaim, PathInfo } from "./path-info.ts";
import type { PathInfoService } from "./service.ts";
import type { Store } from "./store.ts";

/** The text that signatures of a path info are over. */
export function fingerprintOf(info: PathClaim, storeDir?: string): string {
  const { path, narSha256, narSize, references } = info;
  return fingerprint({ storePath: path, narHash: nixHash("sha256", narSha256), narSize, references }, storeDir);
}

/** Adds a signature, in place of one by a key of the same name. */
export function signPathInfo(info: PathInfo, key: SecretKey, storeDir?: string): PathInfo {
  const others = info.signatures.filter((signature) => signature.name !== key.name);
  return { ...info, signatures: [...others, signText(key, fingerprintOf(info, storeDir))] };
}

/** Why a path info is trusted. */
export type Trust =
  | { readonly trusted: true; readonly by: "signature"; readonly key: string }
  | { readonly trusted: true; readonly by: "content" }
  | { readonly trusted: false };

/**
 * Whether one of `keys` has signed a path info, or its path follows from its content address. In the second case what
 * remains is to see whether the contents have that address: {@link hasContentAddress}.
 */
export function trustOf(info: PathClaim, keys: readonly PublicKey[], storeDir?: string): Trust {
  const text = fingerprintOf(info, storeDir);
  const good = info.signatures.find((signature) => verifyText(keys, text, signature));
  if (good) return { trusted: true, by: "signature", key: good.name };
  return isContentAddressed(info, storeDir) ? { trusted: true, by: "content" } : { trusted: false };
}

/** Whether the path of a path info is the one that its content address gives. */
export function isContentAddressed(info: PathClaim, storeDir?: string): boolean {
  if (!info.ca) return false;
  const self = info.references.some((reference) => reference.basename === info.path.basename);
  const references = info.references
    .filter((reference) => reference.basename !== info.path.basename)
    .map((reference) => reference.absolute(storeDir));
  try {
    const path = contentAddressedPath({
      name: info.path.name,
      address: info.ca,
      references,
      selfReferencing: self,
      storeDir,
    });
    return path.basename === info.path.basename;
  } catch (error) {
    if (error instanceof TvixError) return false;
    throw error;
  }
}

/** Reads a secret key file as `nix-store --generate-binary-cache-key` writes it. @throws TvixError `ERR_KEY_…` */
export async function readSecretKey(file: string): Promise<SecretKey> {
  return parseSecretKey(await readKeyFile(file));
}

/** Reads a public key file. @throws TvixError `ERR_KEY_…` */
export async function readPublicKey(file: string): Promise<PublicKey> {
  return parsePublicKey(await readKeyFile(file));
}

async function readKeyFile(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new TvixError("ERR_KEY_FILE", `the key file ${file} cannot be read`, { cause });
  }
}

/** The text of the public key that belongs to a secret one. */
export function publicKeyText(key: SecretKey): string {
  return formatPublicKey(toPublicKey(key));
}

/** Signs a path in a store and keeps the signature there. */
export async function signPath(store: Store, path: StorePath | string, key: SecretKey): Promise<PathInfo> {
  return await store.pathInfos.put(signPathInfo(await store.info(path), key, store.storeDir));
}

/** Path infos that are signed as they are put. */
export class SigningPathInfoService implements PathInfoService {
  readonly #inner: PathInfoService;
  readonly #key: SecretKey;
  readonly #storeDir: string | undefined;

  constructor(inner: PathInfoService, key: SecretKey, storeDir?: string) {
    this.#inner = inner;
    this.#key = key;
    this.#storeDir = storeDir;
  }

  get(hash: Uint8Array): Promise<PathInfo | undefined> {
    return this.#inner.get(hash);
  }

  put(info: PathInfo): Promise<PathInfo> {
    return this.#inner.put(signPathInfo(info, this.#key, this.#storeDir));
  }

  list(): AsyncIterable<PathInfo> {
    return this.#inner.list();
  }
}
