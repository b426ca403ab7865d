// An archive as a list of places: what is literal, what is the contents of which file, and where each lies.
//
// A tree whose files' contents live elsewhere (in a content-addressed store) has an archive that need not be written to
// be read: any range of it is a few literal bytes and ranges of files.

import { TvixError } from "../../base/error.ts";
import { type NarNode, narEvents } from "./tree.ts";
import { NarWriter } from "./writer.ts";

/** A stretch of an archive from byte `start` on, `size` bytes long: literal bytes, or all of a file's contents. */
export type NarSegment<C> =
  | { readonly start: number; readonly size: number; readonly literal: Uint8Array }
  | { readonly start: number; readonly size: number; readonly literal?: undefined; readonly contents: C };

/** An archive of `size` bytes; its segments lie end to end, none of them empty. */
export interface NarLayout<C> {
  readonly size: number;
  readonly segments: readonly NarSegment<C>[];
}

/** Lays out the archive of a tree without looking at any contents. Throws what the writer throws. */
export function layoutNar<C>(root: NarNode<C>): NarLayout<C> {
  const segments: NarSegment<C>[] = [];
  let size = 0;
  const writer = new NarWriter((literal) => {
    segments.push({ start: size, size: literal.length, literal });
    size += literal.length;
  });
  for (const event of narEvents(root)) {
    writer.write(event);
    if (event.type === "regular" && event.size > 0) {
      writer.omitContents();
      segments.push({ start: size, size: event.size, contents: event.contents });
      size += event.size;
    }
  }
  writer.end();
  return { size, segments };
}

/** A part of a segment: `from` and `to` count from the segment's start. */
export interface NarSlice<C> {
  readonly segment: NarSegment<C>;
  readonly from: number;
  readonly to: number;
}

/** The parts that make up bytes `start` to `end` (exclusive) of the archive. Throws `ERR_NAR_RANGE`. */
export function* sliceLayout<C>(
  layout: NarLayout<C>,
  start: number,
  end: number = layout.size,
): Generator<NarSlice<C>, void, undefined> {
  if (!(start >= 0 && start <= end && end <= layout.size)) {
    throw new TvixError("ERR_NAR_RANGE", `bytes ${start} to ${end} are not within a NAR of ${layout.size} bytes`);
  }
  for (let i = segmentAt(layout, start); i < layout.segments.length; i++) {
    const segment = layout.segments[i] as NarSegment<C>;
    if (segment.start >= end) return;
    const from = Math.max(0, start - segment.start);
    const to = Math.min(segment.size, end - segment.start);
    if (from < to) yield { segment, from, to };
  }
}

/** Index of the segment that holds byte `offset`. */
function segmentAt<C>(layout: NarLayout<C>, offset: number): number {
  let low = 0;
  let high = layout.segments.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((layout.segments[middle] as NarSegment<C>).start <= offset) low = middle;
    else high = middle;
  }
  return low;
}
