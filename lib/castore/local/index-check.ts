// Checking an index file page by page, without LMDB: it trusts its file, and a damaged page can end the process.
//
// LMDB keeps two meta pages, written in turns, and B-trees of fixed-size pages: one of free pages, one of the named
// databases, and one for each of those. The check walks all of them from the newer meta page and sees to it that every
// page is what refers to it says, lies in the file and is met once, that keys ascend, and that the counts agree. What
// keys and values mean is for verify.ts, which runs only over an index that passed.
//
// Page: number u64, transaction u64, pad u16, flags u16, lower u16, upper u16 (or page count u32), then u16 pointers to
// nodes; all pointers count from the end of these 24 bytes. Node: low and high half of the data size u16, flags u16, key
// size u16, key, data; in a branch the first three are the child's page number. Database record: pad u32, flags u16,
// depth u16, then u64 each: branch, leaf and overflow pages, entries, root page.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1 } from "../../base/text.ts";

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER = 24;
const NODE = 8;
const RECORD = 48;
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const META = 8;
const BIG_DATA = 1;
const SUB_DATA = 2;
const INTEGER_KEYS = 8;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

interface TreeRecord {
  readonly flags: number;
  readonly depth: number;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  readonly root: bigint;
}

interface MetaPage {
  readonly pageSize: number;
  readonly free: TreeRecord;
  readonly main: TreeRecord;
  readonly lastPage: number;
  readonly transaction: bigint;
}

/**
 * Nothing wrong, or what: in words, one for each thing found. A missing index is nothing wrong.
 * @param knownTables the tables there may be, with the length of their keys; 0 for keys of any length
 */
export function checkIndex(directory: string, knownTables: Readonly<Record<string, number>>): string[] {
  const path = join(directory, "index.lmdb", "data.mdb");
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new TvixError("ERR_STORE_IO", `${path} cannot be read`, { cause: error });
  }
  try {
    return new IndexCheck(fd, knownTables).run();
  } finally {
    closeSync(fd);
  }
}

class Problem extends Error {}

class IndexCheck {
  readonly #fd: number;
  readonly #known: Readonly<Record<string, number>>;
  readonly #problems: string[] = [];
  readonly #size: number;
  #pageSize = 4096;
  #lastPage = 1;
  /** 1 for the pages met. */
  #met = new Uint8Array(0);

  constructor(fd: number, known: Readonly<Record<string, number>>) {
    this.#fd = fd;
    this.#known = known;
    this.#size = fstatSync(fd).size;
  }

