// Repositories that mean harm or are incomplete, and what is kept of those that are neither.
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bytesToLatin1 } from "../../../lib/base/text.ts";
import { walkTree } from "../../../lib/castore/tree.ts";
import { FetchCache } from "../../../lib/nix/fetch/cache.ts";
import { fetchRevision, type GitRequest, readWorkingTree } from "../../../lib/nix/fetch/git.ts";
import { isGitRef } from "../../../lib/nix/fetch/revision.ts";
import { fixGitUrl } from "../../../lib/nix/fetch/schemes/git.ts";
import { codeOfAsync } from "../../formats/codes.ts";
import { scratch } from "../../store/fixture.ts";
import { git, write } from "./fixture.ts";

const { base, fresh } = scratch("git");
const cache = FetchCache.open(join(base, "cache"));

function repository(files: Readonly<Record<string, string>>): string {
  const path = fresh();
  write(path, files);
  git(path, "init", "-q");
  git(path, "add", ".");
  git(path, "commit", "-qm", "x");
  return path;
}

const request = (url: string, more: Partial<GitRequest> = {}): GitRequest => ({
  url,
  ref: "main",
  allRefs: false,
  shallow: false,
  submodules: false,
  exportIgnore: false,
  ttl: 3600,
  ...more,
});

const fetchIt = async (url: string, more: Partial<GitRequest> = {}) => fetchRevision(await cache, request(url, more));

async function pathsOf(url: string, more: Partial<GitRequest> = {}): Promise<string[]> {
  const { tree } = await fetchIt(url, more);
  const paths: string[] = [];
  for await (const { path } of walkTree((await cache).store.castore, tree.root)) {
    if (path.length > 0) paths.push(path.map(bytesToLatin1).join("/"));
  }
  return paths;
}

describe("a working tree", () => {
  test("runs no program that the repository names", async () => {
    const path = repository({ file: "x" });
    const marker = join(base, "marker");
    git(path, "config", "core.fsmonitor", `touch ${marker}; false`);
    write(path, { file: "y" });
    const found = await readWorkingTree(path, { submodules: false, exportIgnore: true, count: true });
    expect(found).toMatchObject({ files: ["file"], isDirty: true, branch: "refs/heads/main", revCount: 1 });
    expect(existsSync(marker)).toBe(false);
  });

  test("has names with line breaks, tabs and letters beyond ASCII", async () => {
    const path = repository({ "a\nb": "x", "dir/ä\tö": "y" });
    const { files } = await readWorkingTree(path, { submodules: false, exportIgnore: false, count: false });
    expect(files).toEqual(["a\nb", Buffer.from("dir/ä\tö").toString("latin1")]);
    expect(await pathsOf(path)).toEqual(["a\nb", "dir", files[1]]);
  });

  test("without history has no count, unless none is wanted", async () => {
    const path = repository({ file: "x" });
    write(path, { more: "y" });
    git(path, "add", ".");
    git(path, "commit", "-qm", "y");
    const clone = fresh();
    git(base, "clone", "-q", "--depth", "1", `file://${path}`, clone);
    const shape = { submodules: false, exportIgnore: false };
    expect(await codeOfAsync(() => readWorkingTree(clone, { ...shape, count: true }))).toBe("ERR_FETCH_GIT_SHALLOW");
    expect((await readWorkingTree(clone, { ...shape, count: false })).revCount).toBeUndefined();
  });

  test("whose submodule is not checked out says what to do", async () => {
    const path = repository({ file: "x" });
    git(path, "update-index", "--add", "--cacheinfo", `160000,${git(path, "rev-parse", "HEAD")},inner`);
    const shape = { submodules: true, exportIgnore: false, count: false };
    await expect(readWorkingTree(path, shape)).rejects.toMatchObject({
      code: "ERR_FETCH_GIT_SUBMODULE",
      notes: ["run: git submodule update --init --recursive"],
    });
  });
});

