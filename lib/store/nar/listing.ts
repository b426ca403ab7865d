// What is in the NAR of a tree and where: from directories alone, without reading contents.
import type { Node } from "../../castore/node.ts";
import type { Castore } from "../../castore/tree.ts";
import { NarLister, type NarListing } from "../../formats/nar/listing.ts";
import { narEvents } from "../../formats/nar/tree.ts";
import { NarWriter } from "../../formats/nar/writer.ts";
import { loadTree } from "./render.ts";

/** Lists the NAR of a tree. @throws TvixError `ERR_LISTING_NOT_UTF8`, `ERR_CASTORE_MISSING` */
export async function listNar(castore: Castore, root: Node): Promise<NarListing> {
  const lister = new NarLister();
  let offset = 0;
  const writer = new NarWriter((literal) => {
    offset += literal.length;
  });
  for (const event of narEvents(await loadTree(castore, root))) {
    writer.write(event);
    if (event.type !== "regular" || event.size === 0) lister.add(event);
    else {
      // Now all that comes before the contents has been counted.
      writer.omitContents();
      lister.add({ ...event, offset });
      offset += event.size;
    }
  }
  return lister.root as NarListing;
}
