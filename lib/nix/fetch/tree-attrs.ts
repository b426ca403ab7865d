// What a program gets to see of a tree that was fetched.
import { type Attrs, attrsFromPairs } from "../../eval/value/attrs.ts";
import { ContextString } from "../../eval/value/string.ts";
import { symbol } from "../../eval/value/symbol.ts";
import type { Value } from "../../eval/value/value.ts";
import { boolAttr, type FetchedInput, intAttr, textAttr } from "./input.ts";
import { NO_REVISION, revAttr } from "./revision.ts";

/** How to show a tree. */
export interface TreeView {
  /** Zeros for the revision where there is none: what `fetchGit` says of trees with changes. */
  readonly emptyRevision?: boolean;
  /** No revision, though there is one: the tree is not used as that revision has it. */
  readonly withoutRevision?: boolean;
}

/** The set of a tree: `outPath`, `narHash`, and what else is known. */
export function treeAttrs({ storePath, attrs }: FetchedInput, view: TreeView = {}): Attrs {
  const set = new Map<string, Value>();
  const put = (name: string, value: Value | undefined): void => {
    if (value !== undefined) set.set(name, value);
  };
  put("outPath", new ContextString(storePath, new Set([storePath])));
  put("narHash", textAttr(attrs, "narHash"));
  if (attrs.get("type") === "git") put("submodules", boolAttr(attrs, "submodules") ?? false);
  if (view.withoutRevision !== true) {
    const rev = revAttr(attrs) ?? (view.emptyRevision === true ? NO_REVISION : undefined);
    put("rev", rev);
    put("shortRev", rev?.slice(0, 7));
    put("revCount", intAttr(attrs, "revCount") ?? (view.emptyRevision === true ? 0 : undefined));
  }
  put("dirtyRev", textAttr(attrs, "dirtyRev"));
  put("dirtyShortRev", textAttr(attrs, "dirtyShortRev"));
  const lastModified = intAttr(attrs, "lastModified");
  put("lastModified", lastModified);
  put("lastModifiedDate", lastModified === undefined ? undefined : dateDigits(lastModified));
  return attrsFromPairs([...set.keys()].map(symbol), [...set.values()]);
}

/** `YYYYMMDDhhmmss` in UTC. */
function dateDigits(seconds: number): string {
  return new Date(seconds * 1000)
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replace(/[^0-9]/g, "");
}
