// What is in an archive and where, as the JSON that binary caches serve beside it (`<hash>.ls`).

import { compareBytes } from "../../base/bytes.ts";
import { TvixError, unreachable } from "../../base/error.ts";
import { decodeUtf8, displayBytes, encodeUtf8 } from "../../base/text.ts";
import { checkEntryName, checkTarget, DEPTH_MAX, type NarEvent } from "./wire.ts";

/** A file-system object in a listing; entries ascend by name, bytewise in UTF-8. */
export type NarListing =
  | { readonly type: "directory"; readonly entries: ReadonlyMap<string, NarListing> }
  | {
      readonly type: "regular";
      readonly executable: boolean;
      readonly size: number;
      /** Where the contents start in the archive; absent in listings of unknown archives. */
      readonly narOffset?: number;
    }
  | { readonly type: "symlink"; readonly target: string };

/** Gathers the events of one archive into its listing. */
export class NarLister {
  #root: NarListing | undefined;
  readonly #open: Map<string, NarListing>[] = [];

  /** Takes the next event. Throws `ERR_LISTING_NOT_UTF8` for names and targets that JSON cannot hold. */
  add(event: NarEvent): void {
    switch (event.type) {
      case "directory": {
        const entries = new Map<string, NarListing>();
        this.#put(event.name, { type: "directory", entries });
        this.#open.push(entries);
        return;
      }
      case "end":
        this.#open.pop();
        return;
      case "regular": {
        const { executable, size, offset } = event;
        const node = { type: "regular", executable, size } as const;
        this.#put(event.name, offset === undefined ? node : { ...node, narOffset: offset });
        return;
      }
      case "symlink":
        this.#put(event.name, { type: "symlink", target: asText(event.target) });
        return;
      case "contents":
    }
  }

  /** The listing, after the last event; `undefined` when the archive is not complete. */
  get root(): NarListing | undefined {
    return this.#open.length === 0 ? this.#root : undefined;
  }

  #put(name: Uint8Array | undefined, node: NarListing): void {
    if (name === undefined) this.#root = node;
    else this.#open.at(-1)?.set(asText(name), node);
  }
}

/** Writes a listing as C++ Nix does: compact, keys sorted, `{"root":…,"version":1}`. */
export function formatListing(root: NarListing): string {
  return `{"root":${formatNode(root)},"version":1}`;
}

function formatNode(node: NarListing): string {
  switch (node.type) {
    case "directory": {
      const entries = Array.from(node.entries, ([name, child]) => `${JSON.stringify(name)}:${formatNode(child)}`);
      return `{"entries":{${entries.join(",")}},"type":"directory"}`;
    }
    case "regular": {
      const executable = node.executable ? '"executable":true,' : "";
      const offset = node.narOffset === undefined ? "" : `"narOffset":${node.narOffset},`;
      return `{${executable}${offset}"size":${node.size},"type":"regular"}`;
    }
    case "symlink":
      return `{"target":${JSON.stringify(node.target)},"type":"symlink"}`;
    default:
      return unreachable(node);
  }
}

/** Reads a listing. Throws `ERR_LISTING_SYNTAX`, or the archive's codes for names and targets. */
export function parseListing(text: string): NarListing {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TvixError("ERR_LISTING_SYNTAX", "the listing is not JSON", { cause });
  }
  const top = asObject(json, "the listing");
  if (top.version !== 1) throw syntaxError("the listing", "its version is not 1");
  return parseNode(top.root, "/", 0);
}

function parseNode(json: unknown, where: string, depth: number): NarListing {
  const node = asObject(json, where);
  switch (node.type) {
    case "directory": {
      if (depth >= DEPTH_MAX) throw syntaxError(where.slice(0, 100), `more than ${DEPTH_MAX} directories deep`);
      const named = Object.entries(asObject(node.entries, where)).map(([name, child]) => {
        const bytes = encodeUtf8(name);
        checkEntryName(bytes, undefined);
        return { name, bytes, child };
      });
      named.sort((a, b) => compareBytes(a.bytes, b.bytes));
      const path = where === "/" ? "" : where;
      const entries = new Map(named.map(({ name, child }) => [name, parseNode(child, `${path}/${name}`, depth + 1)]));
      return { type: "directory", entries };
    }
    case "regular": {
      const executable = node.executable ?? false;
      if (typeof executable !== "boolean") throw syntaxError(where, "'executable' is not a boolean");
      const regular = { type: "regular", executable, size: asSize(node.size, where) } as const;
      return node.narOffset === undefined ? regular : { ...regular, narOffset: asSize(node.narOffset, where) };
    }
    case "symlink":
      if (typeof node.target !== "string") throw syntaxError(where, "the symlink has no target");
      checkTarget(encodeUtf8(node.target));
      return { type: "symlink", target: node.target };
    default:
      throw syntaxError(where, "the file type is none of directory, regular and symlink");
  }
}

function asObject(json: unknown, where: string): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw syntaxError(where, "expected an object");
  return json as Record<string, unknown>;
}

function asSize(json: unknown, where: string): number {
  if (typeof json !== "number" || !Number.isSafeInteger(json) || json < 0) {
    throw syntaxError(where, "expected a size or an offset");
  }
  return json;
}

function asText(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    throw new TvixError("ERR_LISTING_NOT_UTF8", `'${displayBytes(bytes)}' is not UTF-8, which a listing cannot hold`);
  }
  return text;
}

function syntaxError(where: string, why: string): TvixError {
  return new TvixError("ERR_LISTING_SYNTAX", `bad listing at ${where}: ${why}`);
}
