// The NAR of a host tree under any hash: the slow way, for algorithms other than SHA-256.
import { createReadStream } from "node:fs";
import { concatBytes } from "../base/bytes.ts";
import { encodeUtf8 } from "../base/text.ts";
import { startDigest } from "../formats/digest.ts";
import type { HashAlgo } from "../formats/hash.ts";
import { NarWriter } from "../formats/nar/writer.ts";
import { DIRECTORY, EXECUTABLE, entryName, entryTarget, SYMLINK, type TreeListing, walkTree } from "../native/tree.ts";

const SLASH = encodeUtf8("/");

/**
 * The digest of the NAR of a host tree.
 * @throws TvixError `ERR_TREE_…` as `walkTree`, `ERR_NAR_SIZE_MISMATCH` when a file changes while it is read
 */
export async function digestHostNar(path: string, algo: HashAlgo): Promise<Uint8Array> {
  const listing = await walkTree(path);
  const digester = startDigest(algo);
  const writer = new NarWriter((bytes) => digester.update(bytes));
  const paths: Uint8Array[] = [];
  const open: number[] = [];
  for (let i = 0; i < listing.kinds.length; i++) {
    const parent = listing.parents[i] as number;
    while (open.length > 0 && open.at(-1) !== parent) {
      open.pop();
      writer.write({ type: "end" });
    }
    const name = i === 0 ? undefined : entryName(listing, i);
    const own = name ? concatBytes([paths[parent] as Uint8Array, SLASH, name]) : encodeUtf8(path);
    if (await writeNode(writer, listing, i, name, own)) {
      paths[i] = own;
      open.push(i);
    }
  }
  for (; open.length > 0; open.pop()) writer.write({ type: "end" });
  writer.end();
  return digester.finish();
}

/** Writes one entry with its contents; says whether it is a directory. */
async function writeNode(
  writer: NarWriter,
  listing: TreeListing,
  index: number,
  name: Uint8Array | undefined,
  path: Uint8Array,
): Promise<boolean> {
  const kind = listing.kinds[index];
  if (kind === DIRECTORY) {
    writer.write({ type: "directory", name });
    return true;
  }
  if (kind === SYMLINK) {
    writer.write({ type: "symlink", name, target: entryTarget(listing, index).slice() });
    return false;
  }
  const size = listing.sizes[index] as number;
  writer.write({ type: "regular", name, executable: kind === EXECUTABLE, size });
  for await (const piece of createReadStream(Buffer.from(path), { highWaterMark: 1 << 20 })) {
    writer.write({ type: "contents", bytes: piece as Uint8Array });
  }
  return false;
}
