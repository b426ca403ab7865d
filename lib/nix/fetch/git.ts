// Git repositories, through the user's git: what is in a working tree, and the trees of revisions near and far.
//
// Far repositories have a bare clone each in the cache, to which what is asked for is fetched; a repository with a
// working tree on this machine is read where it is. Trees are read object by object and go straight into the castore:
// no checkout, so neither line-end conversions nor `export-subst` nor filters have any effect, as in Nix.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1 } from "../../base/text.ts";
import { EntryIngestion } from "../../castore/ingest/entries.ts";
import { type CacheFacts, type CachedTree, type CacheKey, type FetchCache, keyHash } from "./cache.ts";
import { cloneDirectory } from "./clone.ts";
import { type CommandOptions, type CommandResult, run, tryRun } from "./command.ts";
import { excludeIgnored, listTree, readBlobs, type TreeItem } from "./git-tree.ts";
import { UNPACK_LIMITS } from "./unpack.ts";

/** Options that decide which entries a tree has. */
interface GitShape {
  readonly submodules: boolean;
  /** Leave out what `.gitattributes` marks with `export-ignore`. */
  readonly exportIgnore: boolean;
}

/** A revision that is wanted. */
export interface GitRequest extends GitShape {
  readonly url: string;
  readonly ref?: string | undefined;
  /** 40 hexadecimal digits. */
  readonly rev?: string | undefined;
  readonly allRefs: boolean;
  /** Without history, hence without a count of revisions. */
  readonly shallow: boolean;
  /** Seconds for which an answer about a branch holds. */
  readonly ttl: number;
}

/** A revision that was fetched. */
export interface GitRevision {
  readonly tree: CachedTree;
  readonly rev: string;
  readonly lastModified: number;
  /** Absent for shallow requests. */
  readonly revCount: number | undefined;
  readonly warnings: readonly string[];
}

/** A working tree as it is. */
export interface WorkingTree {
  /** Paths of files and symlinks below the root, one char per byte. */
  readonly files: readonly string[];
  /** What HEAD is; `undefined` before the first commit. */
  readonly head: string | undefined;
  /** The branch that HEAD names, as `refs/heads/…`; `undefined` when it names a commit. */
  readonly branch: string | undefined;
  readonly isDirty: boolean;
  /** Of HEAD; 0 before the first commit. */
  readonly lastModified: number;
  /** Of HEAD; 0 before the first commit; absent when not asked for. */
  readonly revCount: number | undefined;
}

/** Settings that keep a repository's own configuration from running programs of its choice. */
const SAFE = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"];

/** Submodules in submodules. */
const SUBMODULE_DEPTH = 32;

/** A repository that git can be run in. */
export class GitRepository {
  readonly directory: string;
  /** Whether it has a working tree. */
  readonly hasWorkingTree: boolean;

  constructor(directory: string, hasWorkingTree: boolean) {
    this.directory = directory;
    this.hasWorkingTree = hasWorkingTree;
  }

  git(args: readonly string[], options: CommandOptions = {}): Promise<Uint8Array> {
    return run("git", [...SAFE, "-C", this.directory, ...args], options);
  }

  async text(args: readonly string[]): Promise<string> {
    return bytesToLatin1(await this.git(args)).trim();
  }

  attempt(args: readonly string[]): Promise<CommandResult> {
    return tryRun("git", [...SAFE, "-C", this.directory, ...args]);
  }

  /** The commit that a name stands for here. */
  async commit(name: string): Promise<string | undefined> {
    const { status, stdout } = await this.attempt(["rev-parse", "--verify", "--quiet", `${name}^{commit}`, "--"]);
    const found = bytesToLatin1(stdout).split("\n", 1)[0] as string;
    return status === 0 && /^[0-9a-f]{40}$/.test(found) ? found : undefined;
  }

  async lastModified(rev: string): Promise<number> {
    return Number(await this.text(["log", "-1", "--format=%ct", "--no-show-signature", rev, "--"]));
  }

