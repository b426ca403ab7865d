// Versions and package names, taken apart and compared as Nix does; texts are one char per byte.

/** A package name with its version; the version is "" when there is none. */
export interface DrvName {
  readonly name: string;
  readonly version: string;
}

/** Splits `name-version` at the first dash that no ASCII letter follows; a dash at the very end does not count. */
export function parseDrvName(text: string): DrvName {
  for (let dash = text.indexOf("-"); dash !== -1; dash = text.indexOf("-", dash + 1)) {
    const next = text.charCodeAt(dash + 1);
    if (Number.isNaN(next)) break;
    if (!isLetter(next)) return { name: text.slice(0, dash), version: text.slice(dash + 1) };
  }
  return { name: text, version: "" };
}

/** The components of a version: runs of digits and runs of others, dots and dashes left out. */
export function splitVersion(version: string): string[] {
  return version.match(/[0-9]+|[^0-9.-]+/g) ?? [];
}

/** Compares versions component by component: -1, 0 or 1. */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  const left = splitVersion(a);
  const right = splitVersion(b);
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const c = left[i] ?? "";
    const d = right[i] ?? "";
    if (isBefore(c, d)) return -1;
    if (isBefore(d, c)) return 1;
  }
  return 0;
}

/**
 * The order of components: `pre` before everything, the missing one before numbers, letters before numbers. It is not
 * quite an order (a number that does not fit 32 bits counts as letters), and Nix compares with exactly this.
 */
function isBefore(a: string, b: string): boolean {
  const m = numberOf(a);
  const n = numberOf(b);
  if (m !== undefined && n !== undefined) return m < n;
  if (a === "" && n !== undefined) return true;
  if (a === "pre" && b !== "pre") return true;
  if (b === "pre") return false;
  if (n !== undefined) return true;
  if (m !== undefined) return false;
  return a < b;
}

function numberOf(component: string): number | undefined {
  const first = component.charCodeAt(0);
  if (!(first >= 0x30 && first <= 0x39)) return undefined;
  const value = Number(component);
  return value <= 0x7fffffff ? value : undefined;
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
