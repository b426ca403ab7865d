// Objects as files in a directory: an object store without a server, for tests, removable disks and network mounts.
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TvixError } from "../../base/error.ts";
import { checkKey, mapBounded, type ObjectStore } from "./service.ts";

const WIDTH = 16;

/** Each object is a file at its key below the directory; it is written aside, synced and renamed. */
export class DirObjectStore implements ObjectStore {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Opens a directory, making it. @throws TvixError `ERR_OBJECT_IO` */
  static async open(directory: string): Promise<DirObjectStore> {
    await guarded(directory, () => mkdir(join(directory, "tmp"), { recursive: true }));
    return new DirObjectStore(directory);
  }

  #path(key: string): string {
    return join(this.directory, checkKey(key));
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return guarded(this.directory, () => orUndefined(async () => new Uint8Array(await readFile(this.#path(key)))));
  }

  async has(keys: readonly string[]): Promise<boolean[]> {
    const found = await guarded(this.directory, () =>
      mapBounded(keys, WIDTH, (key) => orUndefined(() => stat(this.#path(key)))),
    );
    return found.map((entry) => entry?.isFile() === true);
  }

  async put(key: string, value: Uint8Array, options: { readonly replace?: boolean } = {}): Promise<void> {
    const path = this.#path(key);
    await guarded(this.directory, async () => {
      if (options.replace !== true && (await orUndefined(() => stat(path)))) return;
      const temporary = join(this.directory, "tmp", randomBytes(12).toString("hex"));
      try {
        await writeSynced(temporary, value);
        await mkdir(dirname(path), { recursive: true });
        await rename(temporary, path);
        await syncDirectory(dirname(path));
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const base = prefix.replace(/\/$/, "");
    const names = await guarded(this.directory, () =>
      orUndefined(() => readdir(join(this.directory, base), { withFileTypes: true })),
    );
    for (const entry of (names ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const key = base === "" ? entry.name : `${base}/${entry.name}`;
      if (entry.isDirectory()) {
        if (key !== "tmp") yield* this.list(`${key}/`);
      } else yield key;
    }
  }
}

async function writeSynced(path: string, value: Uint8Array): Promise<void> {
  const handle = await open(path, "wx", 0o644);
  try {
    await handle.writeFile(value);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a rename durable. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function orUndefined<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

async function guarded<T>(directory: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof TvixError || !(error instanceof Error) || !("code" in error)) throw error;
    if (error.code === "ENOSPC" || error.code === "EDQUOT") {
      throw new TvixError("ERR_STORE_FULL", `no space is left for the objects in ${directory}`, { cause: error });
    }
    throw new TvixError("ERR_OBJECT_IO", `the objects in ${directory} cannot be used: ${error.message}`, {
      cause: error,
    });
  }
}
