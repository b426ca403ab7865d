// Trees back to the host's file system, whole or not at all.
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { TvixError } from "../base/error.ts";
import { openBlob } from "./blob/range.ts";
import type { Node } from "./node.ts";
import type { OperationOptions } from "./progress.ts";
import { type Castore, hostPath, walkTree } from "./tree.ts";

/**
 * Writes a tree to `target`, which must not exist. It is made beside it under a temporary name and renamed at the
 * end; when anything fails nothing is left. Files are 0644 or 0755, subject to the umask.
 * @throws TvixError `ERR_EXPORT_EXISTS`, `ERR_EXPORT_FULL`, `ERR_EXPORT_IO`, or what reading the store throws.
 */
export async function exportTree(
  castore: Castore,
  root: Node,
  target: string,
  options: OperationOptions = {},
): Promise<void> {
  if (await exists(target)) throw new TvixError("ERR_EXPORT_EXISTS", `${target} exists already`);
  const making = join(dirname(target), `.${basename(target)}.tvix-${randomBytes(6).toString("hex")}`);
  let done = 0;
  let bytes = 0;
  try {
    for await (const { path, node } of walkTree(castore, root)) {
      options.signal?.throwIfAborted();
      const at = hostPath(making, path);
      if (node.type === "directory") await mkdir(at);
      else if (node.type === "symlink") await symlink(Buffer.from(node.target), at);
      else {
        await writeFile(castore, node, at);
        bytes += node.size;
      }
      if (++done % 256 === 0) options.onProgress?.({ phase: "export", done, bytes });
    }
    if (await exists(target)) throw new TvixError("ERR_EXPORT_EXISTS", `${target} exists already`);
    await rename(making, target);
    options.onProgress?.({ phase: "export", done, bytes });
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw exportError(error, target);
  }
}

async function writeFile(castore: Castore, node: Node & { type: "file" }, at: Buffer): Promise<void> {
  const reader = await openBlob(castore.blobs, node.digest);
  const handle = await open(at, "wx", node.executable ? 0o777 : 0o666);
  try {
    for await (const piece of reader.stream(0, reader.size, true)) await handle.writeFile(piece);
  } finally {
    await handle.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw exportError(error, path);
  }
}

function exportError(error: unknown, target: string): unknown {
  if (error instanceof TvixError || !(error instanceof Error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new TvixError("ERR_EXPORT_FULL", `no space is left to write ${target}`, { cause: error });
  }
  if (code === undefined || !("syscall" in error)) return error;
  return new TvixError("ERR_EXPORT_IO", `cannot write ${target}: ${error.message}`, { cause: error });
}
