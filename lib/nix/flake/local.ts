// Flake references as people write them on a command line: relative paths, and directories inside of a flake.
import type { EvalIO } from "../../eval/io.ts";
import { canonicalPath } from "../../eval/text/path.ts";
import { inputError } from "../fetch/input.ts";
import { percentEncode } from "../fetch/url.ts";
import { type FlakeRef, parseFlakeRefWithFragment } from "./reference.ts";

/** How to read a reference. */
export interface LocalRefOptions {
  /** Whether the directory of a path need not have a flake.nix, which is not looked for above then. Default: false. */
  readonly mayLackFlake?: boolean;
}

/**
 * Reads a reference and what follows its `#`. A path means the flake that it is in: flake.nix is looked for there and
 * above, and one in a Git repository is fetched as that repository.
 * @param directory where relative paths begin; with the reference one char per byte
 * @throws EvalError `ERR_EVAL_FETCH`
 */
export function parseLocalFlakeRef(
  text: string,
  directory: string,
  io: EvalIO,
  options: LocalRefOptions = {},
): { ref: FlakeRef; fragment: string } {
  const [, path = "", query = "", fragment = ""] = /^([^?#]*)(\?[^#]*)?(#.*)?$/s.exec(text) ?? [];
  const isPath = path === "" || /^(\.{0,2}\/|\.{1,2}$)/.test(path);
  const [, relative] = /^path:((?!\/).*)$/s.exec(path) ?? [];
  if (relative !== undefined) {
    const absolute = canonicalPath(`${percentEncode(directory, "/")}/${relative}`);
    return parseFlakeRefWithFragment(`path:${absolute}${query}${fragment}`);
  }
  if (!isPath) return parseFlakeRefWithFragment(text);
  const start = canonicalPath(path.startsWith("/") ? path : `${directory}/${path}`);
  const top = options.mayLackFlake ? start : findUpward(start, "flake.nix", io);
  if (top === undefined) throw inputError(`path '${start}' does not contain a 'flake.nix', nor do those above it`);
  const repository = findUpward(top, ".git", io);
  if (repository === undefined) return parseFlakeRefWithFragment(`path:${percentEncode(top, "/")}${query}${fragment}`);
  const parameters = query === "" ? [] : [query.slice(1)];
  if (top !== repository) parameters.push(`dir=${percentEncode(top.slice(repository.length + 1), "/")}`);
  const suffix = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
  return parseFlakeRefWithFragment(`git+file://${percentEncode(repository, "/")}${suffix}${fragment}`);
}

/** The directory at or above `path` that has an entry of this name. */
function findUpward(path: string, name: string, io: EvalIO): string | undefined {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf("/"))) {
    if (io.fileType(`${at}/${name}`) !== undefined) return at === "" ? "/" : at;
    if (at === "") return undefined;
  }
}
