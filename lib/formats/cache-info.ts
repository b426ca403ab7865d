// nix-cache-info: what a binary cache says about itself.

import { TvixError } from "../base/error.ts";
import { readFields } from "./fields.ts";

/** A cache's description. */
export interface CacheInfo {
  /** The store directory that its paths are for. */
  readonly storeDir: string;
  /** Whether to ask it about paths in bulk. */
  readonly wantMassQuery?: boolean;
  /** Lower is asked first; 50 when the cache does not say. */
  readonly priority?: number;
}

/** The media type under which a cache serves it. */
export const CACHE_INFO_TYPE = "text/x-nix-cache-info";

const OF = { what: "nix-cache-info", syntax: "ERR_CACHE_INFO_SYNTAX" } as const;

/** Reads a cache's description; unknown keys are ignored. Throws `ERR_CACHE_INFO_SYNTAX` or `ERR_CACHE_INFO_VALUE`. */
export function parseCacheInfo(input: string | Uint8Array): CacheInfo {
  const fields = new Map<string, string>();
  for (const { key, value } of readFields(input, OF, 64 * 1024)) fields.set(key, value);
  const storeDir = fields.get("StoreDir");
  if (storeDir === undefined || !storeDir.startsWith("/")) throw valueError("StoreDir", storeDir);
  const wantMassQuery = fields.get("WantMassQuery");
  if (wantMassQuery !== undefined && !/^[01]$/.test(wantMassQuery)) throw valueError("WantMassQuery", wantMassQuery);
  const priority = fields.get("Priority");
  if (priority !== undefined && !/^-?[0-9]{1,9}$/.test(priority)) throw valueError("Priority", priority);
  return {
    storeDir,
    ...(wantMassQuery === undefined ? {} : { wantMassQuery: wantMassQuery === "1" }),
    ...(priority === undefined ? {} : { priority: Number(priority) }),
  };
}

/** Writes a cache's description. */
export function formatCacheInfo(info: CacheInfo): string {
  let out = `StoreDir: ${info.storeDir}\n`;
  if (info.wantMassQuery !== undefined) out += `WantMassQuery: ${info.wantMassQuery ? 1 : 0}\n`;
  if (info.priority !== undefined) out += `Priority: ${info.priority}\n`;
  return out;
}

function valueError(key: string, value: string | undefined): TvixError {
  if (value === undefined) return new TvixError("ERR_CACHE_INFO_VALUE", `nix-cache-info has no ${key}`);
  return new TvixError(
    "ERR_CACHE_INFO_VALUE",
    `nix-cache-info's ${key} is wrong: ${JSON.stringify(value.slice(0, 80))}`,
  );
}
