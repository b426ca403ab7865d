// The digits of a float as Nix's JSON library finds them: Loitsch's Grisu2.
//
// Grisu2 works on 64 bits and gives up a sliver at both ends of the interval of decimals that read back as the float.
// About one float in a thousand has its shortest decimal in such a sliver, and gets a longer or another one. Since
// JSON text ends up in derivations, those floats must come out as in Nix, too. BigInt stands in for `uint64_t`.

/** `f · 2^e`. */
interface Scaled {
  readonly f: bigint;
  readonly e: number;
}

/** A power of ten in 64 bits, and which one it is. */
interface CachedPower extends Scaled {
  readonly k: number;
}

const view = new DataView(new ArrayBuffer(8));
const HIDDEN_BIT = 2n ** 52n;
const ALPHA = -60;
const FIRST_POWER = -300;
const POWER_STEP = 8;
const powers: (CachedPower | undefined)[] = [];

/** Digits (first one not 0) and decimal exponent of a positive finite float: it reads back from `digits · 10^exponent`. */
export function grisu2(value: number): { readonly digits: string; readonly exponent: number } {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const fraction = bits & (HIDDEN_BIT - 1n);
  const biased = Number(bits >> 52n);
  const v: Scaled = biased === 0 ? { f: fraction, e: -1074 } : { f: fraction + HIDDEN_BIT, e: biased - 1075 };
  // The float below is nearer where the exponent changes.
  const lowerIsCloser = fraction === 0n && biased > 1;
  const high = normalize({ f: 2n * v.f + 1n, e: v.e - 1 });
  const low = lowerIsCloser ? { f: 4n * v.f - 1n, e: v.e - 2 } : { f: 2n * v.f - 1n, e: v.e - 1 };
  const power = cachedPower(high.e);
  const middle = multiply(normalize(v), power);
  const from = multiply({ f: low.f << BigInt(low.e - high.e), e: high.e }, power).f + 1n;
  const to = multiply(high, power);
  return generate(from, middle.f, to.f - 1n, to.e, -power.k);
}

function normalize({ f, e }: Scaled): Scaled {
  const shift = 64 - f.toString(2).length;
  return { f: f << BigInt(shift), e: e - shift };
}

/** The upper half of the product, rounded. */
function multiply(a: Scaled, b: Scaled): Scaled {
  return { f: (a.f * b.f + 2n ** 63n) >> 64n, e: a.e + b.e + 64 };
}

/** A power of ten that brings a number of binary exponent `e` to between 2^-60 and 2^-32. */
function cachedPower(e: number): CachedPower {
  const f = ALPHA - e - 1;
  const k = Math.trunc((f * 78913) / 2 ** 18) + (f > 0 ? 1 : 0);
  const index = Math.trunc((k - FIRST_POWER + POWER_STEP - 1) / POWER_STEP);
  return (powers[index] ??= computePower(FIRST_POWER + POWER_STEP * index));
}

function computePower(k: number): CachedPower {
  // With bits to spare, to round by.
  let f = k >= 0 ? 10n ** BigInt(k) : 2n ** 1200n / 10n ** BigInt(-k);
  let e = k >= 0 ? 0 : -1200;
  const shift = f.toString(2).length - 64;
  f = shift > 0 ? (f + (1n << BigInt(shift - 1))) >> BigInt(shift) : f << BigInt(-shift);
  e += shift;
  return f >> 64n === 0n ? { f, e, k } : { f: f >> 1n, e: e + 1, k };
}

/** Digits of a number between `from` and `to`, as near to `middle` as their number allows; all times 2^e. */
function generate(
  from: bigint,
  middle: bigint,
  to: bigint,
  e: number,
  exponent: number,
): { digits: string; exponent: number } {
  const shift = BigInt(-e);
  const one = 1n << shift;
  let delta = to - from;
  let distance = to - middle;
  const whole = String(to >> shift);
  let rest = to & (one - 1n);
  for (let n = whole.length - 1; n >= 0; n--) {
    const unit = 10n ** BigInt(n);
    const left = (((to >> shift) % unit) << shift) + rest;
    if (left <= delta) {
      const digits = whole.slice(0, whole.length - n);
      return { digits: round(digits, distance, delta, left, unit << shift), exponent: exponent + n };
    }
  }
  let digits = whole;
  for (let more = 1; ; more++) {
    rest *= 10n;
    delta *= 10n;
    distance *= 10n;
    digits += String(rest >> shift);
    rest &= one - 1n;
    if (rest <= delta) return { digits: round(digits, distance, delta, rest, one), exponent: exponent - more };
  }
}

/** Lowers the last digit while that brings the number nearer to the middle. */
function round(digits: string, distance: bigint, delta: bigint, rest: bigint, unit: bigint): string {
  let last = digits.charCodeAt(digits.length - 1);
  let left = rest;
  while (
    left < distance &&
    delta - left >= unit &&
    (left + unit < distance || distance - left > left + unit - distance)
  ) {
    last--;
    left += unit;
  }
  return digits.slice(0, -1) + String.fromCharCode(last);
}
