// Expressions that fetch, for the fixture at @.

const REV = `(builtins.fetchGit "file://@/git").rev`;

/** Flake references to read; each is an expression's string. */
const REFERENCES: readonly string[] = [
  "nixpkgs",
  "nixpkgs/nixos-24.05",
  "flake:nixpkgs/nixos-24.05?dir=lib",
  `flake:nixpkgs/ref/${"a".repeat(40)}`,
  `nixpkgs/${"a".repeat(40)}`,
  "flake:1abc",
  "flake:a b",
  "github:o/r",
  "github:o/r/a/b?dir=lib&host=example.org",
  `github:o/r/${"a".repeat(40)}`,
  "github:o/r?ref=x",
  "github:o/r/x?ref=y",
  "github:o/r/c..d",
  "github:o/r?host=a/b",
  "github:o/r?foo=1",
  "github:o",
  `github:o/r?narHash=sha256-${"A".repeat(43)}=&lastModified=3`,
  "gitlab:a%2Fb/c/d",
  "sourcehut:~u/c",
  "git+https://example.org/my/repo?dir=x&ref=v1.2&shallow=1&foo=bar",
  "git+https://user:pw@example.org:8080/a%20b?ref=x%2Fy&allRefs=0",
  "git+ssh://git@example.org/a?submodules=1&lfs=1&exportIgnore=1",
  "git+file:/a/b",
  "git+file://host/b",
  "git+https://example.org/a?ref=..bad",
  "git://example.org/a?rev=e486d8d40e626a20e06d792db8cc5ac5aba9a5b4",
  "git+ssh://git@example.org:owner/repo",
  "hg+https://example.org/a?ref=b&foo=1",
  "path:/a/b",
  `path:/a/b?dir=c&narHash=sha256-${"A".repeat(43)}=&lastModified=12&revCount=3`,
  "path:./b",
  "path:///a//b/",
  "path://host/a",
  "path:/a?foo=bar",
  "path:/a?lastModified=x",
  "path:/a%20b/%2F",
  "/a/b",
  "/a b",
  "/a#x",
  "./b",
  ".",
  "",
  "https://example.org/a.tar.gz",
  `https://example.org/a?dir=x&narHash=sha256-${"A".repeat(43)}=&foo=1&revCount=12&lastModified=3`,
  "tarball+https://example.org/a",
  "file+https://example.org/a.tar.gz",
  "file:///a/b",
  "https://example.org/a%zz",
  "foo://bar",
  "nixpkgs#hello",
];

/** Attributes to write as flake references. */
const ATTRIBUTES: readonly string[] = [
  'type = "indirect"; id = "nixpkgs"; ref = "nixos-24.05"; dir = "lib";',
  `type = "indirect"; id = "x"; ref = "y"; rev = "${"a".repeat(40)}";`,
  'type = "indirect"; id = "1x";',
  'type = "github"; owner = "o"; repo = "r"; ref = "a/b"; host = "h";',
  `type = "github"; owner = "o"; repo = "r"; rev = "${"a".repeat(40)}"; lastModified = 4; dir = "x";`,
  `type = "github"; owner = "o"; repo = "r"; rev = "${"a".repeat(40)}"; ref = "x";`,
  'type = "github"; owner = "o";',
  'type = "gitlab"; owner = "a/b"; repo = "r";',
  'type = "git"; url = "https://example.org/a"; ref = "a/b@c+d"; shallow = true; submodules = true; allRefs = true;',
  'type = "git"; url = "https://example.org/a"; shallow = false; dir = "d"; lastModified = 12;',
  'type = "git"; url = "/a/b";',
  'type = "git"; url = "https://example.org/a"; ref = "a..b";',
  'type = "git"; url = "https://example.org/a"; foo = 1;',
  'type = "git"; url = "https://example.org/a"; shallow = 1;',
  'type = "git"; url = 1;',
  'type = "git"; url = [ ];',
  'type = "git";',
  `type = "path"; path = "/a+b@c:d=e&f~g(h)'*!,;%\\"<"; lastModified = 3; revCount = 2;`,
  'type = "path"; path = "a/b"; dir = "x";',
  'type = "path"; path = /a;',
  'type = "path"; path = "/a"; revCount = -1;',
  `type = "tarball"; url = "https://example.org/a?x=a%2Fb+c"; narHash = "sha256-${"+".repeat(20)}${"/".repeat(10)}${"A".repeat(13)}=";`,
  'type = "file"; url = "file:///a"; name = "x";',
  'type = "hg"; url = "https://example.org/a"; ref = "x";',
  'type = "hg"; url = "/a";',
  'type = "foo";',
  'url = "x";',
];

