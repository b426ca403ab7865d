// Inputs of type `hg`: Mercurial repositories.
import { fileURLToPath } from "node:url";
import { toByteString } from "../../../base/text.ts";
import { isRef, revAttr } from "../revision.ts";
import {
  BadUrl,
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

const SCHEMES: ReadonlySet<string> = new Set(["hg+http", "hg+https", "hg+ssh", "hg+file"]);

/** The scheme. */
export const MERCURIAL: Scheme = {
  type: "hg",
  attributes: ["url", "ref", "rev", "revCount", "narHash", "name"],
  fromUrl,
  check: (attrs) => {
    const url = demandText(attrs, "url");
    if (parseUrl(url) === undefined) throw inputError(`'${url}' doesn't have a scheme`);
    const ref = textAttr(attrs, "ref");
    if (ref !== undefined && !isRef(ref)) throw inputError(`invalid Mercurial branch/tag name '${ref}'`);
    return attrs;
  },
  toUrl: (attrs) => {
    const url = parseUrl(demandText(attrs, "url")) as Url;
    const query = new Map(url.query);
    const rev = revAttr(attrs);
    const ref = textAttr(attrs, "ref");
    if (rev !== undefined) query.set("rev", rev);
    if (ref !== undefined) query.set("ref", ref);
    return { ...withQuery(url, query), scheme: `hg+${url.scheme}` };
  },
  isLocked: (attrs) => revAttr(attrs) !== undefined,
  fetch,
};

function fromUrl(url: Url): InputAttrs | undefined {
  if (!SCHEMES.has(url.scheme)) return undefined;
  const attrs = new Map([["type", "hg"]]);
  const rest = new Map<string, string>();
  for (const [name, value] of url.query) (name === "rev" || name === "ref" ? attrs : rest).set(name, value);
  const ref = attrs.get("ref");
  if (ref !== undefined && !isRef(ref)) throw new BadUrl(`invalid Mercurial branch/tag name '${ref}'`);
  attrs.set("url", formatUrl({ ...withQuery(url, rest), scheme: url.scheme.slice("hg+".length) }));
  return attrs;
}

function fetch(attrs: InputAttrs, { fetcher, warn }: FetchContext): FetchedTree {
  const url = unicodeText(demandText(attrs, "url"));
  const ref = textAttr(attrs, "ref");
  const rev = revAttr(attrs);
  if (ref === undefined && rev === undefined) {
    const unclean = fetcher.call("mercurialWorkingTree", url);
    if (unclean !== undefined) {
      const origin = toByteString(fileURLToPath(url));
      warn(`Mercurial tree '${origin}' is unclean`);
      return { tree: { origin, files: unclean.files }, attrs: withAttrs(attrs, { ref: toByteString(unclean.branch) }) };
    }
  }
  const found = fetcher.call("mercurialRevision", {
    url,
    ref: ref === undefined ? undefined : unicodeText(ref),
    rev,
    ttl: fetcher.ttl,
  });
  const exact = { ref: toByteString(found.branch), rev: found.rev, revCount: found.revCount };
  return { tree: found.tree, attrs: withAttrs(attrs, exact) };
}
