// Whether contents are what was said of them: the hash and size of the NAR, and the content address.
import { equalBytes } from "../../base/bytes.ts";
import { TvixError } from "../../base/error.ts";
import type { Castore } from "../../castore/tree.ts";
import { formatContentAddress } from "../../formats/content-address.ts";
import { formatHash, nixHash } from "../../formats/hash.ts";
import { contentHash } from "../import.ts";
import type { PathClaim, PathInfo } from "../path-info.ts";
import { narStream } from "./render.ts";
import { selfReferringDigest } from "./rewrite.ts";

/** The error for contents that are not what was claimed of them. */
export function narMismatch({ path }: PathClaim, why: string): TvixError {
  return new TvixError("ERR_STORE_NAR_MISMATCH", `the contents of ${path.basename} are not what they should be`, {
    notes: [why],
  });
}

/** Refuses a NAR that has another hash or size than was claimed. @throws TvixError `ERR_STORE_NAR_MISMATCH` */
export function checkNar(claim: PathClaim, narSha256: Uint8Array, narSize: number): void {
  if (narSize !== claim.narSize) {
    throw narMismatch(claim, `its NAR has ${narSize} bytes and should have ${claim.narSize}`);
  }
  if (equalBytes(narSha256, claim.narSha256)) return;
  const [found, wanted] = [narSha256, claim.narSha256].map((hash) => formatHash(nixHash("sha256", hash), "sri"));
  throw narMismatch(claim, `its NAR has the hash ${found} and should have ${wanted}`);
}

/**
 * Refuses contents that do not have the content address which is claimed of them. Where they refer to themselves, the
 * address is over contents without these references.
 * @throws TvixError `ERR_STORE_CONTENT_ADDRESS`
 */
export async function checkContentAddress(castore: Castore, info: PathInfo): Promise<void> {
  const { ca, path, root, references, narSha256 } = info;
  const fail = (why: string): never => {
    throw new TvixError("ERR_STORE_CONTENT_ADDRESS", `the contents of ${path.basename} do not give its path`, {
      notes: [why],
    });
  };
  if (ca === undefined) return fail("it has no content address");
  const { method, hash } = ca;
  if (method === "git" || hash.algo === "blake3") return fail(`${formatContentAddress(ca)} cannot be checked here`);
  if (method !== "nar" && (root.type !== "file" || root.executable)) return fail("it is not a plain file");
  const refersToItself = references.some((reference) => reference.basename === path.basename);
  if (refersToItself && (method !== "nar" || hash.algo !== "sha256")) return fail("it refers to itself");
  let found: Uint8Array;
  if (refersToItself) {
    const { digest, withPlaces } = await selfReferringDigest(narStream(castore, root), path.hash);
    found = equalBytes(withPlaces, hash.digest) ? withPlaces : digest;
  } else found = await contentHash(castore, root, method, hash.algo, narSha256);
  if (!equalBytes(found, hash.digest)) {
    const other = formatContentAddress({ method, hash: nixHash(hash.algo, found) });
    fail(`their content address is ${other}, not ${formatContentAddress(ca)}`);
  }
}
