// URLs as Nix reads and writes them: taken apart only as far as fetching needs, and put together in one way.
//
// All text is byte strings, one char per byte. The path stays as it was written, percent signs and all; parameters are
// decoded. Two URLs that Nix calls equal are printed alike: parameters are sorted, and encoded with the same letters.

/** A URL in parts. */
export interface Url {
  /** In lower case, without the colon. */
  readonly scheme: string;
  /** What is between `//` and the path; `undefined` without `//`. */
  readonly authority: string | undefined;
  /** Still percent-encoded. */
  readonly path: string;
  /** Decoded. */
  readonly query: ReadonlyMap<string, string>;
  /** Decoded; empty without one. */
  readonly fragment: string;
}

const URL_FORM = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const PATH_CHARS = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;
const QUERY_CHARS = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?^"]|%[0-9A-Fa-f]{2})*$/;
const FRAGMENT_CHARS = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?^" ]|%[0-9A-Fa-f]{2})*$/;
const AUTHORITY =
  /^(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?(?:\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*)(?::[0-9]*)?$/;

/** Takes a URL apart; `undefined` when it is none. */
export function parseUrl(text: string): Url | undefined {
  const [, scheme = "", authority, path = "", query = "", fragment = ""] = URL_FORM.exec(text) ?? [];
  if (scheme === "" || (authority !== undefined && !AUTHORITY.test(authority))) return undefined;
  if (!PATH_CHARS.test(path) || !QUERY_CHARS.test(query) || !FRAGMENT_CHARS.test(fragment)) return undefined;
  // Files have no host, and a name there is a forgotten slash.
  if (/(^|\+)file$/.test(scheme) && authority !== undefined && authority !== "") return undefined;
  return { scheme, authority, path, query: parseQuery(query), fragment: percentDecode(fragment) };
}

/** Reads `name=value&…`; parts without `=` count for nothing. */
export function parseQuery(text: string): Map<string, string> {
  const query = new Map<string, string>();
  for (const part of text.split("&")) {
    const at = part.indexOf("=");
    if (at >= 0) query.set(percentDecode(part.slice(0, at)), percentDecode(part.slice(at + 1)));
  }
  return query;
}

/** Puts a URL together. */
export function formatUrl({ scheme, authority, path, query, fragment }: Url): string {
  const host = authority === undefined ? "" : `//${authority}`;
  const end = fragment === "" ? "" : `#${percentEncode(fragment, "/?")}`;
  return `${scheme}:${host}${path}${formatQuery(query)}${end}`;
}

/** `?name=value&…`, sorted by name; nothing for no parameters. */
function formatQuery(query: ReadonlyMap<string, string>): string {
  if (query.size === 0) return "";
  const names = [...query.keys()].sort();
  return `?${names.map((name) => `${percentEncode(name, "/?")}=${percentEncode(query.get(name) as string, "/?")}`).join("&")}`;
}

/** Encodes all but letters, digits, `-._~:@` and `kept`. */
export function percentEncode(text: string, kept: "" | "/" | "/?"): string {
  return text.replace(/[^A-Za-z0-9\-._~:@]/g, (char) =>
    kept.includes(char) ? char : `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** Undoes percent signs. */
export function percentDecode(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The URL with other parameters. */
export function withQuery(url: Url, query: ReadonlyMap<string, string>): Url {
  return { ...url, query };
}