describe("submodules", () => {
  test.each([
    ["a program", "ext::sh -c touch% marker"],
    ["an option", "-oProxyCommand=touch"],
    ["an option in a URL's place", "--upload-pack=touch:x"],
  ])("with %s for a URL are refused", async (_, url) => {
    const path = repository({ ".gitmodules": `[submodule "s"]\n\tpath = s\n\turl = "${url}"\n` });
    git(path, "update-index", "--add", "--cacheinfo", `160000,${"a".repeat(40)},s`);
    git(path, "commit", "-qm", "s");
    expect(await codeOfAsync(() => fetchIt(path, { submodules: true }))).toBe("ERR_FETCH_GIT_SUBMODULE");
    expect(await pathsOf(path)).toEqual([".gitmodules", "s"]);
  });

  test("that .gitmodules does not name are refused", async () => {
    const path = repository({ file: "x" });
    git(path, "update-index", "--add", "--cacheinfo", `160000,${"a".repeat(40)},s`);
    git(path, "commit", "-qm", "s");
    expect(await codeOfAsync(() => fetchIt(path, { submodules: true }))).toBe("ERR_FETCH_GIT_SUBMODULE");
  });
});

describe("a far repository", () => {
  test("is asked again for a branch only after a while, and never for a revision", async () => {
    const path = repository({ file: "1" });
    const bare = fresh();
    git(base, "clone", "-q", "--bare", path, bare);
    const url = `file://${bare}`;
    const first = await fetchIt(url);
    write(path, { more: "2" });
    git(path, "add", ".");
    git(path, "commit", "-qm", "2");
    git(path, "push", "-q", bare, "main");
    expect((await fetchIt(url)).rev).toBe(first.rev);
    const second = await fetchIt(url, { ttl: 0 });
    expect(second).toMatchObject({ revCount: 2, lastModified: 1_000_000_000 });
    expect(await pathsOf(url, { ref: undefined, rev: second.rev })).toEqual(["file", "more"]);
    rmSync(bare, { recursive: true });
    expect((await fetchIt(url, { ref: undefined, rev: first.rev })).tree).toEqual(first.tree);
    expect(await codeOfAsync(() => fetchIt(url, { ttl: 0 }))).toBe("ERR_FETCH_GIT_MISSING");
  });

  test("may be fetched by several at once", async () => {
    const path = repository({ file: "1" });
    for (const name of ["a", "b", "c", "d"]) git(path, "branch", name);
    const bare = fresh();
    git(base, "clone", "-q", "--bare", path, bare);
    const refs = ["main", "a", "b", "c", "d", "main", "a"];
    const found = await Promise.all(refs.map((ref) => fetchIt(`file://${bare}`, { ref })));
    expect(new Set(found.map(({ rev }) => rev))).toEqual(new Set([git(path, "rev-parse", "HEAD")]));
  });

  test("gives out a revision that no name leads to, where its server does", async () => {
    const path = repository({ file: "1" });
    const rev = git(path, "rev-parse", "HEAD");
    write(path, { file: "2" });
    git(path, "commit", "-qam", "2", "--amend");
    const bare = fresh();
    git(base, "clone", "-q", "--bare", `file://${path}`, bare);
    expect(await codeOfAsync(() => fetchIt(`file://${bare}`, { ref: undefined, rev }))).toBe("ERR_FETCH_GIT_REVISION");
  });
});

describe("names", () => {
  test.each([
    ["main", true],
    ["refs/heads/a", true],
    ["v1.0-rc+1@x", true],
    ["feature/ü", true],
    ["", false],
    ["@", false],
    ["-x", false],
    ["--upload-pack=x", false],
    ["a..b", false],
    ["a b", false],
    ["a~1", false],
    ["a^", false],
    ["a:b", false],
    ["a.lock", false],
    ["/a", false],
    ["a/", false],
    ["a//b", false],
    ["a/.b", false],
    ["a@{1}", false],
    ["a\\b", false],
    ["a\u0000b", false],
  ])("%j", (name, valid) => {
    expect(isGitRef(name)).toBe(valid);
  });

  test.each([
    ["https://example.org/a", "https://example.org/a"],
    ["/a/b", "file:///a/b"],
    ["git@example.org:a/b", "ssh://git@example.org/a/b"],
    ["file:/a", "file:/a"],
    ["a", "file:a"],
  ])("%s is %s", (text, url) => {
    expect(fixGitUrl(text)).toBe(url);
  });
});
