// Nodes: what a name in a directory stands for, and what the root of a tree is.
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import type { Digest } from "./digest.ts";
import { checkTarget } from "./path.ts";

/** A directory, by the digest of its canonical bytes. */
export interface DirectoryNode {
  readonly type: "directory";
  readonly digest: Digest;
  /** Elements below, by the rule of directory.ts (2N + Σ); no file sizes enter. */
  readonly size: number;
}

/** A regular file, by the digest of its contents. */
export interface FileNode {
  readonly type: "file";
  readonly digest: Digest;
  /** Bytes of the contents. */
  readonly size: number;
  readonly executable: boolean;
}

/** A symbolic link. */
export interface SymlinkNode {
  readonly type: "symlink";
  /** 1 to 4095 bytes without NUL; need not lead anywhere. */
  readonly target: Uint8Array;
}

/** The root of a tree, or what a name in a directory stands for. */
export type Node = DirectoryNode | FileNode | SymlinkNode;

/** Whether two nodes are the same, hence stand for the same tree. */
export function equalNodes(a: Node, b: Node): boolean {
  if (a.type === "symlink") return b.type === "symlink" && equalBytes(a.target, b.target);
  if (a.type === "directory") {
    return b.type === "directory" && a.size === b.size && equalBytes(a.digest, b.digest);
  }
  return b.type === "file" && a.size === b.size && a.executable === b.executable && equalBytes(a.digest, b.digest);
}

/**
 * Checks what the types cannot say about a node: the size is a safe integer, the digest has its length, the target
 * is one.
 * @throws TvixError `ERR_CASTORE_SIZE`, `ERR_CASTORE_DIGEST` or `ERR_CASTORE_TARGET`.
 */
export function checkNode(node: Node): void {
  if (node.type === "symlink") {
    checkTarget(node.target);
    return;
  }
  if (!Number.isSafeInteger(node.size) || node.size < 0) {
    throw new TvixError("ERR_CASTORE_SIZE", `the size of a ${node.type}, ${node.size}, is not between 0 and 2^53-1`);
  }
  if (node.digest.length !== 32) {
    throw new TvixError(
      "ERR_CASTORE_DIGEST",
      `the digest of a ${node.type} has ${node.digest.length} bytes instead of 32`,
    );
  }
}
