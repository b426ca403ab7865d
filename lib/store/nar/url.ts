// The address of a NAR in a cache that keeps trees: it holds the root itself, so that whoever serves it needs no memory.
import { TvixError } from "../../base/error.ts";
import { decodeNode, encodeNode } from "../../castore/canonical.ts";
import type { Node } from "../../castore/node.ts";
import { decodeBase64Url, encodeBase64Url } from "../../formats/base64.ts";
import type { NarEntry } from "../service.ts";

/** Longest root in an address, in digits: a symlink's target has up to 4095 bytes. */
const ROOT_MAX = 6000;

/** `nar/snix-castore/<root in base-64>?narsize=<bytes>`, relative to the cache's root. */
export function formatNarUrl({ root, narSize }: NarEntry): string {
  return `nar/snix-castore/${encodeBase64Url(encodeNode(root))}?narsize=${narSize}`;
}

/** What such an address stands for, `tvix-castore` being its older form; `undefined` for others. */
export function parseNarUrl(url: string): NarEntry | undefined {
  const match = /^(?:\.?\/)?nar\/(?:snix|tvix)-castore\/([A-Za-z0-9_-]+)\?narsize=(\d{1,15})$/.exec(url);
  if (match === null) return undefined;
  try {
    return { root: parseNarRoot(match[1] as string), narSize: Number(match[2]) };
  } catch (error) {
    if (error instanceof TvixError) return undefined;
    throw error;
  }
}

/**
 * The root in the last part of such an address.
 * @throws TvixError `ERR_NAR_URL`
 */
export function parseNarRoot(text: string): Node {
  try {
    if (text.length > ROOT_MAX) throw new TvixError("ERR_NAR_URL", "it is too long");
    const { name, node } = decodeNode(decodeBase64Url(text));
    if (name.length > 0) throw new TvixError("ERR_NAR_URL", "a root has no name");
    return node;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TvixError("ERR_NAR_URL", `not the root of a tree in base-64: ${why}`, { cause });
  }
}
