// Inputs of the types `tarball` and `file`: what a URL gives, unpacked or as it is.
import { toByteString } from "../../../base/text.ts";
import {
  type Attribute,
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

const TRANSPORTS: ReadonlySet<string> = new Set(["http", "https", "file"]);
const TEXTS: ReadonlySet<string> = new Set(["rev", "narHash"]);
const NUMBERS: ReadonlySet<string> = new Set(["revCount", "lastModified"]);
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz|tar\.xz|tar\.bz2|tar\.zst)$/;

/** Archives. */
export const TARBALL: Scheme = archiveScheme("tarball");

/** Single files. */
export const FILE: Scheme = archiveScheme("file");

function archiveScheme(type: "tarball" | "file"): Scheme {
  return {
    type,
    attributes: ["url", "narHash", "name", "unpack", "rev", "revCount", "lastModified"],
    fromUrl: (url, wantsTree) => fromUrl(type, url, wantsTree),
    check: (attrs) => {
      const url = demandText(attrs, "url");
      if (parseUrl(url) === undefined) throw inputError(`'${url}' is not a valid URL`);
      return attrs;
    },
    toUrl: (attrs) => {
      const url = parseUrl(demandText(attrs, "url")) as Url;
      const narHash = textAttr(attrs, "narHash");
      return narHash === undefined ? url : withQuery(url, new Map([...url.query, ["narHash", narHash]]));
    },
    isLocked: (attrs) => attrs.has("narHash"),
    fetch: type === "tarball" ? fetchTarball : fetchFile,
  };
}

function fromUrl(type: "tarball" | "file", url: Url, wantsTree: boolean): InputAttrs | undefined {
  const [, said, transport = ""] = /^(?:(tarball|file)\+)?(.*)$/.exec(url.scheme) ?? [];
  if (!TRANSPORTS.has(transport)) return undefined;
  const meant = said ?? (wantsTree || ARCHIVE.test(url.path) ? "tarball" : "file");
  if (meant !== type) return undefined;
  const attrs = new Map<string, Attribute>([["type", type]]);
  const rest = new Map<string, string>();
  for (const [name, value] of url.query) {
    if (TEXTS.has(name)) attrs.set(name, value);
    else if (!NUMBERS.has(name)) rest.set(name, value);
    else if (/^[0-9]{1,15}$/.test(value)) attrs.set(name, Number(value));
  }
  attrs.set("url", formatUrl({ ...withQuery(url, rest), scheme: transport }));
  return attrs;
}

function fetchFile(attrs: InputAttrs, { fetcher }: FetchContext): FetchedTree {
  const { tree } = fetcher.call("file", { url: unicodeText(demandText(attrs, "url")), ttl: fetcher.ttl });
  return { tree, attrs };
}

function fetchTarball(attrs: InputAttrs, { fetcher }: FetchContext): FetchedTree {
  const url = unicodeText(demandText(attrs, "url"));
  const { tree, lastModified, immutableUrl } = fetcher.call("tarball", { url, ttl: fetcher.ttl });
  const exact = immutableUrl === undefined ? attrs : immutableAttrs(attrs, toByteString(immutableUrl));
  return { tree, attrs: exact.has("lastModified") ? exact : withAttrs(exact, { lastModified }) };
}

/** The input that the server calls immutable, with what its URL says of revision and time. */
function immutableAttrs(attrs: InputAttrs, text: string): InputAttrs {
  const url = parseUrl(text);
  const found = url && fromUrl("tarball", url, true);
  if (found === undefined) throw inputError(`the server names '${text}' as immutable, which is no URL of an archive`);
  const narHash = attrs.get("narHash");
  return narHash === undefined ? found : withAttrs(found, { narHash });
}
