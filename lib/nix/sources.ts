// What evaluation has put into the store without writing it: which host path or text a store path stands for.
//
// Evaluating only hashes sources. What is needed to write them later, or to read them back in the same evaluation, is
// kept here: a few words per source, never its contents (texts of `toFile` aside).

import type { Node } from "../castore/node.ts";
import type { TreeReader } from "./store-reader.ts";

/** Something that belongs at a store path. */
export type Source =
  /** A copy of a tree or file. With a filter: the paths below `origin` that it accepted. */
  | { readonly kind: "tree"; readonly origin: string; readonly accepted: ReadonlySet<string> | null }
  /** The bare contents of a regular file. */
  | { readonly kind: "flat"; readonly origin: string }
  /** Something that was fetched into a castore; `flat` for a file named by its contents alone. */
  | {
      readonly kind: "fetched";
      readonly root: Node;
      readonly reader: TreeReader;
      readonly method: "nar" | "flat";
    }
  /** A store path from a binary cache, as it is in another store; what it refers to is in mind too. */
  | {
      readonly kind: "substituted";
      readonly root: Node;
      readonly reader: TreeReader;
      readonly references: readonly string[];
      readonly isContentAddressed: boolean;
      /** The address of the store that has it. */
      readonly store: string;
    }
  /** A text and the store paths that it refers to. */
  | { readonly kind: "text"; readonly text: string; readonly references: readonly string[] };

/** Sources by absolute store path, in the order in which they were met. */
export class Sources {
  readonly #sources = new Map<string, Source>();

  /** Notes what belongs at a store path. The first answer stays: equal paths have equal contents. */
  add(path: string, source: Source): void {
    if (!this.#sources.has(path)) this.#sources.set(path, source);
  }

  /** What belongs at a store path, when evaluation has put something there. */
  get(path: string): Source | undefined {
    return this.#sources.get(path);
  }
}
