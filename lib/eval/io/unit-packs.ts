// A directory of compiled units, in packs: what one evaluation adds is one file, written whole or not at all.
//
// An evaluation reads and adds hundreds of units, and making a file costs more than filling it. So that the packs stay
// few, a new one takes in the younger ones that together are not much smaller: each pack is at least half as large as
// all that are younger, and what is stored is copied a few times at most. A unit in several packs is that of the
// youngest. The oldest packs go when all together are too large: what of them is still in use is compiled once more.
//
//   pack := magic (8 bytes) · how many units (u32, little endian)
//           · for each, sorted: key (44) · where its bytes are (u32) · how many (u32)
//           · their bytes

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import type { UnitEntry, UnitStorage } from "../cache.ts";

const MAGIC = Buffer.from("tvixpack");
const HEADER = MAGIC.length + 4;
const KEY = 44;
const ENTRY = KEY + 8;
/** A larger pack is left as it is: nobody waits for more than this to be copied. */
const MERGE_LIMIT = 1 << 28;
/** What packs may take together, in bytes. */
const LIMIT = 1 << 30;
/** How many packs there may be whatever their sizes; many processes that write at once may leave more for a while. */
const MOST_PACKS = 24;
const PACK_NAME = /^(\d{1,15})-[a-z0-9]+\.pack$/;

/**
 * Keeps units in a directory, which is made when needed. Whatever fails is as if nothing were stored.
 * @param limit what packs may take together, in bytes; a single one may be larger. Default 1 GiB
 */
export function unitPacks(directory: string, limit: number = LIMIT): UnitStorage {
  let opened: Pack[] | undefined;
  return {
    read: (key) => {
      const wanted = Buffer.from(key, "hex");
      for (const pack of (opened ??= openPacks(directory))) {
        const bytes = pack.read(wanted);
        if (bytes !== undefined) return bytes;
      }
      return undefined;
    },
    write: (entries) => {
      if (entries.length > 0) addPack(directory, entries, limit);
      // What is asked for next may be what has been written by now, here or elsewhere.
      for (const pack of opened ?? []) pack.close();
      opened = undefined;
    },
  };
}

/** A pack that is open, with its index in memory. */
class Pack {
  readonly name: string;
  /** Packs with higher numbers are younger. */
  readonly number: number;
  readonly size: number;
  private readonly descriptor: number;
  private readonly index: Buffer;

  /** @throws when the file is no pack */
  constructor(directory: string, name: string) {
    this.name = name;
    this.number = Number((PACK_NAME.exec(name) as RegExpExecArray)[1]);
    this.descriptor = openSync(join(directory, name), "r");
    try {
      this.size = fstatSync(this.descriptor).size;
      const header = this.bytes(0, HEADER);
      const length = header.readUInt32LE(MAGIC.length) * ENTRY;
      if (!header.subarray(0, MAGIC.length).equals(MAGIC)) throw new RangeError("not a pack");
      this.index = this.bytes(HEADER, length);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** @throws RangeError where the file ends before */
  private bytes(from: number, length: number): Buffer {
    if (from + length > this.size) throw new RangeError("a pack is too short");
    const bytes = Buffer.allocUnsafeSlow(length);
    if (readSync(this.descriptor, bytes, 0, length, from) !== length) throw new RangeError("a pack is too short");
    return bytes;
  }

  read(key: Buffer): Uint8Array | undefined {
    const { index } = this;
    let low = 0;
    let high = index.length / ENTRY;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = middle * ENTRY;
      const order = key.compare(index, at, at + KEY);
      if (order > 0) low = middle + 1;
      else if (order < 0) high = middle;
      else {
        try {
          return this.bytes(index.readUInt32LE(at + KEY), index.readUInt32LE(at + KEY + 4));
        } catch {
          return undefined;
        }
      }
    }
    return undefined;
  }

  /** All units, with keys in hexadecimal. */
  *units(directory: string): Iterable<UnitEntry> {
    const { index } = this;
    const all = readFileSync(join(directory, this.name));
    for (let at = 0; at < index.length; at += ENTRY) {
      const from = index.readUInt32LE(at + KEY);
      const bytes = all.subarray(from, from + index.readUInt32LE(at + KEY + 4));
      yield { key: index.toString("hex", at, at + KEY), bytes };
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** The packs of a directory, youngest first. */
function openPacks(directory: string): Pack[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return [];
  }
  const packs: Pack[] = [];
  for (const name of names) {
    if (!PACK_NAME.test(name)) continue;
    try {
      packs.push(new Pack(directory, name));
    } catch {
      // Taken in by another process just now, or damaged: its units are compiled again.
    }
  }
  return packs.sort((a, b) => b.number - a.number || (a.name < b.name ? -1 : 1));
}

function addPack(directory: string, entries: readonly UnitEntry[], limit: number): void {
  const packs = openPacks(directory);
  const units = new Map(entries.map(({ key, bytes }) => [key, bytes]));
  // Threads of a process write at the same time, too.
  const name = `${(packs[0]?.number ?? 0) + 1}-${Math.random().toString(36).slice(2)}.pack`;
  const draft = join(directory, `${name}.draft`);
  try {
    const replaced = younger(packs, entries);
    const kept = packs.slice(replaced.length);
    for (const pack of replaced) {
      for (const { key, bytes } of pack.units(directory)) if (!units.has(key)) units.set(key, bytes);
    }
    mkdirSync(directory, { recursive: true });
    let size = writePack(
      draft,
      [...units].map(([key, bytes]) => ({ key, bytes })).sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
    renameSync(draft, join(directory, name));
    const tooMuch = kept.filter((pack) => (size += pack.size) > limit);
    for (const pack of [...replaced, ...tooMuch]) rmSync(join(directory, pack.name), { force: true });
  } catch {
    // A read-only or full disk: no half-written pack.
    removeDraft(draft);
  } finally {
    for (const pack of packs) pack.close();
  }
}

function removeDraft(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // There is no directory that it could be in.
  }
}

/** The packs, of all from the youngest on, that a new one with these entries takes in. */
function younger(packs: readonly Pack[], entries: readonly UnitEntry[]): readonly Pack[] {
  let size = entries.reduce((sum, { bytes }) => sum + ENTRY + bytes.length, HEADER);
  let count = 0;
  for (const pack of packs) {
    const small = pack.size <= 2 * size || packs.length - count >= MOST_PACKS;
    if (!small || size + pack.size > MERGE_LIMIT) break;
    size += pack.size;
    count++;
  }
  return packs.slice(0, count);
}

/** Returns the size of what it wrote. */
function writePack(path: string, units: readonly UnitEntry[]): number {
  const head = Buffer.alloc(HEADER + units.length * ENTRY);
  MAGIC.copy(head);
  head.writeUInt32LE(units.length, MAGIC.length);
  let from = head.length;
  units.forEach(({ key, bytes }, i) => {
    const at = HEADER + i * ENTRY;
    head.write(key, at, KEY, "hex");
    head.writeUInt32LE(from, at + KEY);
    head.writeUInt32LE(bytes.length, at + KEY + 4);
    from += bytes.length;
  });
  const file = openSync(path, "wx");
  try {
    if (writevSync(file, [head, ...units.map(({ bytes }) => bytes)]) !== from) throw new RangeError("the disk is full");
    return from;
  } finally {
    closeSync(file);
  }
}
