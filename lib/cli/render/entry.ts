// A line of a listing, in the manner of ls.
import { displayBytes } from "../../base/text.ts";

/** What a long line shows of an entry. */
export type ListedEntry =
  | { readonly type: "directory" }
  | { readonly type: "regular"; readonly size: number; readonly executable: boolean }
  | { readonly type: "symlink"; readonly target: Uint8Array };

/** One line without its end: the shown path, with mode, size and target when `long`. */
export function renderEntry(entry: ListedEntry, path: string, long: boolean): string {
  if (!long) return path;
  const size = entry.type === "regular" ? entry.size : 0;
  const arrow = entry.type === "symlink" ? ` -> ${displayBytes(entry.target)}` : "";
  return `${modeOf(entry)} ${String(size).padStart(12)} ${path}${arrow}`;
}

function modeOf(entry: ListedEntry): string {
  if (entry.type === "directory") return "dr-xr-xr-x";
  if (entry.type === "symlink") return "lrwxrwxrwx";
  return entry.executable ? "-r-xr-xr-x" : "-r--r--r--";
}
