// Canonical paths: absolute, without `.`, `..`, doubled and trailing slashes. Names only, no symbolic links.

/** Canonicalises an absolute path (a byte string); `..` at the root stays at the root. */
export function canonicalPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  return `/${kept.join("/")}`;
}
