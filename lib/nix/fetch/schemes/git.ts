// Inputs of type `git`: repositories near and far, at a revision, a branch, or as they are.
import { toByteString } from "../../../base/text.ts";
import { revAttr, isGitRef, NO_REVISION } from "../revision.ts";
import {
  BadUrl,
  boolAttr,
  demandText,
  type FetchContext,
  type FetchedTree,
  type InputAttrs,
  inputError,
  type Scheme,
  textAttr,
  unicodeText,
  withAttrs,
} from "../input.ts";
import { formatUrl, parseUrl, type Url, withQuery } from "../url.ts";

const SCHEMES: ReadonlySet<string> = new Set(["git", "git+http", "git+https", "git+ssh", "git+file"]);
const TEXTS: ReadonlySet<string> = new Set(["ref", "rev"]);
const FLAGS: ReadonlySet<string> = new Set(["shallow", "submodules", "lfs", "exportIgnore", "allRefs"]);
/** In the order of nothing: those that the URL of an input shows when they are true. */
const SHOWN_FLAGS = ["shallow", "lfs", "submodules", "exportIgnore"];
const VERIFICATION: ReadonlySet<string> = new Set(["verifyCommit", "keytype", "publicKey", "publicKeys"]);

/** The scheme. */
export const GIT: Scheme = {
  type: "git",
  attributes: [
    "url",
    "ref",
    "rev",
    "shallow",
    "submodules",
    "lfs",
    "exportIgnore",
    "lastModified",
    "revCount",
    "narHash",
    "allRefs",
    "name",
    "dirtyRev",
    "dirtyShortRev",
    ...VERIFICATION,
  ],
  fromUrl,
  check,
  toUrl,
  isLocked: (attrs) => {
    const rev = revAttr(attrs);
    return rev !== undefined && rev !== NO_REVISION;
  },
  fetch,
};

/** What `fetchGit` takes for the URL of a repository, as a URL: paths, and `user@host:path`. */
export function fixGitUrl(text: string): string {
  const scp = /^([^/:@]*)@([^/:]*):([^/].*|$)/s.exec(text);
  if (scp !== null) return `ssh://${scp[1]}@${scp[2]}/${scp[3]}`;
  if (text.startsWith("file:") || text.includes("://")) return text;
  return text.startsWith("/") ? `file://${text}` : `file:${text}`;
}

function fromUrl(url: Url): InputAttrs | undefined {
  if (!SCHEMES.has(url.scheme)) return undefined;
  const attrs = new Map<string, string | boolean>([["type", "git"]]);
  const rest = new Map<string, string>();
  for (const [name, value] of url.query) {
    if (VERIFICATION.has(name)) throw unverifiable();
    if (TEXTS.has(name)) attrs.set(name, value);
    else if (FLAGS.has(name)) attrs.set(name, value === "1");
    else rest.set(name, value);
  }
  const ref = attrs.get("ref");
  if (typeof ref === "string" && !isGitRef(ref)) throw new BadUrl(`invalid Git branch/tag name '${ref}'`);
  attrs.set("url", formatUrl({ ...withQuery(url, rest), scheme: url.scheme.replace(/^git\+/, "") }));
  return attrs;
}

function check(attrs: InputAttrs): InputAttrs {
  for (const name of VERIFICATION) if (attrs.has(name)) throw unverifiable();
  const url = fixGitUrl(demandText(attrs, "url"));
  const ref = textAttr(attrs, "ref");
  if (ref !== undefined && !isGitRef(ref)) throw inputError(`invalid Git branch/tag name '${ref}'`);
  for (const name of FLAGS) boolAttr(attrs, name);
  if (parseUrl(url) === undefined) throw inputError(`'${url}' is not a valid URL`);
  return withAttrs(attrs, { url });
}

function unverifiable() {
  return inputError("experimental Nix feature 'verified-fetches' is not supported: commits cannot be verified here");
}

function toUrl(attrs: InputAttrs): Url {
  const url = parseUrl(demandText(attrs, "url")) as Url;
  const query = new Map(url.query);
  const rev = revAttr(attrs);
  const ref = textAttr(attrs, "ref");
  if (rev !== undefined) query.set("rev", rev);
  if (ref !== undefined) query.set("ref", ref);
  for (const name of SHOWN_FLAGS) if (boolAttr(attrs, name) === true) query.set(name, "1");
  return { ...withQuery(url, query), scheme: url.scheme === "git" ? "git" : `git+${url.scheme}` };
}

function fetch(attrs: InputAttrs, { fetcher, warn }: FetchContext): FetchedTree {
  if (boolAttr(attrs, "lfs") === true) throw inputError("fetching files of Git LFS is not supported");
  const url = unicodeText(demandText(attrs, "url"));
  const ref = textAttr(attrs, "ref");
  const rev = revAttr(attrs);
  const shallow = boolAttr(attrs, "shallow") ?? false;
  const shape = {
    submodules: boolAttr(attrs, "submodules") ?? false,
    exportIgnore: boolAttr(attrs, "exportIgnore") ?? false,
  };
  if (ref === undefined && rev === undefined && boolAttr(attrs, "allRefs") !== true) {
    const directory = fetcher.call("gitDirectory", url);
    if (directory !== undefined) {
      const found = fetcher.call("gitWorkingTree", { directory, ...shape, count: !shallow });
      if (found.isDirty) warn(`Git tree '${toByteString(directory)}' is dirty`);
      const { head, files, lastModified } = found;
      const exact = found.isDirty
        ? head === undefined
          ? {}
          : { dirtyRev: `${head}-dirty`, dirtyShortRev: `${head.slice(0, 7)}-dirty` }
        : { ref: found.branch, rev: head, revCount: found.revCount };
      return {
        tree: { origin: toByteString(directory), files },
        attrs: withAttrs(attrs, { ...exact, lastModified }),
      };
    }
  }
  const found = fetcher.call("gitRevision", {
    url,
    ref: ref === undefined ? undefined : unicodeText(ref),
    rev,
    allRefs: boolAttr(attrs, "allRefs") ?? false,
    shallow,
    ...shape,
    ttl: fetcher.ttl,
  });
  for (const warning of found.warnings) warn(toByteString(warning));
  const exact = { rev: found.rev, lastModified: found.lastModified, revCount: found.revCount };
  return { tree: found.tree, attrs: withAttrs(attrs, exact) };
}
