// EvalIO that sees into the store without a mount: paths below the store directory are looked up in what evaluation
// has put there, then in the store, then on the host; everything else is the host's.
//
// Symlinks may lead from one to the other (`./result` on the host points into the store), so paths in the store are
// walked component by component here. A path of the host is given to the host first: only when that finds nothing is
// it looked through for a symlink into the store.
import { EvalError } from "../eval/error.ts";
import type { EvalIO } from "../eval/io.ts";
import { canonicalPath } from "../eval/text/path.ts";
import type { TreeEntry } from "./store-tree.ts";

const SYMLINK_LIMIT = 40;

/** The tree at an absolute store path, unless it is for the host to say. */
export type RootLookup = (storePath: string) => TreeEntry | undefined;

/** Where a path leads: to an entry of a tree (`undefined`: nothing), or to a path of the host. */
type Place = { readonly entry: TreeEntry | undefined; readonly path: string } | { readonly host: string };

/** I/O over `host` with the trees of `roots` below `storeDir`. */
export function storeIO(host: EvalIO, storeDir: string, roots: RootLookup): EvalIO {
  const walker = new Walker(host, storeDir, roots);
  const prefix = `${storeDir}/`;
  // The host is asked first, and only what it does not find is looked up again: almost every path is the host's.
  const ask = <T>(
    path: string,
    last: boolean,
    onHost: (path: string) => T,
    inStore: (entry: TreeEntry | undefined, path: string) => T,
  ): T => {
    let failure: EvalError | undefined;
    if (!path.startsWith(prefix)) {
      try {
        const answer = onHost(path);
        if (answer !== undefined) return answer;
      } catch (error) {
        if (!(error instanceof EvalError)) throw error;
        failure = error;
      }
    }
    const place = walker.find(path, last);
    if (!("host" in place)) return inStore(place.entry, place.path);
    if (failure !== undefined) throw failure;
    return onHost(place.host);
  };
  return {
    fileType: (path) =>
      ask(
        path,
        false,
        (at) => host.fileType(at),
        (entry) => entry?.type,
      ),
    readFile: (path) =>
      ask(
        path,
        true,
        (at) => host.readFile(at),
        (entry) => expect(entry, path, "regular").contents(),
      ),
    isExecutable: (path) =>
      ask(
        path,
        true,
        (at) => host.isExecutable(at),
        (entry) => expect(entry, path, "regular").executable,
      ),
    readDirectory: (path) =>
      ask(
        path,
        true,
        (at) => host.readDirectory(at),
        (entry) => expect(entry, path, "directory").children(),
      ),
    readLink: (path) =>
      ask(
        path,
        false,
        (at) => host.readLink(at),
        (entry) => expect(entry, path, "symlink").target(),
      ),
    realPath: (path) => {
      const place = walker.find(path, true);
      if ("host" in place) return host.realPath(place.host);
      return place.entry === undefined ? path : place.path;
    },
    variable: (name) => host.variable(name),
    time: () => host.time(),
  };
}

function expect(entry: TreeEntry | undefined, path: string, type: TreeEntry["type"]): TreeEntry {
  if (entry === undefined) throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
  if (entry.type === type) return entry;
  if (type === "regular" && entry.type === "directory") {
    throw new EvalError("ERR_EVAL_IO", `cannot read '${path}': Is a directory`);
  }
  if (type === "directory") {
    throw new EvalError("ERR_EVAL_IO", `cannot read the directory '${path}': Not a directory`);
  }
  throw new EvalError("ERR_EVAL_IO", `'${path}' is not a ${type === "regular" ? "regular file" : type}`);
}

class Walker {
  readonly #host: EvalIO;
  readonly #prefix: string;
  readonly #roots: RootLookup;

  constructor(host: EvalIO, storeDir: string, roots: RootLookup) {
    this.#host = host;
    this.#prefix = `${storeDir}/`;
    this.#roots = roots;
  }

  /** Where `path` leads, symlinks in its parents followed, and at its end when `last`. */
  find(path: string, last: boolean): Place {
    let at = path;
    for (let links = 0; links < SYMLINK_LIMIT; links++) {
      const step = at.startsWith(this.#prefix) ? this.#inStore(at, last) : this.#onHost(at, last);
      if (typeof step !== "string") return step;
      at = step;
    }
    throw new EvalError("ERR_EVAL_IO", `cannot read '${path}': Too many levels of symbolic links`);
  }

  /** One walk into the store: where it ends, or the path with its first symlink replaced. */
  #inStore(path: string, last: boolean): Place | string {
    const [root = "", ...parts] = path.slice(this.#prefix.length).split("/");
    let entry = this.#roots(this.#prefix + root);
    if (entry === undefined) return { host: path };
    let parent = this.#prefix.slice(0, -1);
    let own = this.#prefix + root;
    for (let i = 0; ; i++) {
      if (entry.type === "symlink" && (last || i < parts.length)) {
        const target = entry.target();
        const rest = parts.slice(i).join("/");
        return canonicalPath(`${target.startsWith("/") ? target : `${parent}/${target}`}/${rest}`);
      }
      if (i === parts.length) return { entry, path: own };
      const name = parts[i] as string;
      const child: TreeEntry | undefined = entry.child(name);
      if (child === undefined) return { entry: undefined, path };
      parent = own;
      own = `${own}/${name}`;
      entry = child;
    }
  }

  /** A path of the host, or where it leads when a symlink on its way points into the store. */
  #onHost(path: string, last: boolean): Place | string {
    const host = this.#host;
    const type = host.fileType(path);
    if (type !== undefined && !(last && type === "symlink")) return { host: path };
    const parts = path.split("/").filter((part) => part !== "");
    let at = "";
    for (let i = 0; i < parts.length; i++) {
      at += `/${parts[i] as string}`;
      const kind = host.fileType(at);
      if (kind === undefined) break;
      if (kind !== "symlink" || (i === parts.length - 1 && !last)) continue;
      const target = host.readLink(at);
      const parent = at.slice(0, at.lastIndexOf("/"));
      const rest = parts.slice(i + 1).join("/");
      return canonicalPath(`${target.startsWith("/") ? target : `${parent}/${target}`}/${rest}`);
    }
    return { host: path };
  }
}
