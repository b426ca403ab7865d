// Inputs of type `indirect`: names that a registry gives a meaning.
import { isRef, REVISION, revAttr } from "../revision.ts";
import { BadUrl, demandText, type InputAttrs, inputError, type Scheme, textAttr } from "../input.ts";
import { percentDecode, percentEncode, type Url } from "../url.ts";

/** A name that a registry may give a meaning. */
export const FLAKE_ID: RegExp = /^[a-zA-Z][a-zA-Z0-9_-]*$/;

/** The scheme. */
export const INDIRECT: Scheme = {
  type: "indirect",
  attributes: ["id", "ref", "rev", "narHash"],
  fromUrl: (url) => (url.scheme === "flake" ? fromUrl(url) : undefined),
  check: (attrs) => {
    const id = demandText(attrs, "id");
    if (!FLAKE_ID.test(id)) throw inputError(`'${id}' is not a valid flake ID`);
    return attrs;
  },
  toUrl,
  isLocked: () => false,
  fetch: (attrs) => {
    throw inputError(`indirect input '${formatId(attrs)}' cannot be fetched directly`);
  },
};

function formatId(attrs: InputAttrs): string {
  return `flake:${demandText(attrs, "id")}`;
}

function fromUrl(url: Url): InputAttrs {
  const bad = (why: string) => new BadUrl(`in flake URL 'flake:${url.path}', ${why}`);
  const [id = "", first, second, ...rest] = url.path.split("/").map(percentDecode);
  if (url.authority !== undefined) throw bad("there is an authority, which it must not have");
  if (rest.length > 0) throw bad(`'${rest.join("/")}' is more than a name, a branch or tag and a commit hash`);
  if (!FLAKE_ID.test(id)) throw bad(`'${id}' is not a valid flake ID`);
  const attrs = new Map([
    ["type", "indirect"],
    ["id", id],
  ]);
  if (first !== undefined && second === undefined && REVISION.test(first)) attrs.set("rev", first);
  else if (first !== undefined) {
    if (!isRef(first)) throw bad(`'${first}' is not a commit hash or branch/tag name`);
    attrs.set("ref", first);
  }
  if (second !== undefined) {
    if (!REVISION.test(second)) throw bad(`'${second}' is not a commit hash`);
    attrs.set("rev", second);
  }
  return attrs;
}

function toUrl(attrs: InputAttrs): Url {
  const parts = [demandText(attrs, "id")];
  const ref = textAttr(attrs, "ref");
  const rev = revAttr(attrs);
  if (ref !== undefined) parts.push(ref);
  if (rev !== undefined) parts.push(rev);
  const path = parts.map((part) => percentEncode(part, "")).join("/");
  return { scheme: "flake", authority: undefined, path, query: new Map(), fragment: "" };
}
