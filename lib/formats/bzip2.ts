// Reads bzip2: blocks of up to 900 kB, each sorted by its rotations, moved to front and Huffman-coded.
//
// A block is decoded once all of it has arrived, and its text, which may be fifty times the block, leaves in pieces as
// they are asked for. All checksums are checked.

import { concatBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";

const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
const LENGTH_MAX = 20;
const GROUP_SIZE = 50;
const PIECE = 64 * 1024;

const CRC_TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let i = 0; i < 8; i++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/** Thrown when the bits that have arrived do not suffice; more may come. */
class NeedMore extends Error {}

/** Decompresses one stream, or several one after the other. Throws `ERR_BZIP2_…`. */
export async function* readBzip2(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const bits = new Bits();
  const arriving = source[Symbol.asyncIterator]();
  let ended = false;
  /** Runs `step` on what has arrived, again with more as long as that is too little. */
  const advance = async <T>(step: () => T): Promise<T> => {
    for (;;) {
      const start = bits.position;
      try {
        return step();
      } catch (error) {
        if (!(error instanceof NeedMore)) throw error;
        if (ended) throw new TvixError("ERR_BZIP2_TRUNCATED", "the bzip2 stream ends early");
        bits.position = start;
      }
      // Twice as much each time, so that a block that comes in small pieces is not begun over and over.
      for (const wanted = 2 * bits.available + 1; !ended && bits.available < wanted; ) {
        const next = await arriving.next();
        if (next.done === true) ended = true;
        else bits.add(next.value);
      }
    }
  };
  const isOver = async (): Promise<boolean> => {
    bits.alignToByte();
    return advance(() => {
      if (bits.available === 0 && !ended) throw new NeedMore();
      return bits.available === 0;
    });
  };
  try {
    do {
      const level = await advance(() => readHeader(bits));
      let streamCrc = 0;
      for (let block = await advance(() => readBlock(bits, level)); block !== undefined; ) {
        yield* expand(block);
        streamCrc = ((streamCrc << 1) | (streamCrc >>> 31)) ^ block.crc;
        block = await advance(() => readBlock(bits, level));
      }
      if ((await advance(() => bits.take32())) !== streamCrc) {
        throw new TvixError("ERR_BZIP2_CHECKSUM", "the checksum of a bzip2 stream is wrong");
      }
    } while (!(await isOver()));
  } finally {
    await arriving.return?.();
  }
}

/** A block: following `next` from `start`, `length` times, gives its text with runs still packed. */
interface Block {
  readonly crc: number;
  readonly length: number;
  readonly start: number;
  /** Per position, the byte in the low 8 bits and the position that follows above. */
  readonly next: Uint32Array;
}

function readHeader(bits: Bits): number {
  const magic = bits.take(24);
  const level = bits.take(8) - 0x30;
  if (magic !== 0x425a68 || level < 1 || level > 9) throw corrupt("this is not a bzip2 stream");
  return level;
}

/** Reads a block; `undefined` at the end of the stream. */
function readBlock(bits: Bits, level: number): Block | undefined {
  const magic = [bits.take(24), bits.take(24)] as const;
  if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) return undefined;
  if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1]) throw corrupt("a block does not start as one");
  const crc = bits.take32();
  if (bits.take(1) === 1) throw corrupt("a randomised block, which no version since 1997 has written");
  const origin = bits.take(24);
  const symbols = readSymbols(bits);
  const { tables, selectors } = readTables(bits, symbols.length + 2);
  const next = new Uint32Array(level * 100_000);
  const length = readText(bits, symbols, tables, selectors, next);
  if (origin >= length) throw corrupt("a block's origin lies outside of it");
  invert(next, length);
  return { crc, length, start: (next[origin] as number) >>> 8, next };
}