  /** @throws TvixError `ERR_FETCH_GIT_SHALLOW` when the history is not there */
  async revCount(rev: string): Promise<number> {
    if ((await this.text(["rev-parse", "--is-shallow-repository"])) === "true") {
      const message = `'${this.directory}' is a shallow Git repository, but shallow repositories are only allowed when \`shallow = true;\` is specified`;
      throw new TvixError("ERR_FETCH_GIT_SHALLOW", message);
    }
    return Number(await this.text(["rev-list", "--count", rev, "--"]));
  }
}

/** The directory of a repository with a working tree on this machine; `undefined` for all others. */
export async function localRepository(url: string): Promise<string | undefined> {
  const directory = localPath(url);
  if (directory === undefined) return undefined;
  if (!existsSync(directory)) {
    throw new TvixError("ERR_FETCH_GIT_MISSING", `Git repository "${directory}" does not exist.`);
  }
  return existsSync(join(directory, ".git")) ? directory : undefined;
}

function localPath(url: string): string | undefined {
  if (url.startsWith("/")) return url;
  return url.startsWith("file:") ? fileURLToPath(url.replace(/\?.*/s, "")) : undefined;
}

/** What a working tree has: the files that git tracks and that are there, changed or not. */
export async function readWorkingTree(
  directory: string,
  { submodules, exportIgnore, count }: GitShape & { readonly count: boolean },
): Promise<WorkingTree> {
  const repository = new GitRepository(directory, true);
  const head = await repository.commit("HEAD");
  const status = ["status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"];
  let isDirty = head === undefined || (await repository.git(status)).length > 0;
  const items = parseIndex(bytesToLatin1(await repository.git(["ls-files", "-z", "--stage"])));
  const kept = exportIgnore ? await excludeIgnored(repository, items, undefined) : items;
  const files: string[] = [];
  for (const { mode, path } of kept) {
    if (mode !== "160000") files.push(path);
    else if (submodules) {
      const inner = join(directory, Buffer.from(path, "latin1").toString());
      if (!existsSync(join(inner, ".git"))) {
        throw new TvixError("ERR_FETCH_GIT_SUBMODULE", `submodule '${path}' of '${directory}' is not checked out`, {
          notes: ["run: git submodule update --init --recursive"],
        });
      }
      const below = await readWorkingTree(inner, { submodules, exportIgnore, count: false });
      isDirty ||= below.isDirty;
      files.push(...below.files.map((file) => `${path}/${file}`));
    }
  }
  const symbolic = await repository.attempt(["symbolic-ref", "--quiet", "HEAD"]);
  const branch = symbolic.status === 0 ? bytesToLatin1(symbolic.stdout).trim() : undefined;
  const lastModified = head === undefined ? 0 : await repository.lastModified(head);
  const revCount = !count ? undefined : head === undefined ? 0 : await repository.revCount(head);
  return { files, head, branch, isDirty, lastModified, revCount };
}

/** Lines `mode object stage<TAB>path`. */
function parseIndex(text: string): TreeItem[] {
  const items = text.split("\0").slice(0, -1);
  return items.map((item) => {
    const tab = item.indexOf("\t");
    const [mode = "", object = ""] = item.slice(0, tab).split(" ");
    return { mode, object, path: item.slice(tab + 1) };
  });
}

/** Gets the tree of a revision. What a revision is never changes, so one that was got before is not asked for again. */
export async function fetchRevision(cache: FetchCache, request: GitRequest): Promise<GitRevision> {
  const { url, ref, rev, shallow, submodules, exportIgnore } = request;
  const shape = { shallow, submodules, exportIgnore };
  const atRev = (revision: string): CacheKey => ({ kind: "git-rev", url, rev: revision, ...shape });
  const byRef: CacheKey = { kind: "git-ref", url, ref: ref ?? "", ...shape };
  if (rev !== undefined) {
    const known = await cache.get(atRev(rev));
    if (known !== undefined) return revisionOf(known.tree, known.facts, []);
  }
  const local = await localRepository(url);
  if (rev === undefined && local === undefined) {
    const known = await cache.get(byRef);
    if (known !== undefined && Date.now() / 1000 - known.time < request.ttl)
      return revisionOf(known.tree, known.facts, []);
  }
  const { repository, commit, warnings } =
    local === undefined ? await fetchRemote(cache, request) : await findLocal(new GitRepository(local, true), request);
  const known = await cache.get(atRev(commit));
  if (known !== undefined) {
    if (local === undefined && rev === undefined) await cache.put(byRef, known.tree, known.facts);
    return revisionOf(known.tree, known.facts, warnings);
  }
  const facts: CacheFacts = {
    rev: commit,
    lastModified: await repository.lastModified(commit),
    ...(shallow ? {} : { revCount: await repository.revCount(commit) }),
  };
  const tree = await ingest(cache, repository, commit, request);
  await cache.put(atRev(commit), tree, facts);
  if (local === undefined && rev === undefined) await cache.put(byRef, tree, facts);
  return revisionOf(tree, facts, warnings);
}

