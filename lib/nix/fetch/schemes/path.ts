// Inputs of type `path`: trees of this machine.
import { type Stats, lstatSync, readdirSync } from "node:fs";
import {
  type Attribute,
  BadUrl,
  demandText,
  type FetchContext,
  type FetchedTree,
  type InputAttrs,
  inputError,
  intAttr,
  type Scheme,
  withAttrs,
} from "../input.ts";
import { canonicalPath } from "../../../eval/text/path.ts";
import { latin1ToBytes } from "../../../base/text.ts";
import { percentDecode, percentEncode, type Url } from "../url.ts";

const TEXTS: ReadonlySet<string> = new Set(["rev", "narHash"]);
const NUMBERS: ReadonlySet<string> = new Set(["revCount", "lastModified"]);

/** The scheme. */
export const PATH: Scheme = {
  type: "path",
  attributes: ["path", "rev", "revCount", "lastModified", "narHash"],
  fromUrl,
  check: (attrs) => {
    demandText(attrs, "path");
    return attrs;
  },
  toUrl: (attrs) => {
    const query = new Map<string, string>();
    for (const [name, value] of attrs) if (name !== "path" && name !== "type") query.set(name, String(value));
    const path = percentEncode(demandText(attrs, "path"), "/");
    return { scheme: "path", authority: undefined, path, query, fragment: "" };
  },
  isLocked: (attrs) => attrs.has("narHash"),
  fetch,
};

function fromUrl(url: Url): InputAttrs | undefined {
  if (url.scheme !== "path") return undefined;
  const text = `path:${url.authority === undefined ? "" : `//${url.authority}`}${url.path}`;
  const query = [...url.query].map(([name, value]) => `${name}=${value}`).join("&");
  const shown = query === "" ? text : `${text}?${query}`;
  if (url.authority !== undefined && url.authority !== "") {
    throw inputError(`path URL '${shown}' should not have an authority ('${url.authority}')`);
  }
  if (/%2f/i.test(url.path)) throw new BadUrl(`path URL '${shown}' has an encoded slash`);
  const attrs = new Map<string, Attribute>([
    ["type", "path"],
    ["path", percentDecode(url.path).replace(/\/{2,}/g, "/")],
  ]);
  for (const [name, value] of url.query) {
    if (TEXTS.has(name)) attrs.set(name, value);
    else if (!NUMBERS.has(name)) throw inputError(`path URL '${shown}' has unsupported parameter '${name}'`);
    else if (/^[0-9]{1,15}$/.test(value)) attrs.set(name, Number(value));
    else throw inputError(`path URL '${shown}' has invalid parameter '${name}'`);
  }
  return attrs;
}

function fetch(attrs: InputAttrs, { world }: FetchContext): FetchedTree {
  const path = demandText(attrs, "path");
  if (!path.startsWith("/")) throw inputError(`cannot fetch input 'path:${path}' because it uses a relative path`);
  const origin = canonicalPath(path);
  if (world.io.fileType(origin) === undefined) throw inputError(`path '${origin}' does not exist`);
  const lastModified = intAttr(attrs, "lastModified") ?? lastModifiedOf(origin);
  return { tree: { origin, files: undefined }, attrs: withAttrs(attrs, { lastModified }) };
}

/** The latest modification time in a tree of the host, in seconds since 1970; 1, that of stores, for all else. */
function lastModifiedOf(path: string): number {
  let last = 1;
  const visit = (at: Buffer): void => {
    let found: Stats;
    try {
      found = lstatSync(at);
    } catch {
      return;
    }
    last = Math.max(last, Math.floor(found.mtimeMs / 1000));
    if (!found.isDirectory()) return;
    for (const name of readdirSync(at, { encoding: "buffer" })) visit(Buffer.concat([at, Buffer.from("/"), name]));
  };
  visit(Buffer.from(latin1ToBytes(path)));
  return last;
}