  run(): string[] {
    // Nothing was ever committed.
    if (this.#size === 0) return [];
    this.#guard("the meta pages", () => this.#walk(this.#readMetas()));
    return this.#problems;
  }

  #guard(what: string, check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#problems.push(`${what}: ${error.message}`);
    }
  }

  #readMetas(): MetaPage {
    const first = this.#readMeta(0, 0);
    const second = this.#readMeta(1, first.pageSize);
    const [newer, older] = first.transaction > second.transaction ? [first, second] : [second, first];
    if (newer.transaction - older.transaction > 1n) throw new Problem("they are not of transactions in sequence");
    if (newer.transaction > 1n && (newer === second) !== ((newer.transaction & 1n) === 1n)) {
      throw new Problem("they are swapped");
    }
    if (older.lastPage > newer.lastPage) throw new Problem("the older has more pages than the newer");
    this.#pageSize = newer.pageSize;
    this.#lastPage = newer.lastPage;
    this.#met = new Uint8Array(newer.lastPage + 1);
    this.#met.fill(1, 0, 2);
    return newer;
  }

  #readMeta(number: number, pageSize: number): MetaPage {
    const bytes = Buffer.alloc(512);
    readSync(this.#fd, bytes, 0, bytes.length, number * pageSize);
    if (bytes.readBigUInt64LE(0) !== BigInt(number) || bytes.readUInt16LE(18) !== META) {
      throw new Problem(`page ${number} is no meta page`);
    }
    if (bytes.readUInt32LE(24) !== MAGIC || bytes.readUInt32LE(28) !== DATA_VERSION) {
      throw new Problem(`page ${number} is of another program or version`);
    }
    const size = bytes.readUInt32LE(48);
    if (size < 512 || size > 65536 || (size & (size - 1)) !== 0 || (pageSize !== 0 && size !== pageSize)) {
      throw new Problem(`page ${number} gives a page size of ${size}`);
    }
    const mapSize = bytes.readBigUInt64LE(40);
    if (mapSize % BigInt(size) !== 0n || mapSize > 2n ** 47n) {
      throw new Problem(`page ${number} gives ${mapSize} bytes of address space`);
    }
    const lastPage = bytes.readBigUInt64LE(144);
    if (lastPage < 1n || lastPage > 2n ** 31n) throw new Problem(`page ${number} gives ${lastPage} as the last page`);
    const free = readRecord(bytes.subarray(48));
    const main = readRecord(bytes.subarray(96));
    if (free.flags !== INTEGER_KEYS || main.flags !== 0) throw new Problem(`page ${number} has odd flags`);
    return {
      pageSize: size,
      free,
      main,
      lastPage: Number(lastPage),
      transaction: bytes.readBigUInt64LE(152),
    };
  }

  #walk(meta: MetaPage): void {
    const free: bigint[] = [];
    this.#guard("the table of free pages", () =>
      this.#tree(meta.free, (_key, data) => {
        for (let at = 8; at + 8 <= data.length; at += 8) free.push(data.readBigInt64LE(at));
      }),
    );
    this.#guard("the table of tables", () =>
      this.#tree(meta.main, (key, data, flags) => {
        const name = bytesToLatin1(key).replace(/\0$/, "");
        const keyLength = this.#known[name];
        if (keyLength === undefined) throw new Problem(`an unknown table ${JSON.stringify(name)}`);
        if (flags !== SUB_DATA || data.length !== RECORD) throw new Problem(`the record of ${name} is malformed`);
        const record = readRecord(data);
        if (record.flags !== 0) throw new Problem(`table ${name} has flags ${record.flags}`);
        this.#guard(`table ${name}`, () =>
          this.#tree(record, (at) => {
            if (keyLength !== 0 && at.length !== keyLength) throw new Problem(`it has a key of ${at.length} bytes`);
          }),
        );
      }),
    );
    this.#guard("the table of free pages", () => {
      for (const page of free) {
        // Lengths of runs are negative, and places already used are 0.
        if (page <= 0n) continue;
        if (page > BigInt(this.#lastPage)) throw new Problem(`page ${page} is beyond the last`);
        if (this.#met[Number(page)] === 1) throw new Problem(`page ${page} is in use`);
      }
    });
  }

  /** Walks one tree and compares its counts. */
  #tree(record: TreeRecord, visit: (key: Buffer, data: Buffer, flags: number) => void): void {
    const counts = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    if (record.root === NO_PAGE) {
      if (record.entries !== 0 || record.depth !== 0) throw new Problem("it is not empty and has no root");
      return;
    }
    const descend = (number: bigint, depth: number, low: Buffer | undefined, high: Buffer | undefined): void => {
      const page = this.#page(number, depth === record.depth ? LEAF : BRANCH);
      const nodes = this.#nodes(page, number);
      if (depth < record.depth) {
        counts.branches++;
        if (nodes.length < 2) throw new Problem(`branch page ${number} has fewer than two children`);
        for (const [i, node] of nodes.entries()) {
          const lower = i === 0 ? low : node.key;
          descend(node.child, depth + 1, lower, nodes[i + 1]?.key ?? high);
        }
        checkOrder(nodes.slice(1), low, high, number);
        return;
      }
      counts.leaves++;
      counts.entries += nodes.length;
      // Keys of the free table are numbers in the machine's order.
      if (record.flags !== INTEGER_KEYS) checkOrder(nodes, low, high, number);
      for (const { key, data, flags } of nodes) {
        visit(key, flags & BIG_DATA ? this.#overflow(data, counts) : data, flags);
      }
    };
    if (record.depth < 1 || record.depth > 32) throw new Problem(`it has depth ${record.depth}`);
    descend(record.root, 1, undefined, undefined);
    for (const name of ["branches", "leaves", "overflows", "entries"] as const) {
      if (counts[name] !== record[name]) {
        throw new Problem(`${counts[name]} ${name} were found, its record says ${record[name]}`);
      }
    }
  }

  #page(number: bigint, flags: number): Buffer {
    if (number < 2n || number > BigInt(this.#lastPage)) throw new Problem(`page ${number} does not exist`);
    this.#meet(Number(number));
    const page = Buffer.alloc(this.#pageSize);
    const read = readSync(this.#fd, page, 0, page.length, Number(number) * this.#pageSize);
    if (read !== page.length) throw new Problem(`page ${number} is beyond the end of the file`);
    if (page.readBigUInt64LE(0) !== number) throw new Problem(`page ${number} bears another number`);
    if (page.readUInt16LE(18) !== flags) throw new Problem(`page ${number} is of another kind`);
    return page;
  }

  #meet(number: number): void {
    if (this.#met[number] === 1) throw new Problem(`page ${number} is used twice`);
    this.#met[number] = 1;
  }

  #nodes(page: Buffer, number: bigint): { key: Buffer; data: Buffer; flags: number; child: bigint }[] {
    const branch = page.readUInt16LE(18) === BRANCH;
    const lower = page.readUInt16LE(20);
    const upper = page.readUInt16LE(22);
    const body = this.#pageSize - HEADER;
    if (lower % 2 !== 0 || lower > upper || upper > body) throw new Problem(`page ${number} has impossible bounds`);
    return Array.from({ length: lower / 2 }, (_, i) => {
      const at = HEADER + page.readUInt16LE(HEADER + 2 * i);
      if (at < HEADER + upper || at + NODE > page.length) throw new Problem(`page ${number} points outside itself`);
      const flags = page.readUInt16LE(at + 4);
      const keyEnd = at + NODE + page.readUInt16LE(at + 6);
      const low = page.readUInt32LE(at);
      const stored = !branch && flags & BIG_DATA ? 24 : branch ? 0 : low;
      if (keyEnd + stored > page.length) throw new Problem(`a node of page ${number} is longer than the page`);
      if (!branch && (flags & ~(BIG_DATA | SUB_DATA)) !== 0)
        throw new Problem(`a node of page ${number} has odd flags`);
      return {
        key: page.subarray(at + NODE, keyEnd),
        data: page.subarray(keyEnd, keyEnd + stored),
        flags,
        child: BigInt(low) + (BigInt(flags) << 32n),
      };
    });
  }

  /** The value in the overflow pages that a node refers to. */
  #overflow(reference: Buffer, counts: { overflows: number }): Buffer {
    const number = reference.readBigUInt64LE(0);
    const first = this.#page(number, OVERFLOW);
    const count = first.readUInt32LE(20);
    if (BigInt(count) !== reference.readBigUInt64LE(16))
      throw new Problem(`overflow page ${number} has another length`);
    if (count < 1 || Number(number) + count - 1 > this.#lastPage) {
      throw new Problem(`overflow page ${number} is longer than the file`);
    }
    for (let i = 1; i < count; i++) this.#meet(Number(number) + i);
    counts.overflows += count;
    const value = Buffer.alloc(count * this.#pageSize - HEADER);
    readSync(this.#fd, value, 0, value.length, Number(number) * this.#pageSize + HEADER);
    return value;
  }
}

function checkOrder(
  nodes: readonly { key: Buffer }[],
  low: Buffer | undefined,
  high: Buffer | undefined,
  page: bigint,
): void {
  let last = low;
  for (const [i, { key }] of nodes.entries()) {
    const order = last ? Buffer.compare(last, key) : -1;
    if (order > 0 || (order === 0 && i > 0)) throw new Problem(`the keys of page ${page} do not ascend`);
    last = key;
  }
  if (last && high && Buffer.compare(last, high) >= 0)
    throw new Problem(`the keys of page ${page} are beyond its range`);
}

function readRecord(bytes: Buffer): TreeRecord {
  return {
    flags: bytes.readUInt16LE(4),
    depth: bytes.readUInt16LE(6),
    branches: Number(bytes.readBigUInt64LE(8)),
    leaves: Number(bytes.readBigUInt64LE(16)),
    overflows: Number(bytes.readBigUInt64LE(24)),
    entries: Number(bytes.readBigUInt64LE(32)),
    root: bytes.readBigUInt64LE(40),
  };
}
