// Addresses of binary caches: where one is, and whom to believe.
//
//   nix+https://cache.example.org/path?trusted_public_keys=NAME:BASE64%20NAME:BASE64
//
//   trusted_public_keys   keys that may vouch for paths, separated by spaces; also trusted-public-keys, and
//                         trusted_public_keys[0], [1], …; default: that of cache.nixos.org, as in Nix
//   trusted=1             believe whatever the cache says
//   force_download_nar=1  fetch archives even where the cache has trees
//   tls_ca_cert_path      a file of the authorities (PEM) that may vouch for the server of an https cache
//
// A user and a password before the host are sent to that host.
import { readFileSync } from "node:fs";
import { TvixError } from "../../base/error.ts";
import { parsePublicKey, type PublicKey } from "../../formats/signature.ts";

/** A binary cache and how to deal with it. */
export interface CacheAddress {
  /** Its root: `http:`, `https:` or `file:`, with a slash at the end. */
  readonly root: URL;
  readonly keys: readonly PublicKey[];
  /** Believe everything. */
  readonly unsigned: boolean;
  readonly onlyNars: boolean;
  /** Authorities that may vouch for the server, instead of those of the system. */
  readonly ca: Uint8Array | undefined;
}

/** The key that Nix trusts unless it is told otherwise. */
const DEFAULT_KEY = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";

/** Reads such an address. @throws TvixError `ERR_STORE_ADDRESS`, `ERR_KEY_SYNTAX` */
export function parseCacheAddress(text: string): CacheAddress {
  const plain = text.replace(/^nix\+/i, "");
  if (!URL.canParse(plain)) throw addressError(text, "it is not a URL");
  const root = new URL(plain);
  const keys: PublicKey[] = [];
  const flags = { trusted: false, force_download_nar: false };
  let ca: Uint8Array | undefined;
  for (const [name, value] of root.searchParams) {
    if (/^trusted[_-]public[_-]keys(\[\d+\])?$/.test(name)) {
      keys.push(...value.split(/\s+/).filter(Boolean).map(parsePublicKey));
    } else if (name === "trusted" || name === "force_download_nar") {
      if (!/^([01]|true|false)$/.test(value)) throw addressError(text, `${name} is 0 or 1, not "${value}"`);
      flags[name] = value === "1" || value === "true";
    } else if (name === "tls_ca_cert_path" && root.protocol === "https:") ca = readCertificates(text, value);
    else throw addressError(text, `its parameter "${name}" is not known`);
  }
  if (root.hash !== "") throw addressError(text, "it has a fragment");
  root.search = "";
  if (!root.pathname.endsWith("/")) root.pathname += "/";
  return {
    root,
    keys: keys.length > 0 ? keys : [parsePublicKey(DEFAULT_KEY)],
    unsigned: flags.trusted,
    onlyNars: flags.force_download_nar,
    ca,
  };
}

function readCertificates(text: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw addressError(text, (cause as Error).message);
  }
}

function addressError(text: string, why: string): TvixError {
  return new TvixError("ERR_STORE_ADDRESS", `"${text}" is not the address of a binary cache: ${why}`, {
    notes: ["known parameters: trusted_public_keys, trusted, force_download_nar, tls_ca_cert_path"],
  });
}
