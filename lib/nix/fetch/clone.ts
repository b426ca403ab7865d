// Clones of far repositories in the cache: each made whole or not at all, by whichever process is first.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FetchCache, keyHash } from "./cache.ts";

/** The directory of the clone that `key` names. Where there is none, `make` makes it, at the path it is given. */
export async function cloneDirectory(
  cache: FetchCache,
  program: "git" | "hg",
  key: string,
  make: (directory: string) => Promise<unknown>,
): Promise<string> {
  const directory = join(cache.directory, program, keyHash(key));
  if (existsSync(directory)) return directory;
  const draft = `${directory}.${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(dirname(draft), { recursive: true });
    await make(draft);
    await rename(draft, directory);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!existsSync(directory)) throw error;
  }
  return directory;
}
