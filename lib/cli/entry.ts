// Which file started the process: what a thread of the same program is started with.
let started: URL | undefined;

/** Remembers the entry; called once, first. */
export function setEntry(url: URL): void {
  started = url;
}

/** The file that started this process. */
export function entry(): URL {
  if (!started) throw new Error("the entry is not set");
  return started;
}
