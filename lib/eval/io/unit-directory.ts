// A directory of compiled units: one file per unit, written whole or not at all.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { UnitStorage } from "../cache.ts";

/** Keeps units in a directory, which is made when needed. Whatever fails is as if nothing were stored. */
export function unitDirectory(directory: string): UnitStorage {
  const place = (key: string): string => join(directory, key.slice(0, 2), key.slice(2));
  const made = new Set<string>();
  let writable = true;
  return {
    read: (key) => {
      try {
        return readFileSync(place(key));
      } catch {
        return undefined;
      }
    },
    write: (key, bytes) => {
      if (!writable) return;
      const path = place(key);
      const draft = `${path}.${process.pid}`;
      const folder = key.slice(0, 2);
      try {
        if (!made.has(folder)) mkdirSync(join(directory, folder), { recursive: true });
        made.add(folder);
        writeFileSync(draft, bytes);
        renameSync(draft, path);
      } catch {
        // A read-only or full disk: no further attempts, and no half-written entry.
        writable = false;
        rmSync(draft, { force: true });
      }
    },
  };
}
