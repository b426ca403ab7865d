// nix.conf: settings, one a line, with comments and includes.

import { TvixError } from "../base/error.ts";

/** A line that says something; `line` counts from 1. */
export type ConfLine =
  | { readonly type: "setting"; readonly name: string; readonly value: string; readonly line: number }
  /** Another file to be read in this place; when `optional`, only if it exists. */
  | { readonly type: "include"; readonly path: string; readonly optional: boolean; readonly line: number };

/**
 * Reads a configuration. A value is the words after `=`, joined by single spaces. `source` names the text in errors.
 * Including files is the caller's work, as this room reads none.
 *
 * @throws TvixError `ERR_CONF_SYNTAX`
 */
export function parseConf(text: string, source = "nix.conf"): ConfLine[] {
  const out: ConfLine[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = index + 1;
    const words = raw
      .replace(/#.*$/s, "")
      .split(/[ \t\r]+/)
      .filter((word) => word !== "");
    const [first, second] = words;
    if (first === undefined) continue;
    if (first === "include" || first === "!include") {
      if (words.length !== 2 || second === undefined) throw syntaxError(source, line, raw, "an include names one file");
      out.push({ type: "include", path: second, optional: first === "!include", line });
    } else {
      if (second !== "=") throw syntaxError(source, line, raw, "expected 'name = value'");
      out.push({ type: "setting", name: first, value: words.slice(2).join(" "), line });
    }
  }
  return out;
}

/**
 * What settings come to, later ones over earlier ones. `extra-<name>` adds its words to those of `<name>` so far, for
 * which `defaults` may give the start.
 */
export function resolveConf(
  lines: Iterable<ConfLine>,
  defaults: ReadonlyMap<string, string> = new Map(),
): Map<string, string> {
  const settings = new Map(defaults);
  for (const line of lines) {
    if (line.type !== "setting") continue;
    if (line.name.startsWith("extra-")) {
      const name = line.name.slice("extra-".length);
      settings.set(name, [settings.get(name) ?? "", line.value].filter((part) => part !== "").join(" "));
    } else {
      settings.set(line.name, line.value);
    }
  }
  return settings;
}

/** Writes settings as lines that {@link parseConf} reads back. Throws `ERR_CONF_VALUE` for what no line can hold. */
export function formatConf(settings: ReadonlyMap<string, string>): string {
  let out = "";
  for (const [name, value] of settings) {
    if (!/^[^\s#=]+$/.test(name) || /[\n#]/.test(value)) {
      throw new TvixError("ERR_CONF_VALUE", `setting ${JSON.stringify(name)} cannot be written in nix.conf`);
    }
    out += `${name} = ${value}`.trimEnd().concat("\n");
  }
  return out;
}

function syntaxError(source: string, line: number, text: string, why: string): TvixError {
  const message = `illegal configuration line ${JSON.stringify(text.slice(0, 200))} in ${source}:${line}`;
  return new TvixError("ERR_CONF_SYNTAX", message, { notes: [why] });
}
