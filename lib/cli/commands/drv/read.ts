// Reading derivations for `tvix drv`: from a file of the host where there is one, else from the store.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { TvixError } from "../../../base/error.ts";
import type { NamedDerivation } from "../../../derivation/json.ts";
import type { Derivation } from "../../../derivation/model.ts";
import { parseDerivation } from "../../../derivation/parse.ts";
import { StorePath } from "../../../formats/store-path.ts";
import type { Store } from "../../../store/store.ts";
import { type StoreOptions, withStore } from "../store/session.ts";

/** Runs `work` with a function that reads derivations; the store is opened when it is first needed. */
export async function withDerivations<T>(
  flags: StoreOptions,
  work: (read: (path: string) => Promise<NamedDerivation>) => Promise<T>,
): Promise<T> {
  const read = async (path: string, stored: (path: string) => Promise<Uint8Array>): Promise<NamedDerivation> => {
    const storePath = StorePath.parse(basename(path));
    if (!storePath.isDerivation()) {
      throw new TvixError("ERR_CLI_USAGE", `${path} is not a derivation: its name does not end in .drv`);
    }
    const contents = readHostFile(path) ?? (await stored(path));
    return { path: storePath, derivation: parse(contents, storePath) };
  };
  let store: Promise<Store> | undefined;
  let finish = (): void => {};
  let closed: Promise<void> | undefined;
  const open = (): Promise<Store> =>
    (store ??= new Promise((resolve, reject) => {
      closed = withStore(flags, "read", (opened) => {
        resolve(opened);
        return new Promise<void>((done) => {
          finish = done;
        });
      });
      closed.catch(reject);
    }));
  try {
    return await work((path) => read(path, async (wanted) => (await open()).readFile(wanted)));
  } finally {
    finish();
    await closed?.catch(() => {});
  }
}

function parse(contents: Uint8Array, path: StorePath): Derivation {
  return parseDerivation(contents, path.name.slice(0, -".drv".length));
}

function readHostFile(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TvixError("ERR_CLI_READ", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}
