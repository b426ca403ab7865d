// Texts of absolute paths: canonical form, last component, directory.

/** An absolute path without `.`, `..`, empty components or a trailing slash; nothing is looked up. */
export function canonicalPath(path: string): string {
  // Most paths are canonical: nothing between two slashes, or that begins with a dot, and no slash at the end.
  if (!path.includes("/.") && !path.includes("//") && !path.endsWith("/")) return path;
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") out.pop();
    else out.push(part);
  }
  return `/${out.join("/")}`;
}

/** The last component; one trailing slash is ignored. */
export function baseName(path: string): string {
  const end = path.endsWith("/") && path.length > 0 ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}

/** What is before the last slash: `.` without one, `/` for what is in the root. */
export function directoryName(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
