// Names of revisions: commit hashes, branches and tags, as inputs may have them.
import { toHex } from "../../base/bytes.ts";
import { nixHash, parseHash } from "../../formats/hash.ts";
import { storeErrors } from "../store-errors.ts";
import { type InputAttrs, textAttr } from "./input.ts";

/** A commit hash. */
export const REVISION: RegExp = /^[0-9a-fA-F]{40}$/;

/** What stands for no revision. */
export const NO_REVISION: string = "0".repeat(40);

/** Whether a name may be a branch or tag in schemes other than git. */
export function isRef(name: string): boolean {
  return /^[a-zA-Z0-9@][a-zA-Z0-9_./@+-]*$/.test(name) && isGitRef(name);
}

/** Names that git refuses, by `git check-ref-format`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: git names them
const BAD_GIT_REF = /\/\/|^[./]|\/\.|\.\.|[\x00-\x20\x7f ~^:?[\\*]|\.lock$|\.lock\/|@\{|[/.]$|^@$|^$/;

/** Whether git takes a name for a branch, a tag or another reference. */
export function isGitRef(name: string): boolean {
  return !BAD_GIT_REF.test(name) && !name.startsWith("-");
}

/** The commit hash among the attributes, in hexadecimal. @throws EvalError for what is no SHA-1 */
export function revAttr(attrs: InputAttrs): string | undefined {
  const rev = textAttr(attrs, "rev");
  return rev === undefined ? undefined : toHex(storeErrors(() => parseHash(rev, "sha1")).digest);
}

/** The hash of a NAR among the attributes. @throws EvalError for what is no SHA-256 */
export function narHashAttr(attrs: InputAttrs): Uint8Array | undefined {
  const text = textAttr(attrs, "narHash");
  if (text === undefined) return undefined;
  return storeErrors(() => (text === "" ? nixHash("sha256", new Uint8Array(32)) : parseHash(text, "sha256"))).digest;
}
