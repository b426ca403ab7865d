// Inputs of the types `github`, `gitlab` and `sourcehut`: archives of revisions that a forge makes.
import { bytesToLatin1, toByteString } from "../../../base/text.ts";
import { isRef, REVISION, revAttr } from "../revision.ts";
import {
  BadUrl,
  demandText,
  type FetchContext,
  type FetchedTree,
  type InputAttrs,
  inputError,
  type Scheme,
  showAttrs,
  textAttr,
  unicodeText,
  withAttrs,
} from "../input.ts";
import { percentDecode, percentEncode, type Url } from "../url.ts";

/** Where a forge has what. */
interface Forge {
  readonly type: string;
  readonly host: string;
  /** The commit that a branch or tag is, by asking the forge. */
  readonly findRevision: (place: Place, ref: string, context: FetchContext) => string;
  readonly archiveUrl: (place: Place, rev: string) => string;
}

/** A repository; the parts are percent-encoded where they are part of URLs. */
interface Place {
  readonly host: string;
  readonly owner: string;
  readonly repo: string;
}

const HOST = /^[a-zA-Z0-9.-]*(:[0-9]+)?$/;

/** https://github.com, or a GitHub Enterprise with `host`. */
export const GITHUB: Scheme = forgeScheme({
  type: "github",
  host: "github.com",
  findRevision: ({ host, owner, repo }, ref, context) => {
    const api = host === "github.com" ? "https://api.github.com" : `https://${host}/api/v3`;
    return demandText(askJson(`${api}/repos/${owner}/${repo}/commits/${ref}`, context), "sha");
  },
  archiveUrl: ({ host, owner, repo }, rev) =>
    host === "github.com"
      ? `https://github.com/${owner}/${repo}/archive/${rev}.tar.gz`
      : `https://${host}/api/v3/repos/${owner}/${repo}/tarball/${rev}`,
});

/** https://gitlab.com, or another one with `host`. */
export const GITLAB: Scheme = forgeScheme({
  type: "gitlab",
  host: "gitlab.com",
  findRevision: ({ host, owner, repo }, ref, context) => {
    const project = `https://${host}/api/v4/projects/${owner}%2F${repo}`;
    const commits = askJson(`${project}/repository/commits?ref_name=${ref}&per_page=1`, context);
    return demandText(commits, "id");
  },
  archiveUrl: ({ host, owner, repo }, rev) =>
    `https://${host}/api/v4/projects/${owner}%2F${repo}/repository/archive.tar.gz?sha=${rev}`,
});

/** https://git.sr.ht, or another one with `host`. */
export const SOURCEHUT: Scheme = forgeScheme({
  type: "sourcehut",
  host: "git.sr.ht",
  findRevision: ({ host, owner, repo }, ref, context) => {
    const { fetcher, warn } = context;
    const url = `https://${host}/${owner}/${repo}`;
    const wanted = ref === "HEAD" ? undefined : percentDecode(ref);
    const found = fetcher.call("gitRevision", {
      url,
      ref: wanted,
      rev: undefined,
      allRefs: false,
      shallow: true,
      submodules: false,
      exportIgnore: false,
      ttl: fetcher.ttl,
    });
    for (const warning of found.warnings) warn(toByteString(warning));
    return found.rev;
  },
  archiveUrl: ({ host, owner, repo }, rev) => `https://${host}/${owner}/${repo}/archive/${rev}.tar.gz`,
});

function forgeScheme(forge: Forge): Scheme {
  const { type } = forge;
  return {
    type,
    attributes: ["owner", "repo", "ref", "rev", "host", "treeHash", "narHash", "lastModified"],
    fromUrl: (url) => (url.scheme === type ? fromUrl(type, url) : undefined),
    check,
    toUrl: (attrs) => toUrl(type, attrs),
    isLocked: (attrs) => revAttr(attrs) !== undefined,
    fetch: (attrs, context) => fetch(forge, attrs, context),
  };
}