/** The byte values that the block has, ascending. */
function readSymbols(bits: Bits): Uint8Array {
  const used = bits.take(16);
  const symbols: number[] = [];
  for (let high = 0; high < 16; high++) {
    if ((used & (0x8000 >> high)) === 0) continue;
    const inside = bits.take(16);
    for (let low = 0; low < 16; low++) if ((inside & (0x8000 >> low)) !== 0) symbols.push(high * 16 + low);
  }
  if (symbols.length === 0) throw corrupt("a block without symbols");
  return Uint8Array.from(symbols);
}

/** A Huffman table: per code length the first code past its last, what to subtract, and the symbols by code. */
interface Table {
  readonly limits: Int32Array;
  readonly bases: Int32Array;
  readonly symbols: Uint16Array;
}

function readTables(bits: Bits, alphabet: number): { tables: Table[]; selectors: Uint8Array } {
  const groups = bits.take(3);
  if (groups < 2 || groups > 6) throw corrupt(`${groups} Huffman tables`);
  const count = bits.take(15);
  if (count === 0) throw corrupt("no selectors");
  const order = Array.from({ length: groups }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let at = 0;
    while (bits.take(1) === 1) if (++at >= groups) throw corrupt("a selector of no table");
    const [selected] = order.splice(at, 1) as [number];
    order.unshift(selected);
    selectors[i] = selected;
  }
  const tables: Table[] = [];
  for (let i = 0; i < groups; i++) {
    const lengths = new Uint8Array(alphabet);
    let length = bits.take(5);
    for (let symbol = 0; symbol < alphabet; symbol++) {
      for (;;) {
        if (length < 1 || length > LENGTH_MAX) throw corrupt(`a code of ${length} bits`);
        if (bits.take(1) === 0) break;
        length += bits.take(1) === 0 ? 1 : -1;
      }
      lengths[symbol] = length;
    }
    tables.push(makeTable(lengths));
  }
  return { tables, selectors };
}

function makeTable(lengths: Uint8Array): Table {
  const limits = new Int32Array(LENGTH_MAX + 1);
  const bases = new Int32Array(LENGTH_MAX + 1);
  const symbols = new Uint16Array(lengths.length);
  let code = 0;
  let at = 0;
  for (let length = 1; length <= LENGTH_MAX; length++) {
    code <<= 1;
    bases[length] = code - at;
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue;
      symbols[at++] = symbol;
      code++;
    }
    if (code > 1 << length) throw corrupt("more codes than bits allow");
    limits[length] = code;
  }
  return { limits, bases, symbols };
}

/** Reads the Huffman codes, undoes moves to front and zero runs; puts the last column into `out`, returns its length. */
function readText(
  bits: Bits,
  used: Uint8Array,
  tables: readonly Table[],
  selectors: Uint8Array,
  out: Uint32Array,
): number {
  const front = used.slice();
  const end = used.length + 1;
  let length = 0;
  let run = 0;
  let weight = 1;
  let left = 0;
  let group = 0;
  let table = tables[0] as Table;
  for (;;) {
    if (left === 0) {
      if (group >= selectors.length) throw corrupt("a block longer than its selectors");
      table = tables[selectors[group++] as number] as Table;
      left = GROUP_SIZE;
    }
    left--;
    const symbol = bits.decode(table);
    if (symbol <= 1) {
      run += weight << symbol;
      weight <<= 1;
      if (run > out.length) throw corrupt("a block longer than its stream allows");
      continue;
    }
    if (run > 0) {
      if (length + run > out.length) throw corrupt("a block longer than its stream allows");
      out.fill(front[0] as number, length, length + run);
      length += run;
      run = 0;
      weight = 1;
    }
    if (symbol === end) return length;
    if (length >= out.length) throw corrupt("a block longer than its stream allows");
    const at = symbol - 1;
    const byte = front[at] as number;
    front.copyWithin(1, 0, at);
    front[0] = byte;
    out[length++] = byte;
  }
}

