// Names and passwords for hosts: from the URL itself, or from a netrc file.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where netrc files are looked for: `$NETRC`, the user's, the system's for Nix. */
function netrcFiles(): string[] {
  const { NETRC } = process.env;
  return NETRC ? [NETRC] : [join(homedir(), ".netrc"), "/etc/nix/netrc"];
}

/** `name:password` for a URL; `undefined` when nothing is known. */
export async function findCredentials(url: URL): Promise<string | undefined> {
  if (url.username !== "" || url.password !== "") {
    return `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  }
  for (const file of netrcFiles()) {
    const text = await readFile(file, "utf8").catch(() => undefined);
    const found = text === undefined ? undefined : parseNetrc(text, url.hostname);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Reads `machine HOST login NAME password WORD` and `default login NAME password WORD`; macros are passed over. */
export function parseNetrc(text: string, host: string): string | undefined {
  const words = text.replace(/^macdef\b[^]*?(\n\n|$(?![^]))/gm, "").match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  let matches = false;
  let login: string | undefined;
  let password: string | undefined;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === "machine" || word === "default") {
      if (matches && password !== undefined) break;
      matches = word === "default" || unquote(words[++i] ?? "") === host;
      login = undefined;
      password = undefined;
    } else if (word === "login" || word === "password" || word === "account") {
      const value = unquote(words[++i] ?? "");
      if (matches && word === "login") login = value;
      if (matches && word === "password") password = value;
    }
  }
  return matches && password !== undefined ? `${login ?? ""}:${password}` : undefined;
}

function unquote(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word;
}