const PLAIN: readonly string[] = [
  // Files.
  'builtins.fetchurl "file://@/tree/file"',
  'builtins.fetchurl { url = "file://@/tree/file"; name = "other"; }',
  'builtins.fetchurl { url = "file://@/tree/file"; sha256 = "sha256-mOpuTyFvL7S2n/+bOkSIeCTRoHVhJRs9zTq+l6R+8k8="; }',
  `builtins.fetchurl { url = "file://@/tree/file"; sha256 = "sha256-${"A".repeat(43)}="; }`,
  'builtins.fetchurl { url = "file://@/tree/file"; name = "a b"; }',
  'builtins.fetchurl { url = "file://@/tree/file"; foo = 1; }',
  "builtins.fetchurl { }",
  "builtins.fetchurl 1",
  "builtins.fetchurl /a",
  'builtins.fetchurl "@/tree/file"',
  'builtins.fetchurl "file://@/absent"',
  'builtins.getContext (builtins.fetchurl "file://@/tree/file")',
  'builtins.readFile (builtins.fetchurl "file://@/tree/file")',
  // Archives.
  ...["one", "several", "single-file", "nested", "twice", "none"].map((name) => `fetchTarball "file://@/${name}.tar"`),
  'fetchTarball { url = "file://@/one.tar"; name = "other"; }',
  'fetchTarball "file://@/tree/file"',
  'builtins.readFile "${fetchTarball "file://@/one.tar"}/file"',
  'builtins.fetchTree { type = "tarball"; url = "file://@/one.tar"; }',
  'builtins.fetchTree "file://@/one.tar"',
  'builtins.fetchTree { type = "file"; url = "file://@/tree/file"; }',
  'builtins.getContext (builtins.fetchTree "file://@/one.tar").outPath',
  // Paths.
  'builtins.fetchTree { type = "path"; path = "@/tree"; }',
  'builtins.fetchTree "path:@/tree"',
  `builtins.fetchTree { type = "path"; path = "@/tree"; lastModified = 5; revCount = 3; rev = "${"a".repeat(40)}"; }`,
  `builtins.fetchTree { type = "path"; path = "@/tree"; narHash = "sha256-${"A".repeat(43)}="; }`,
  'builtins.fetchTree { type = "path"; path = "@/absent"; }',
  'builtins.fetchTree { type = "path"; path = "rel"; }',
  'builtins.fetchTree { path = "@/tree"; }',
  'builtins.fetchTree { type = "path"; path = "@/tree"; name = "x"; }',
  'builtins.fetchTree "nixpkgs"',
  // Git: working trees.
  'builtins.fetchGit "@/git"',
  "fetchGit @/git-dirty",
  "builtins.readDir (fetchGit @/git-dirty)",
  'builtins.fetchGit { url = "@/git-unborn"; }',
  'builtins.fetchGit { url = "file://@/git-super"; submodules = true; }',
  'builtins.fetchTree "git+file://@/git-dirty"',
  'builtins.fetchTree { type = "git"; url = "@/git"; }',
  'builtins.fetchTree { type = "git"; url = "@/git"; shallow = false; }',
  // Git: revisions.
  'builtins.fetchGit { url = "@/git"; ref = "v1"; }',
  'builtins.fetchGit { url = "@/git"; ref = "main"; name = "other"; }',
  'builtins.fetchGit { url = "@/git"; ref = "refs/heads/old"; }',
  `builtins.fetchGit { url = "@/git"; rev = ${REV}; }`,
  'builtins.fetchGit { url = "@/git"; allRefs = true; }',
  'builtins.fetchGit { url = "@/git"; shallow = true; ref = "main"; }',
  'builtins.readFile "${fetchGit { url = "@/git"; ref = "main"; }}/id"',
  'builtins.fetchTree { type = "git"; url = "@/git"; ref = "main"; }',
  'builtins.readDir (builtins.fetchTree { type = "git"; url = "@/git"; ref = "main"; })',
  'builtins.fetchGit { url = "file://@/git-super"; ref = "main"; submodules = true; }',
  'builtins.readDir "${fetchGit { url = "file://@/git-super"; ref = "main"; submodules = true; }}/inner"',
  'builtins.fetchGit { url = "file://@/git-super"; ref = "main"; }',
  'builtins.fetchGit { url = "@/git"; ref = "absent"; }',
  `builtins.fetchGit { url = "@/git"; rev = "${"a".repeat(40)}"; }`,
  'builtins.fetchGit { url = "@/git"; rev = "abc"; }',
  `builtins.fetchGit { url = "@/git"; rev = ${REV}; lastModified = 3; }`,
  // Git: from a distance.
  'builtins.fetchGit "@/git-bare"',
  'builtins.fetchGit { url = "file://@/git-bare"; ref = "old"; }',
  'builtins.fetchGit { url = "file://@/git-bare"; ref = "refs/tags/v1"; }',
  'builtins.fetchGit { url = "file://@/git-bare"; ref = "v1"; }',
  'builtins.fetchGit { url = "file://@/git-bare"; rev = "@rev@"; }',
  'builtins.fetchGit { url = "file://@/git-bare"; shallow = true; }',
  'builtins.fetchTree "git+file://@/git-bare"',
  'builtins.fetchGit "@/absent"',
  'builtins.fetchGit "@/tree"',
  // Git: arguments.
  "builtins.fetchGit { }",
  'builtins.fetchGit { url = "@/git"; type = "git"; }',
  'builtins.fetchGit { url = "@/git"; foo = 1; }',
  'builtins.fetchGit { url = "@/git"; ref = null; }',
  'builtins.fetchGit { url = "@/git"; shallow = "x"; }',
  'builtins.fetchTree { type = "git"; url = "@/git"; dir = "x"; }',
  "builtins.fetchGit 1",
];

