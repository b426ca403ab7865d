// `tvix store ls`: what is at a path in the store, as lines or as the JSON of `nix store ls`.
import { TvixError } from "../../../base/error.ts";
import { decodeUtf8, displayBytes } from "../../../base/text.ts";
import type { Node } from "../../../castore/node.ts";
import { displayPath } from "../../../castore/path.ts";
import type { TreeEntry } from "../../../castore/tree.ts";
import type { Store } from "../../../store/store.ts";
import { print } from "../../output.ts";
import { type ListedEntry, renderEntry } from "../../render/entry.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Flags of `tvix store ls`. */
export interface ListFlags extends StoreOptions {
  readonly recursive?: boolean;
  readonly long?: boolean;
}

interface JsonNode {
  type: string;
  size?: number;
  executable?: true;
  target?: string;
  entries?: Record<string, JsonNode | Record<string, never>>;
}

/** Lists one place: its entries when it is a directory, itself otherwise. */
export async function run(path: string, flags: ListFlags): Promise<void> {
  await withStore(flags, "read", async (store) => {
    if (flags.json) return await print(`${JSON.stringify(await listAsJson(store, path, flags.recursive === true))}\n`);
    for await (const { path: below, node } of entries(store, path, flags.recursive === true)) {
      await print(`${renderEntry(listed(node), displayPath(below), flags.long === true)}\n`);
    }
  });
}

/** The entries to show; a directory itself is not among them. */
async function* entries(store: Store, path: string, recursive: boolean): AsyncGenerator<TreeEntry> {
  for await (const entry of store.ls(path)) {
    if (entry.path.length === 0 && entry.node.type === "directory") continue;
    if (recursive || entry.path.length <= 1) yield entry;
  }
}

function listed(node: Node): ListedEntry {
  if (node.type === "file") return { type: "regular", size: node.size, executable: node.executable };
  return node.type === "symlink" ? { type: "symlink", target: node.target } : { type: "directory" };
}

/** Objects keep no prototype, so that an entry may be named `__proto__`. */
function jsonNode(node: Node): JsonNode {
  if (node.type === "directory")
    return { type: "directory", entries: Object.create(null) as JsonNode["entries"] & object };
  if (node.type === "symlink") return { type: "symlink", target: asText(node.target) };
  return { type: "regular", size: node.size, ...(node.executable ? { executable: true } : {}) };
}

async function listAsJson(store: Store, path: string, recursive: boolean): Promise<JsonNode> {
  const open: JsonNode[] = [];
  for await (const { path: below, node } of store.ls(path)) {
    const depth = below.length;
    if (!recursive && depth > 1) continue;
    const json = jsonNode(node);
    const name = below.at(-1);
    const parent = open[depth - 1];
    if (name && parent?.entries) parent.entries[asText(name)] = recursive ? json : {};
    open.length = depth;
    open.push(json);
  }
  return open[0] as JsonNode;
}

function asText(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text;
  throw new TvixError("ERR_CLI_NOT_UTF8", `${displayBytes(bytes)} is not UTF-8, which JSON cannot hold`, {
    notes: ["list it without --json"],
  });
}
