// Where the outputs of jobs are already: in the store, at a substituter, or nowhere yet.
import { TvixError } from "../../../base/error.ts";
import { Limit } from "../../../base/limit.ts";
import { StorePath } from "../../../formats/store-path.ts";
import { openStore } from "../../../store/open.ts";
import type { Store } from "../../../store/store.ts";

/** `local`: all outputs are in the store. `cached`: substituters have what the store lacks. */
export type CacheStatus = "local" | "cached" | "notBuilt";

/** Questions on their way at a time. */
const CONCURRENCY = 32;

interface JobLine {
  readonly outputs?: Readonly<Record<string, string | null>>;
}

/** Says of jobs where their outputs are. */
export class StatusReader {
  readonly #limit = new Limit(CONCURRENCY);
  readonly #local: Store;
  readonly #substituters: readonly Store[];

  private constructor(local: Store, substituters: readonly Store[]) {
    this.#local = local;
    this.#substituters = substituters;
  }

  /** @param local the address of the store; the default one when absent */
  static async open(local: string | undefined, substituters: readonly string[]): Promise<StatusReader> {
    const opened: Store[] = [];
    try {
      opened.push(await openLocal(local));
      for (const address of substituters) opened.push(await openStore(address, { readOnly: true }));
    } catch (error) {
      for (const store of opened) await store.close();
      throw error;
    }
    return new StatusReader(opened[0] as Store, opened.slice(1));
  }

  /** The lines with `cacheStatus` in each that has outputs. */
  async annotate(lines: readonly string[]): Promise<string[]> {
    return await Promise.all(lines.map((line) => this.#annotated(line)));
  }

  async #annotated(line: string): Promise<string> {
    const job = JSON.parse(line) as JobLine;
    if (job.outputs === undefined) return line;
    const leave = await this.#limit.enter();
    try {
      return JSON.stringify({ ...job, cacheStatus: await this.#statusOf(Object.values(job.outputs)) });
    } finally {
      leave();
    }
  }

  async #statusOf(outputs: readonly (string | null)[]): Promise<CacheStatus> {
    let status: CacheStatus = "local";
    for (const output of outputs) {
      if (output === null) return "notBuilt";
      if (await has(this.#local, output)) continue;
      status = "cached";
      let found = false;
      for (const store of this.#substituters) found ||= await has(store, output);
      if (!found) return "notBuilt";
    }
    return status;
  }

  async close(): Promise<void> {
    for (const store of [this.#local, ...this.#substituters]) await store.close();
  }
}

async function has(store: Store, path: string): Promise<boolean> {
  const { digest, name } = StorePath.parseAbsolute(path, store.storeDir);
  return (await store.pathInfos.get(digest))?.path.name === name;
}

/** The store of this address; an empty one where none is named and the default one is not there yet. */
async function openLocal(address: string | undefined): Promise<Store> {
  try {
    return await openStore(address, { readOnly: true });
  } catch (error) {
    const isMissing = error instanceof TvixError && error.code === "ERR_STORE_MISSING";
    if (address !== undefined || !isMissing) throw error;
    return await openStore("memory:");
  }
}
