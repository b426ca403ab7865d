// Repositories, archives and flakes to fetch, the same bytes and times wherever they are made.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, lutimesSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pack } from "tar-stream";

/** Seconds since 1970 of everything that has a time. */
export const TIME = 1_000_000_000;

/** Whether Mercurial is installed. */
export const HAS_MERCURIAL: boolean = spawnSync("hg", ["--version"]).status === 0;

const IDENTITY = {
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.org",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
};

/** Runs git in a directory; answers what it prints. */
export function git(directory: string, ...args: string[]): string {
  const date = `@${TIME} +0000`;
  const env = { ...process.env, ...IDENTITY, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
  return execFileSync("git", ["-C", directory, "-c", "init.defaultBranch=main", ...args], { env })
    .toString()
    .trim();
}

/** Writes files by their paths; contents that begin with `->` make symlinks, names that end in `*` executables. */
export function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, contents] of Object.entries(files)) {
    const path = join(directory, name.replace(/\*$/, ""));
    mkdirSync(dirname(path), { recursive: true });
    if (contents.startsWith("->")) symlinkSync(contents.slice(2), path);
    else writeFileSync(path, contents);
    if (name.endsWith("*")) chmodSync(path, 0o755);
  }
}

/** Gives everything in a directory the same time. */
export function settle(directory: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    lutimesSync(join(entry.parentPath, entry.name), TIME, TIME);
  }
  lutimesSync(directory, TIME, TIME);
}

/** A tar archive of files written as for {@link write}; names that end in a slash make directories. */
export async function tarball(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, contents] of Object.entries(files)) {
    const common = { name: name.replace(/\*$/, ""), mtime: new Date(TIME * 1000) };
    if (name.endsWith("/")) archive.entry({ ...common, type: "directory" });
    else if (contents.startsWith("->")) archive.entry({ ...common, type: "symlink", linkname: contents.slice(2) });
    else archive.entry({ ...common, mode: name.endsWith("*") ? 0o755 : 0o644 }, contents);
  }
  archive.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of archive) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Makes everything below a directory. */
export async function makeFixture(base: string): Promise<void> {
  makeTrees(base);
  makeGit(base);
  if (HAS_MERCURIAL) makeMercurial(base);
  makeFlakes(join(base, "flakes"));
  await makeArchives(base);
}

function makeTrees(base: string): void {
  write(join(base, "tree"), { file: "hi\n", "sub/run*": "#!/bin/sh\n", "sub/link": "->../file" });
  mkdirSync(join(base, "tree/empty"));
  settle(join(base, "tree"));
}

function makeGit(base: string): void {
  const sub = join(base, "git-sub");
  write(sub, { s: "sub\n" });
  git(sub, "init", "-q");
  git(sub, "add", ".");
  git(sub, "commit", "-qm", "sub");
  const repository = join(base, "git");
  write(repository, { file: "hi\n", "dir/run*": "run\n", link: "->file", ignored: "no\n", "hidden/x": "no\n" });
  write(repository, { ".gitattributes": "ignored export-ignore\nhidden/ export-ignore\nid export-subst\n" });
  write(repository, { id: "$Format:%H$\n" });
  git(repository, "init", "-q");
  git(repository, "add", ".");
  git(repository, "commit", "-qm", "one");
  git(repository, "tag", "v1");
  git(repository, "branch", "old");
  write(repository, { second: "2\n" });
  git(repository, "add", ".");
  git(repository, "commit", "-qm", "two");
  for (const copy of ["git-dirty", "git-unborn", "git-super"]) {
    if (copy !== "git-unborn") git(base, "clone", "-q", "git", copy);
  }
  write(join(base, "git-dirty"), { file: "changed\n", untracked: "no\n", staged: "yes\n" });
  git(join(base, "git-dirty"), "add", "staged");
  git(join(base, "git-dirty"), "rm", "-q", "--cached", "second");
  write(join(base, "git-unborn"), { tracked: "yes\n", untracked: "no\n" });
  git(join(base, "git-unborn"), "init", "-q");
  git(join(base, "git-unborn"), "add", "tracked");
  const outer = join(base, "git-super");
  write(outer, { ".gitmodules": '[submodule "inner"]\n\tpath = inner\n\turl = ../git-sub\n' });
  git(outer, "add", ".gitmodules");
  git(outer, "update-index", "--add", "--cacheinfo", `160000,${git(sub, "rev-parse", "HEAD")},inner`);
  git(outer, "commit", "-qm", "three");
  git(base, "clone", "-q", "git-sub", "git-super/inner");
  git(base, "clone", "-q", "--bare", "git", "git-bare");
}

