// What evaluation needs of fetching, in calls that wait: the functions of the fetching thread, and reading its cache.
import { BlockingThread, compiledModule } from "../blocking.ts";
import { Directory } from "../../castore/directory.ts";
import { rememberDirectories, type TreeReader } from "../store-reader.ts";
import { fetchStore } from "./place.ts";
import type { FetchFunctions, FetchThreadOptions } from "./thread.ts";

/** How to fetch. */
export interface FetcherOptions {
  /** Where clones and fetched trees are kept; made when something is fetched. */
  readonly directory: string;
  /** Seconds for which answers about what may change are not asked for again. Default: 3600, as in Nix. */
  readonly ttl?: number;
  /** The URL of the registry that everybody shares; an empty text for none. Default: that of Nix. */
  readonly flakeRegistry?: string;
  /** Whose signatures count on store paths from binary caches, as `NAME:BASE64`. Default: that of cache.nixos.org. */
  readonly trustedKeys?: readonly string[];
}

/** Fetches in calls that wait. Its thread starts with the first of them. */
export class Fetcher {
  readonly ttl: number;
  readonly flakeRegistry: string;
  readonly trustedKeys: readonly string[] | undefined;
  /** The address of the store that holds what was fetched. */
  readonly store: string;
  /** Reads the trees that were fetched. */
  readonly reader: TreeReader;
  readonly #thread: BlockingThread<FetchFunctions>;

  constructor(options: FetcherOptions) {
    const { directory } = options;
    this.ttl = options.ttl ?? 3600;
    this.flakeRegistry = options.flakeRegistry ?? "https://channels.nixos.org/flake-registry.json";
    this.trustedKeys = options.trustedKeys;
    this.store = fetchStore(directory);
    const started: FetchThreadOptions = { directory };
    this.#thread = new BlockingThread(compiledModule("nix/fetch/thread.js"), started);
    this.reader = {
      directory: rememberDirectories((digest) => Directory.decode(this.#thread.call("directory", digest))),
      file: (digest) => this.#thread.call("blob", digest),
    };
  }

  /** Calls a function of the thread. @throws TvixError what it throws */
  call<K extends keyof FetchFunctions>(
    name: K,
    argument: Parameters<FetchFunctions[K]>[0],
  ): Awaited<ReturnType<FetchFunctions[K]>> {
    return this.#thread.call(name, argument);
  }

  /** Ends the thread. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}
