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
  const bad = () => new BadUrl(`'flake:${url.path}' is not an indirect reference`);
  const [id = "", first, second, ...rest] = url.path.split("/").map(percentDecode);
  if (url.authority !== undefined || rest.length > 0 || !FLAKE_ID.test(id)) throw bad();
  const attrs = new Map([
    ["type", "indirect"],
    ["id", id],
  ]);
  if (first !== undefined && second === undefined && REVISION.test(first)) attrs.set("rev", first);
  else if (first !== undefined) {
    if (!isRef(first)) throw bad();
    attrs.set("ref", first);
  }
  if (second !== undefined) {
    if (!REVISION.test(second)) throw bad();
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
