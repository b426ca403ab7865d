// Which file started the process, and which one starts a thread of the same program.
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

/** The file to start a thread with. */
export function threadEntry(): URL {
  return new URL(entry().pathname.endsWith(".ts") ? "thread.ts" : "thread.js", entry());
}