const MERCURIAL: readonly string[] = [
  'fetchMercurial "@/hg"',
  'fetchMercurial { url = "@/hg"; rev = "v1"; name = "other"; }',
  `fetchMercurial { url = "@/hg"; rev = (fetchMercurial "@/hg").rev; }`,
  'fetchMercurial "@/hg-dirty"',
  'builtins.readDir (fetchMercurial "@/hg-dirty")',
  'builtins.fetchTree { type = "hg"; url = "file://@/hg"; }',
  "fetchMercurial { }",
  'fetchMercurial { url = "x"; foo = 1; }',
];

const flake = (name: string): string => `(builtins.getFlake "path:@/flakes/${name}")`;

const FLAKES: readonly string[] = [
  flake("leaf"),
  `${flake("tree")}.v`,
  `${flake("tree")}.text`,
  `${flake("tree")}.inner.names`,
  `baseNameOf ${flake("tree")}.inner.at`,
  `${flake("tree")}.inner.sourceInfo`,
  `${flake("tree")}.sourceInfo`,
  `builtins.attrNames ${flake("tree")}.inputs.data`,
  '(builtins.getFlake "path:@/flakes/tree?dir=inner").v',
  '(builtins.getFlake "@/flakes/leaf").v',
  `${flake("uses")}.v`,
  `${flake("uses")}.same`,
  `${flake("override")}.v`,
  `${flake("override")}.at`,
  ...["copied", "path", "again", "filtered", "read", "imported", "context", "drvPath", "text"].map(
    (name) => `${flake("source")}.${name}`,
  ),
  `${flake("circle")}.v`,
  `${flake("astray")}.v`,
  `${flake("extra")}.v`,
  `${flake("mute")}.v`,
  flake("plain"),
  '(builtins.getFlake "git+file://@/flakes/git").names',
  '(builtins.getFlake "git+file://@/flakes/git").rev',
  '(builtins.getFlake "git+file://@/flakes/git?dir=sub").at',
  '(builtins.getFlake "git+file://@/flakes/git-dirty").rev',
  '(builtins.getFlake "git+file://@/flakes/git-dirty").names',
  '(builtins.getFlake "git+file://@/flakes/git?ref=main").sourceInfo',
  '(builtins.getFlake "path:@/flakes/leaf#x")',
  "(builtins.getFlake { })",
];

const PURE: readonly string[] = [
  "fetchGit @/git",
  `builtins.fetchGit { url = "@/git"; rev = "@rev@"; }`,
  'builtins.fetchurl "file://@/tree/file"',
  'fetchTarball "file://@/one.tar"',
  'builtins.fetchTree { type = "path"; path = "@/tree"; }',
  'builtins.fetchTree { type = "path"; path = "@/tree"; narHash = "@narHash@"; }',
  'builtins.readFile "${builtins.fetchTree { type = "path"; path = "@/tree"; narHash = "@narHash@"; }}/file"',
  'builtins.getFlake "path:@/flakes/leaf"',
  '(builtins.getFlake "git+file://@/flakes/git?rev=@flakeRev@").rev',
  'fetchMercurial "@/hg"',
  'builtins.fetchTree "flake:x"',
  'builtins.readFile "@/tree/file"',
];

/** An expression, and whether it is evaluated purely. */
export interface FetchCase {
  readonly text: string;
  readonly pure: boolean;
  readonly needs?: "mercurial";
}

/** All of them. */
export const CASES: readonly FetchCase[] = [
  ...REFERENCES.map((text) => `builtins.parseFlakeRef ${JSON.stringify(text)}`),
  ...ATTRIBUTES.map((text) => `builtins.flakeRefToString { ${text} }`),
  ...PLAIN,
  ...FLAKES,
].map((text): FetchCase => ({ text, pure: false }));

/** Those that need Mercurial. */
export const MERCURIAL_CASES: readonly FetchCase[] = MERCURIAL.map((text) => ({ text, pure: false }));

/** Those that are evaluated purely. */
export const PURE_CASES: readonly FetchCase[] = PURE.map((text) => ({ text, pure: true }));
