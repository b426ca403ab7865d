// Looking a store over: whether it can be reached, read and written, how long that takes, and what to do if not.
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { encodeUtf8 } from "../base/text.ts";
import { readBlob } from "../castore/blob/range.ts";
import { digestOf, EMPTY_DIGEST } from "../castore/digest.ts";
import { Directory, EMPTY_DIRECTORY } from "../castore/directory.ts";
import type { Store } from "./store.ts";

/** What one check found. */
export interface Finding {
  /** The store, by its name or address. */
  readonly store: string;
  readonly check: string;
  /** `no` is no failure: a store that is only read cannot be written, and a cache lists nothing. */
  readonly outcome: "good" | "no" | "bad";
  /** What was seen, for people. */
  readonly detail: string;
  /** What to do about it. */
  readonly advice: readonly string[];
  readonly milliseconds: number;
}

/** Codes of failures that say what a store is for, not that anything is wrong. */
const MEANT: ReadonlySet<string> = new Set(["ERR_STORE_READONLY", "ERR_STORE_NO_LIST"]);

/** What to do about failures, by the beginning of their codes. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^ERR_HTTP_(NETWORK|TIMEOUT)/, "is the address right, does the server run, and can this machine reach it?"],
  [/^ERR_HTTP_STATUS/, "the server is there and does not do its work: look into its log"],
  [/^ERR_CACHE_NONE/, "the address of a cache is the place where its nix-cache-info is"],
  [/^ERR_REMOTE_(?!TLS)/, "is the daemon of that address running, and one that this version understands?"],
  [/^ERR_REMOTE_TLS/, "name the authority of the server's certificate with tls_ca_cert_path"],
  [/^ERR_OBJECT_(UNAVAILABLE|BUSY)/, "is the endpoint of the bucket right, and does its server run?"],
  [/^ERR_STORE_FULL/, "make room on the disk, or run `tvix store gc`"],
  [
    /^ERR_STORE_(INDEX|IO)|^ERR_CASTORE_CORRUPT/,
    "run `tvix store verify --repair`, with --from and a store that has the data",
  ],
  [
    /^ERR_STORE_(MISSING|READONLY)/,
    "check the directory and its permissions; a store is made by the first write to it",
  ],
  [/^ERR_STORE_VERSION/, "the store was written by a newer version of this program: use that one"],
  [/^ERR_KEY/, "`nix-store --generate-binary-cache-key NAME SECRET PUBLIC` makes keys"],
];

/**
 * Looks a store over. Writing leaves a few bytes in it that nothing refers to; a collection removes them.
 * @param name what the findings call it
 */
export async function* examineStore(name: string, open: () => Promise<Store>): AsyncGenerator<Finding, void, void> {
  let store: Store | undefined;
  const check = async (what: string, work: () => Promise<string>): Promise<Finding> => {
    const start = performance.now();
    const finding = (outcome: Finding["outcome"], detail: string, advice: readonly string[] = []): Finding => {
      return { store: name, check: what, outcome, detail, advice, milliseconds: performance.now() - start };
    };
    try {
      return finding("good", await work());
    } catch (error) {
      if (!(error instanceof TvixError)) throw error;
      const { code, message, notes } = error;
      if (MEANT.has(code)) return finding("no", message);
      const advice = ADVICE.find(([pattern]) => pattern.test(code))?.[1];
      return finding("bad", `${message} [${code}]`, [...notes, ...(advice === undefined ? [] : [advice])]);
    }
  };
  yield await check("open", async () => {
    store = await open();
    return store.address;
  });
  const opened = store;
  if (opened === undefined) return;
  try {
    for (const [what, work] of Object.entries(CHECKS)) yield await check(what, () => work(opened));
  } finally {
    await opened.close();
  }
}

const CHECKS: Readonly<Record<string, (store: Store) => Promise<string>>> = {
  "read blobs": async ({ blobs }) => {
    const [empty] = await blobs.has([EMPTY_DIGEST]);
    if (!empty) throw wrong("it does not have the empty blob, which every store has");
    return "answers";
  },
  "read directories": async ({ directories }) => {
    await directories.has([EMPTY_DIGEST]);
    return "answers";
  },
  "read path infos": async ({ pathInfos }) => {
    const found = await pathInfos.get(new Uint8Array(20));
    if (found) throw wrong(`it has ${found.path.basename} for a hash that no path has`);
    return "answers";
  },
  "list path infos": async (store) => {
    for await (const { path } of store.list()) return `the first is ${path.basename}`;
    return "there are none";
  },
  "write and read back": async ({ blobs, directories }) => {
    const bytes = encodeUtf8("written by tvix store doctor\n");
    const digest = digestOf(bytes);
    const [stored] = await blobs.put([bytes]);
    if (stored === undefined || !equalBytes(stored, digest)) throw wrong("it stores a blob under another digest");
    if (!equalBytes(await readBlob(blobs, digest), bytes)) throw wrong("it gives back other bytes than were stored");
    const directory = Directory.of([
      { name: encodeUtf8("empty"), node: EMPTY_DIRECTORY.node() },
      { name: encodeUtf8("file"), node: { type: "file", digest, size: bytes.length, executable: false } },
    ]);
    const root = await directories.putClosure([EMPTY_DIRECTORY, directory]);
    const back = await directories.get(root);
    if (!back?.equals(directory)) throw wrong("it gives back another directory than was stored");
    return "a blob and a directory came back";
  },
};

function wrong(why: string): TvixError {
  return new TvixError("ERR_STORE_WRONG", why);
}