function makeMercurial(base: string): void {
  const hg = (directory: string, ...args: string[]): void => {
    execFileSync("hg", [...args], { cwd: directory, env: { ...process.env, HGRCPATH: "", HGUSER: "a" } });
  };
  const repository = join(base, "hg");
  write(repository, { file: "1\n", "dir/run*": "run\n", link: "->file" });
  hg(repository, "init");
  hg(repository, "commit", "-qAm", "one", "-d", `${TIME} 0`);
  hg(repository, "tag", "v1", "-d", `${TIME} 0`);
  write(repository, { file: "2\n" });
  hg(repository, "commit", "-qm", "two", "-d", `${TIME} 0`);
  hg(base, "clone", "-q", "hg", "hg-dirty");
  write(join(base, "hg-dirty"), { file: "3\n", untracked: "no\n" });
}

async function makeArchives(base: string): Promise<void> {
  const archives: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    one: { "top/": "", "top/file": "hi\n", "top/sub/run*": "run\n", "top/sub/link": "->../file" },
    several: { "a/x": "1\n", "b/": "", z: "3\n" },
    "single-file": { file: "1\n" },
    nested: { "a/b/c": "x\n" },
    twice: { "a/x": "1\n", "a/y": "2\n", "./a/x": "3\n" },
    none: {},
  };
  for (const [name, files] of Object.entries(archives)) {
    writeFileSync(join(base, `${name}.tar`), await tarball(files));
  }
}

function makeFlakes(base: string): void {
  const leaf = '{ description = "leaf"; outputs = { self }: { v = "leaf"; at = self.outPath; }; }\n';
  write(base, {
    "leaf/flake.nix": leaf,
    "plain/file": "plain\n",
    "tree/flake.nix": `{
  inputs.inner.url = "./inner";
  inputs.data = { url = "path:./data"; flake = false; };
  outputs = { self, inner, data }: { v = "tree-\${inner.v}"; inherit inner; text = builtins.readFile "\${data}/text"; };
}\n`,
    "tree/inner/flake.nix": `{
  inputs.up = { url = "path:../data"; flake = false; };
  outputs = { self, up }: { v = "inner"; names = builtins.attrNames (builtins.readDir up); at = self.outPath; };
}\n`,
    "tree/data/text": "text\n",
    "uses/flake.nix": `{
  inputs.tree.url = "path:${base}/tree";
  inputs.tree.inputs.inner.follows = "other";
  inputs.other.url = "path:${base}/leaf";
  outputs = { self, tree, other }: { v = tree.v; same = tree.inner.at == other.at; };
}\n`,
    "override/flake.nix": `{
  inputs.uses.url = "path:${base}/uses";
  inputs.uses.inputs.other.url = "path:${base}/second";
  outputs = { self, uses }: { v = uses.v; inherit (uses.inputs.other) at; };
}\n`,
    "second/flake.nix": leaf.replaceAll("leaf", "second"),
    "source/sub/x.nix": "{ here = ./.; }\n",
    "source/flake.nix": `{ outputs = { self }: {
  copied = "\${./.} \${./sub} \${self} \${self}/sub";
  path = builtins.path { path = ./.; name = "n"; };
  again = builtins.path { path = self.outPath; };
  filtered = builtins.filterSource (path: type: baseNameOf path != "sub") ./.;
  read = [ (builtins.readDir ./.) (builtins.readFile (self + "/sub/x.nix")) (builtins.pathExists ./absent) ];
  imported = import ./sub/x.nix;
  context = builtins.getContext "\${./sub}";
  drvPath = (derivation { name = "d"; system = "s"; builder = "b"; src = ./.; inherit self; sub = ./sub; }).drvPath;
  text = builtins.toFile "x" "\${self}";
}; }\n`,
    "circle/flake.nix": `{ inputs.back.url = "path:${base}/circle-back"; outputs = { self, back }: { v = 1; }; }\n`,
    "circle-back/flake.nix": `{ inputs.on.url = "path:${base}/circle"; outputs = { self, on }: { v = 1; }; }\n`,
    "astray/flake.nix": '{ inputs.x.follows = "y/z"; outputs = { self, x }: { v = 1; }; }\n',
    "extra/flake.nix": "{ unknown = 1; outputs = _: { }; }\n",
    "mute/flake.nix": "{ }\n",
    "git/flake.nix":
      "{ outputs = { self }: { names = builtins.attrNames self.sourceInfo; rev = self.rev or self.dirtyRev; }; }\n",
    "git/sub/flake.nix": "{ outputs = { self }: { at = baseNameOf self.outPath; }; }\n",
  });
  git(join(base, "git"), "init", "-q");
  git(join(base, "git"), "add", ".");
  git(join(base, "git"), "commit", "-qm", "flake");
  git(base, "clone", "-q", "git", "git-dirty");
  write(join(base, "git-dirty"), {
    "flake.nix":
      "{ outputs = { self }: { rev = self.rev or self.dirtyRev; names = builtins.attrNames self.sourceInfo; }; }\n",
  });
  settle(base);
}
