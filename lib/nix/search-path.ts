// The search path of `<name>`: how NIX_PATH and -I are written.
import type { SearchPathEntry } from "../eval/vm/runtime.ts";

/**
 * Reads one entry, `path` or `prefix=path`; the path may be a URL, whose own `=` signs are not the separator.
 * Texts are byte strings, one char per byte.
 */
export function parseSearchPathEntry(text: string): SearchPathEntry {
  const at = text.indexOf("=");
  return at < 0 ? { prefix: "", path: text } : { prefix: text.slice(0, at), path: text.slice(at + 1) };
}

/** Reads NIX_PATH: entries separated by colons, except the colon of `scheme://` and of `channel:name`. */
export function parseSearchPath(text: string): SearchPathEntry[] {
  const entries: SearchPathEntry[] = [];
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (i < text.length && (text[i] !== ":" || isInsideUrl(text, start, i))) continue;
    if (i > start) entries.push(parseSearchPathEntry(text.slice(start, i)));
    start = i + 1;
  }
  return entries;
}

function isInsideUrl(text: string, start: number, colon: number): boolean {
  if (text.startsWith("://", colon)) return true;
  const value = text.slice(text.lastIndexOf("=", colon) < start ? start : text.lastIndexOf("=", colon) + 1, colon);
  return value === "channel" || value === "flake";
}

/** A URL for what `fetchTarball` and the search path take: `channel:NAME` is the archive of that channel. */
export function channelUrl(text: string): string {
  if (!text.startsWith("channel:")) return text;
  return `https://channels.nixos.org/${text.slice("channel:".length)}/nixexprs.tar.xz`;
}
