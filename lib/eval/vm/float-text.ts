// Floats as text in the two forms of C's printf that Nix uses.

/** `%g`: six significant digits, trailing zeros dropped, exponents of two digits. */
export function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const exponent = Number(value.toExponential(5).split("e")[1]);
  if (exponent >= -4 && exponent < 6) {
    const fixed = value.toFixed(5 - exponent);
    return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
  }
  const [mantissa, power] = value.toExponential(5).split("e") as [string, string];
  const digits = power.replace(/^[+-]/, "").padStart(2, "0");
  return `${mantissa.replace(/\.?0+$/, "")}e${power.startsWith("-") ? "-" : "+"}${digits}`;
}

/** `%f`: six decimals. */
export function formatFixed(value: number): string {
  if (!Number.isFinite(value)) return formatFloat(value);
  if (Math.abs(value) < 1e21) return value.toFixed(6);
  return `${value < 0 ? "-" : ""}${BigInt(Math.abs(value))}.000000`;
}
