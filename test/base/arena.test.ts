// The arena: copies of many sizes stay what they were.
import { expect, test } from "vitest";
import { ByteArena } from "../../lib/base/arena.ts";
import { fc } from "../property.ts";

test("copies are kept, whatever comes after them and whatever becomes of the originals", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 }), fc.nat(1 << 19), (pieces, large) => {
      const arena = new ByteArena();
      const all = [...pieces, new Uint8Array(large).fill(7), ...pieces];
      const kept = all.map((piece) => {
        const own = piece.slice();
        const copy = arena.keep(own);
        own.fill(0xff);
        return copy;
      });
      expect(kept.map((copy, i) => Buffer.compare(copy, all[i] as Uint8Array))).toEqual(all.map(() => 0));
    }),
    { numRuns: 30 },
  );
});