/** Turns the last column of the sorted rotations into the chain that spells the text. */
function invert(column: Uint32Array, length: number): void {
  const starts = new Uint32Array(256);
  for (let i = 0; i < length; i++) {
    const byte = (column[i] as number) & 255;
    starts[byte] = (starts[byte] as number) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = starts[byte] as number;
    starts[byte] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const byte = (column[i] as number) & 255;
    const at = starts[byte] as number;
    starts[byte] = at + 1;
    column[at] = (column[at] as number) | (i << 8);
  }
}

/** Follows the chain and unpacks runs: after four equal bytes comes how many more there are. */
function* expand(block: Block): Generator<Uint8Array, void, undefined> {
  let crc = -1;
  let at = block.start;
  let previous = -1;
  let same = 0;
  let piece = new Uint8Array(PIECE);
  let used = 0;
  for (let i = 0; i < block.length; i++) {
    const entry = block.next[at] as number;
    at = entry >>> 8;
    let byte = entry & 255;
    let count = 1;
    if (same === 4) {
      count = byte;
      byte = previous;
      same = 0;
    } else {
      same = byte === previous ? same + 1 : 1;
      previous = byte;
    }
    for (; count > 0; count--) {
      crc = (crc << 8) ^ (CRC_TABLE[(crc >>> 24) ^ byte] as number);
      piece[used++] = byte;
      if (used === PIECE) {
        yield piece;
        piece = new Uint8Array(PIECE);
        used = 0;
      }
    }
  }
  if (used > 0) yield piece.subarray(0, used);
  if (~crc !== block.crc) throw new TvixError("ERR_BZIP2_CHECKSUM", "the checksum of a bzip2 block is wrong");
}

/** Bits, the highest of each byte first, from bytes that are added as they arrive. */
class Bits {
  #bytes: Uint8Array = new Uint8Array(0);
  /** In bits, from the start of `#bytes`. */
  position = 0;

  /** Whole bytes not read yet. */
  get available(): number {
    return this.#bytes.length - Math.ceil(this.position / 8);
  }

  add(bytes: Uint8Array): void {
    const read = this.position >> 3;
    this.#bytes = concatBytes([this.#bytes.subarray(read), bytes]);
    this.position -= 8 * read;
  }

  alignToByte(): void {
    this.position = (this.position + 7) & ~7;
  }

  /** The next `count` bits, at most 24. */
  take(count: number): number {
    const end = this.position + count;
    if (end > 8 * this.#bytes.length) throw new NeedMore();
    const word = this.#word(this.position >> 3);
    const value = (word << (this.position & 7)) >>> (32 - count);
    this.position = end;
    return value;
  }

  /** The next 32 bits, as a signed number. */
  take32(): number {
    return (this.take(16) << 16) | this.take(16);
  }

  /** The next symbol by a Huffman table. */
  decode(table: Table): number {
    const ahead = this.#word(this.position >> 3) << (this.position & 7);
    for (let length = 1; length <= LENGTH_MAX; length++) {
      const code = ahead >>> (32 - length);
      if (code >= (table.limits[length] as number)) continue;
      this.position += length;
      if (this.position > 8 * this.#bytes.length) throw new NeedMore();
      return table.symbols[code - (table.bases[length] as number)] as number;
    }
    // What seems to be no code may be one whose last bits have not come yet.
    if (this.position + LENGTH_MAX > 8 * this.#bytes.length) throw new NeedMore();
    throw corrupt("bits that are no code");
  }

  /** Four bytes from `at`, zeros after the end. With up to seven bits passed over, 25 bits remain: enough. */
  #word(at: number): number {
    const bytes = this.#bytes;
    if (at + 4 > bytes.length) {
      return (
        ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
      );
    }
    const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16);
    return high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  }
}

function corrupt(why: string): TvixError {
  return new TvixError("ERR_BZIP2_CORRUPT", `bad bzip2 data: ${why}`);
}
