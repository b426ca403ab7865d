// `tvix store diff`: what differs between two places in the store.
import { displayBytes } from "../../../base/text.ts";
import { digestText } from "../../../castore/digest.ts";
import type { Node } from "../../../castore/node.ts";
import { displayPath } from "../../../castore/path.ts";
import { diffPaths } from "../../../store/diff.ts";
import { print } from "../../output.ts";
import { compare } from "../../render/error.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Prints one line per difference: `+` added, `-` removed, `~` changed. */
export async function run(before: string, after: string, flags: StoreOptions): Promise<void> {
  await compare(() => printDifferences(before, after, flags));
}

async function printDifferences(before: string, after: string, flags: StoreOptions): Promise<boolean> {
  return await withStore(flags, "read", async (store) => {
    let isDifferent = false;
    for await (const difference of diffPaths(store, before, after)) {
      isDifferent = true;
      const path = displayPath(difference.path);
      const [left, right] = [describe(difference.before), describe(difference.after)];
      if (flags.json) {
        await print(`${JSON.stringify({ path, before: left ?? null, after: right ?? null })}\n`);
      } else {
        const sign = left === undefined ? "+" : right === undefined ? "-" : "~";
        await print(`${sign} ${path}  ${[left, right].filter((text) => text !== undefined).join(" -> ")}\n`);
      }
    }
    return isDifferent;
  });
}

function describe(node: Node | undefined): string | undefined {
  if (node === undefined) return undefined;
  if (node.type === "symlink") return `symlink to ${displayBytes(node.target)}`;
  if (node.type === "directory") return `directory ${digestText(node.digest)}`;
  return `${node.executable ? "executable" : "file"} ${digestText(node.digest)} of ${node.size} bytes`;
}
