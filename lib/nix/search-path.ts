// The search path of `<name>`: how NIX_PATH and -I are written, and what entries that are URLs stand for.
import { EvalError } from "../eval/error.ts";
import type { SearchPathEntry } from "../eval/vm/runtime.ts";
import { unicodeText } from "./fetch/input.ts";
import { fetchErrors, type InputFetcher } from "./fetch/inputs.ts";
import { parseFlakeRef } from "./flake/reference.ts";
import { lookUp } from "./flake/registry.ts";

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

/** Whether a text stands for what is fetched: a URL of an archive, a channel or a flake. */
export function isPseudoUrl(text: string): boolean {
  return /^(channel:|flake:|(https?|file):\/\/)/.test(text);
}

/** A URL for what `fetchTarball` and the search path take: `channel:NAME` is the archive of that channel. */
export function channelUrl(text: string): string {
  if (!text.startsWith("channel:")) return text;
  return `https://channels.nixos.org/${text.slice("channel:".length)}/nixexprs.tar.xz`;
}

/**
 * The store path of an entry that is no path: the archive at a URL or of a channel, unpacked, or the tree of a flake.
 * What cannot be had is passed over with a warning, as an entry that is not there is.
 */
export function resolveSearchPathEntry(entry: string, inputs: InputFetcher): string | undefined {
  const { world, fetcher, warn } = inputs.context;
  try {
    world.noteFetched();
    if (entry.startsWith("flake:")) {
      const ref = parseFlakeRef(entry.slice("flake:".length), { wantsTree: false });
      return inputs.fetch(lookUp(ref, inputs.context, "all").input).storePath;
    }
    if (!isPseudoUrl(entry)) return undefined;
    const url = unicodeText(channelUrl(entry));
    const { tree } = fetchErrors(() => fetcher.call("tarball", { url, ttl: fetcher.ttl }));
    return world.addFetched("source", tree, fetcher.reader);
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    warn(`Nix search path entry '${entry}' cannot be downloaded, ignoring: ${error.text}`);
    return undefined;
  }
}