function fromUrl(type: string, url: Url): InputAttrs {
  const bad = (why: string) => new BadUrl(`URL '${type}:${url.path}' ${why}`);
  const [owner, repo, ...rest] = url.path.split("/").map(percentDecode);
  if (url.authority !== undefined || owner === undefined || repo === undefined) throw bad("is not OWNER/REPO");
  const attrs = new Map<string, string>([
    ["type", type],
    ["owner", owner],
    ["repo", repo],
  ]);
  const set = (name: string, value: string): void => {
    if (attrs.has("rev") || attrs.has("ref")) throw bad("names more than one revision");
    attrs.set(name, value);
  };
  const tail = rest.join("/");
  if (REVISION.test(tail)) set("rev", tail);
  else if (isRef(tail)) set("ref", tail);
  else if (rest.length > 0) throw bad(`: '${tail}' is not a commit hash or branch/tag name`);
  for (const [name, value] of url.query) {
    if (name === "ref" && !isRef(value)) throw bad(`contains an invalid branch/tag name`);
    if (name === "host" && !HOST.test(value)) throw bad("contains an invalid instance host");
    if (name === "rev" || name === "ref") set(name, value);
    else if (name === "host" || name === "narHash") attrs.set(name, value);
  }
  revAttr(attrs);
  return attrs;
}

function check(attrs: InputAttrs): InputAttrs {
  demandText(attrs, "owner");
  demandText(attrs, "repo");
  const ref = textAttr(attrs, "ref");
  const rev = revAttr(attrs);
  if (ref !== undefined && rev !== undefined) {
    const message = `input ${showAttrs(attrs)} contains both a commit hash ('${rev}') and a branch/tag name ('${ref}')`;
    throw inputError(message);
  }
  if (ref !== undefined && !isRef(ref)) {
    throw inputError(`input ${showAttrs(attrs)} contains an invalid branch/tag name`);
  }
  const host = textAttr(attrs, "host");
  if (host !== undefined && !HOST.test(host)) throw inputError(`'${host}' is not the name of a host`);
  return attrs;
}

function toUrl(type: string, attrs: InputAttrs): Url {
  const parts = [demandText(attrs, "owner"), demandText(attrs, "repo")];
  const at = revAttr(attrs) ?? textAttr(attrs, "ref");
  if (at !== undefined) parts.push(at);
  const query = new Map<string, string>();
  for (const name of ["host", "narHash"]) {
    const value = textAttr(attrs, name);
    if (value !== undefined) query.set(name, value);
  }
  const path = parts.map((part) => percentEncode(part, "")).join("/");
  return { scheme: type, authority: undefined, path, query, fragment: "" };
}

function fetch(forge: Forge, attrs: InputAttrs, context: FetchContext): FetchedTree {
  const place: Place = {
    host: textAttr(attrs, "host") ?? forge.host,
    owner: percentEncode(demandText(attrs, "owner"), ""),
    repo: percentEncode(demandText(attrs, "repo"), ""),
  };
  const ref = percentEncode(textAttr(attrs, "ref") ?? "HEAD", "");
  const rev = revAttr(attrs) ?? forge.findRevision(place, ref, context);
  const { fetcher } = context;
  // What a commit is does not change, so its archive is never asked for again.
  const { tree, lastModified } = fetcher.call("tarball", { url: forge.archiveUrl(place, rev), ttl: Infinity });
  const exact = new Map(attrs);
  exact.delete("ref");
  return { tree, attrs: withAttrs(exact, { rev, lastModified: attrs.has("lastModified") ? undefined : lastModified }) };
}

/** A JSON object that a forge answers, or the first of a list of them: its texts. */
function askJson(url: string, { fetcher }: FetchContext): InputAttrs {
  const { tree } = fetcher.call("file", { url, ttl: fetcher.ttl });
  const text = tree.root.type === "file" ? bytesToLatin1(fetcher.reader.file(tree.root.digest)) : "";
  let parsed: unknown;
  try {
    parsed = JSON.parse(unicodeText(text));
  } catch {
    throw inputError(`the answer of '${url}' is not JSON`);
  }
  const object: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  const texts = Object.entries(object ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return new Map(texts);
}