function revisionOf(tree: CachedTree, facts: CacheFacts, warnings: readonly string[]): GitRevision {
  return {
    tree,
    rev: facts["rev"] as string,
    lastModified: facts["lastModified"] as number,
    revCount: facts["revCount"] as number | undefined,
    warnings,
  };
}

interface Found {
  readonly repository: GitRepository;
  readonly commit: string;
  readonly warnings: readonly string[];
}

async function findLocal(repository: GitRepository, { ref, rev }: GitRequest): Promise<Found> {
  const commit = await repository.commit(rev ?? ref ?? "HEAD");
  if (commit !== undefined) return { repository, commit, warnings: [] };
  throw noRevision(repository.directory, rev ?? ref ?? "HEAD");
}

/** Fetches what is asked for into the clone of the cache. */
async function fetchRemote(cache: FetchCache, request: GitRequest): Promise<Found> {
  const { url, rev, allRefs, shallow } = request;
  const repository = await openClone(cache, url, shallow);
  if (rev !== undefined && (await repository.commit(rev)) === rev) return { repository, commit: rev, warnings: [] };
  const warnings: string[] = [];
  const ref = request.ref ?? (rev === undefined ? await defaultBranch(repository, url, warnings) : undefined);
  const full = ref === undefined || ref.startsWith("refs/") || ref === "HEAD" ? ref : `refs/heads/${ref}`;
  // A name of its own for what is asked for: other processes may be asking for something else.
  const target = `refs/tvix/${keyHash(rev ?? (full as string))}`;
  const options = shallow ? ["--depth", "1"] : [];
  const fetching = await fetchInto(repository, url, allRefs ? "+refs/*:refs/*" : `+${rev ?? full}:${target}`, options);
  // Not every server gives out a commit that no name of it leads to; then all that names lead to is looked through.
  const again = fetching.status !== 0 && rev !== undefined && !allRefs;
  const outcome = again ? await fetchInto(repository, url, "+refs/*:refs/tvix/all/*", options) : fetching;
  if (outcome.status !== 0) {
    throw new TvixError("ERR_FETCH_GIT", `Failed to fetch git repository '${url}'`, { notes: outcome.messages });
  }
  const commit = await repository.commit(rev ?? (allRefs ? (full as string) : target));
  if (commit === undefined) throw noRevision(url, rev ?? (ref as string));
  return { repository, commit, warnings };
}

/** How often to try again when another process is writing to the clone. */
const LOCK_ATTEMPTS = 8;

