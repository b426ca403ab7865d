// Floats as text in the two forms of C's printf that Nix uses.

/** `%g`: six significant digits, trailing zeros dropped, exponents of two digits. */
export function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const rounded = tieToEven(value.toExponential(5), value.toExponential(5 + MORE));
  const exponent = Number(rounded.split("e")[1]);
  if (exponent >= -4 && exponent < 6) {
    const fixed = tieToEven(value.toFixed(5 - exponent), value.toFixed(5 - exponent + MORE));
    return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
  }
  const [mantissa, power] = rounded.split("e") as [string, string];
  const digits = power.replace(/^[+-]/, "").padStart(2, "0");
  return `${mantissa.replace(/\.?0+$/, "")}e${power.startsWith("-") ? "-" : "+"}${digits}`;
}

/** `%f`: six decimals. */
export function formatFixed(value: number): string {
  if (!Number.isFinite(value)) return formatFloat(value);
  if (Object.is(value, -0)) return "-0.000000";
  if (Math.abs(value) < 1e21) return tieToEven(value.toFixed(6), value.toFixed(6 + MORE));
  return `${value < 0 ? "-" : ""}${BigInt(Math.abs(value))}.000000`;
}

/** So many digits more tell a tie from everything near it. */
const MORE = 60;

/** JavaScript rounds an exact tie away from zero, C to the even digit: the two texts are a value rounded and exact. */
function tieToEven(rounded: string, exact: string): string {
  const digits = rounded.replace(/e.*$/, "");
  const tail = exact.replace(/e.*$/, "").slice(-MORE).replace(/^5/, "");
  const last = digits.charCodeAt(digits.length - 1) - 48;
  if (tail.length === MORE || /[^0]/.test(tail) || last % 2 === 0) return rounded;
  return digits.slice(0, -1) + String(last - 1) + rounded.slice(digits.length);
}
