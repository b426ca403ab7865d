// Where this user's caches are kept.
import { homedir } from "node:os";
import { join } from "node:path";

/** A directory of ours below the user's cache home; it may not exist yet. */
export function cacheDirectory(name: "units" | "replay" | "fetch" | "program"): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tvix", name);
}