async function fetchInto(
  repository: GitRepository,
  url: string,
  refspec: string,
  options: readonly string[],
): Promise<CommandResult> {
  const args = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", ...options, "--", url, refspec];
  for (let attempt = 1; ; attempt++) {
    const outcome = await repository.attempt(args);
    const isLocked = outcome.status !== 0 && outcome.messages.some((line) => /\.lock'|cannot lock ref/.test(line));
    if (!isLocked || attempt === LOCK_ATTEMPTS) return outcome;
    await setTimeout(50 * 2 ** attempt);
  }
}

async function openClone(cache: FetchCache, url: string, shallow: boolean): Promise<GitRepository> {
  const key = `${url}${shallow ? "\0shallow" : ""}`;
  const make = (directory: string) => run("git", ["init", "--quiet", "--bare", "--", directory]);
  return new GitRepository(await cloneDirectory(cache, "git", key, make), false);
}

async function defaultBranch(repository: GitRepository, url: string, warnings: string[]): Promise<string> {
  const { stdout } = await repository.attempt(["ls-remote", "--symref", "--", url, "HEAD"]);
  const head = /^ref: (\S+)\tHEAD$/m.exec(bytesToLatin1(stdout))?.[1];
  if (head !== undefined) return head;
  warnings.push(`could not read HEAD ref from repo at '${url}', using 'master'`);
  return "master";
}

/** Stores the tree of a commit, submodules within. */
async function ingest(cache: FetchCache, repository: GitRepository, commit: string, request: GitRequest) {
  const ingestion = new EntryIngestion(cache.store.castore, UNPACK_LIMITS);
  try {
    await addTree(cache, ingestion, [], repository, commit, request, 0);
    return await cache.hashed(await ingestion.finish());
  } finally {
    ingestion.abort();
  }
}

async function addTree(
  cache: FetchCache,
  ingestion: EntryIngestion,
  prefix: readonly Uint8Array[],
  repository: GitRepository,
  commit: string,
  request: GitRequest,
  depth: number,
): Promise<void> {
  const items = await listTree(repository, commit);
  const kept = request.exportIgnore ? await excludeIgnored(repository, items, commit) : items;
  await readBlobs(repository, kept, prefix, ingestion);
  const links = kept.filter(({ mode }) => mode === "160000");
  if (links.length === 0) return;
  const urls = request.submodules ? await submoduleUrls(repository, commit, request.url) : new Map<string, string>();
  for (const { path, object } of links) {
    const below = [...prefix, ...path.split("/").map((name) => Buffer.from(name, "latin1"))];
    ingestion.directory(below);
    if (!request.submodules) continue;
    const url = urls.get(path);
    if (url === undefined || depth === SUBMODULE_DEPTH) {
      const why = url === undefined ? "is not in .gitmodules" : "lies too deep";
      throw new TvixError("ERR_FETCH_GIT_SUBMODULE", `submodule '${path}' of '${request.url}' ${why}`);
    }
    const inner: GitRequest = { ...request, url, ref: undefined, rev: object, allRefs: false, shallow: false };
    const local = await localRepository(url);
    const found =
      local === undefined ? await fetchRemote(cache, inner) : await findLocal(new GitRepository(local, true), inner);
    await addTree(cache, ingestion, below, found.repository, found.commit, inner, depth + 1);
  }
}

/** URLs of submodules by their paths; those relative to the repository's own made whole. */
async function submoduleUrls(repository: GitRepository, commit: string, base: string): Promise<Map<string, string>> {
  const listing = await repository.attempt(["config", "--blob", `${commit}:.gitmodules`, "--list", "-z"]);
  const urls = new Map<string, string>();
  const paths = new Map<string, string>();
  for (const setting of bytesToLatin1(listing.stdout).split("\0")) {
    const [, name = "", key = "", value = ""] = /^submodule\.(.*)\.(path|url)\n(.*)$/s.exec(setting) ?? [];
    if (key === "path") paths.set(name, value);
    else if (key === "url") urls.set(name, value);
  }
  const out = new Map<string, string>();
  for (const [name, path] of paths) {
    const url = urls.get(name);
    if (url !== undefined) out.set(path, submoduleUrl(url, base));
  }
  return out;
}

/** Only what git would call a URL or an absolute path: never an option, never a helper program (`ext::…`). */
function submoduleUrl(url: string, base: string): string {
  if (/^\.\.?\//.test(url)) {
    const [, root = "", path = ""] = /^([a-z+]+:\/\/[^/]*)?(.*)$/s.exec(base) ?? [];
    const parts = path.split("/");
    for (const part of url.split("/")) {
      if (part === "..") parts.pop();
      else if (part !== ".") parts.push(part);
    }
    return root + parts.join("/");
  }
  if (/^(https?|ssh|git|file):\/\//.test(url) || url.startsWith("/")) return url;
  const scp = /^([A-Za-z0-9_.@-]*[A-Za-z0-9_@]):([^:]+)$/.exec(url);
  if (scp !== null && !url.startsWith("-")) return `ssh://${scp[1]}/${scp[2]}`;
  throw new TvixError("ERR_FETCH_GIT_SUBMODULE", `the URL '${url}' of a submodule is not supported`);
}

function noRevision(where: string, what: string): TvixError {
  return new TvixError("ERR_FETCH_GIT_REVISION", `there is no '${what}' in the Git repository '${where}'`);
}
