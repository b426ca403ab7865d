// Where the cache of fetched things has its store: known without loading the cache.

/** The directory of the store of a cache in a directory. */
export function fetchStore(directory: string): string {
  return `${directory}/store`;
}
