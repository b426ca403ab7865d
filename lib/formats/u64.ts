// The one number form of Nix's binary formats: 64 bits, little-endian, and the zero padding of what follows lengths.

/**
 * Reads the u64 at `at`, all eight bytes of which must be there. Values beyond 2^53−1, which no length in practice reaches, come back as `Infinity`: larger
 * than any limit, and refused by whoever compares.
 */
export function readU64(bytes: Uint8Array, at: number): number {
  const low = word(bytes, at);
  const high = word(bytes, at + 4);
  return high > 0x1fffff ? Number.POSITIVE_INFINITY : high * 0x100000000 + low;
}

/** Writes the u64 at `at`; `value` is an integer from 0 to 2^53−1. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  let low = value >>> 0;
  let high = Math.floor(value / 0x100000000);
  for (let i = 0; i < 4; i++) {
    bytes[at + i] = low & 255;
    bytes[at + 4 + i] = high & 255;
    low >>>= 8;
    high >>>= 8;
  }
}

/** Number of zero bytes that follow `length` bytes up to the next multiple of eight. */
export function paddingOf(length: number): number {
  return (8 - (length % 8)) % 8;
}

function word(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  return (low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0;
}
