// What a program gets to see of a tree that was fetched.
import type { Attrs } from "../../eval/value/attrs.ts";
import { ContextString } from "../../eval/value/string.ts";
import { attrSet } from "../attr-set.ts";
import { boolAttr, type FetchedInput, type InputAttrs, intAttr, textAttr } from "./input.ts";
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
  const lastModified = intAttr(attrs, "lastModified");
  return attrSet({
    outPath: new ContextString(storePath, new Set([storePath])),
    narHash: textAttr(attrs, "narHash"),
    submodules: attrs.get("type") === "git" ? (boolAttr(attrs, "submodules") ?? false) : undefined,
    ...(view.withoutRevision === true ? {} : revisionOf(attrs, view)),
    dirtyRev: textAttr(attrs, "dirtyRev"),
    dirtyShortRev: textAttr(attrs, "dirtyShortRev"),
    lastModified,
    lastModifiedDate: lastModified === undefined ? undefined : dateDigits(lastModified),
  });
}

function revisionOf(attrs: InputAttrs, { emptyRevision }: TreeView): Record<string, string | number | undefined> {
  const isEmpty = emptyRevision === true;
  const rev = revAttr(attrs) ?? (isEmpty ? NO_REVISION : undefined);
  const revCount = intAttr(attrs, "revCount") ?? (isEmpty ? 0 : undefined);
  return { rev, shortRev: rev?.slice(0, 7), revCount };
}

/** `YYYYMMDDhhmmss` in UTC. */
function dateDigits(seconds: number): string {
  return new Date(seconds * 1000)
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replace(/[^0-9]/g, "");
}
