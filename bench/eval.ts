// Rows: programs in the Nix language, user time of whole processes against `nix-instantiate`.
//
// TVIX_NODE (`--node`) names another node binary to run us with; TVIX_NIXPKGS a nixpkgs checkout, for the rows that need its lib.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timeProcess } from "./process.ts";
import type { BenchRow } from "./row.ts";

const cli = join(import.meta.dirname, "../dist/cli/tvix.cjs");
const node = process.env["TVIX_NODE"] ?? process.execPath;
const nixpkgs = process.env["TVIX_NIXPKGS"];

const FIB = "let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in fib 32";

/** A generator of pseudo-random ints that stays far from overflow. */
const RANDOM = "random = i: (i * 7919 + 104729) * 31 - (i * 7919 + 104729) * 31 / 1000003 * 1000003";

const SORT = `let ${RANDOM}; in builtins.elemAt (builtins.sort (a: b: a < b) (builtins.genList random 200000)) 100000`;

const FOLD = "builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 2000000)";

const UPDATE = `let base = builtins.listToAttrs (builtins.genList (i: { name = "n\${toString i}"; value = i; }) 500);
  step = set: i: set // { n7 = i; };
in (builtins.foldl' step base (builtins.genList (i: i) 50000)).n7`;

const JOIN = `builtins.stringLength (builtins.concatStringsSep "," (map toString (builtins.genList (x: x) 300000)))`;

const CLOSURE = `builtins.length (builtins.genericClosure {
  startSet = [ { key = 0; } ];
  operator = { key }: if key < 99999 then [ { key = key + 1; } ] else [ ];
})`;

const MATCH = `builtins.length (builtins.filter (s: builtins.match "([a-z]+)-([0-9]+)\\\\.([0-9]+)(.*)" s != null)
  (builtins.genList (i: "package-\${toString i}.\${toString (i * 3)}-extra") 10000))`;

/** Names of packages, taken apart into name and version, as nixpkgs does it. */
const MATCH_NAMES = `let
  stems = [ "hello" "python3.8-requests" "gcc-wrapper" "xf86-video-intel" "perl5.32.0-URI" "linux-headers" "gtk+3" "libX11" ];
  name = i: "\${builtins.elemAt stems (i - i / 8 * 8)}-\${toString (i / 100)}.\${toString i}.1";
in builtins.foldl' (n: m: n + builtins.stringLength (builtins.elemAt m 1)) 0
  (map (builtins.match "(.*)-([0-9][^-]*)") (builtins.genList name 10000))`;

/** Addresses of sources: scheme, host, path and the file's name without its ending. */
const MATCH_URLS = `let
  hosts = [ "github.com" "downloads.sourceforge.net" "ftp.gnu.org" "files.pythonhosted.org:443" ];
  url = i: "https://\${builtins.elemAt hosts (i - i / 4 * 4)}/owner\${toString i}/project/archive/v\${toString (i / 7)}.2.tar.gz";
in builtins.foldl' (n: m: n + builtins.stringLength (builtins.elemAt m 3)) 0
  (map (builtins.match "([a-z]+)://([^/:]+)(:[0-9]+)?/(.*/)?([^/]+)\\.tar\\.(gz|xz|bz2)") (builtins.genList url 10000))`;

/** About 20 MB of JSON, made and read. */
const JSON_TEXT = `let
  value = builtins.genList (i: { name = "item \${toString i}"; index = i; tags = [ "a" "b" true null 1.5 ]; }) 280000;
in builtins.length (builtins.fromJSON (builtins.toJSON value))`;

const MODULES = `let
  lib = import (builtins.toPath "${nixpkgs ?? ""}/lib");
  options = builtins.listToAttrs (builtins.genList (i: {
    name = "option\${toString i}";
    value = lib.mkOption { type = lib.types.int; default = i; description = "number \${toString i}"; };
  }) 500);
  values = builtins.listToAttrs (builtins.genList (i: { name = "option\${toString (i * 2)}"; value = i; }) 250);
  result = lib.evalModules { modules = [ { inherit options; } { config = values; } ]; };
in builtins.foldl' (a: name: a + result.config.\${name}) 0 (builtins.attrNames options)`;

function drvPath(attribute: string): string {
  return `(import ${nixpkgs ?? ""} { system = "x86_64-linux"; config = { }; overlays = [ ]; }).${attribute}.drvPath`;
}

let scratch = "";

function row(name: string, work: string, reach: number | null, program: string): BenchRow {
  const file = (): string => join(scratch, `${name}.nix`);
  const env = (): Record<string, string> => ({ XDG_CACHE_HOME: join(scratch, "cache") });
  const flags = ["eval", "--no-replay", "--strict"];
  const ours = async (): Promise<number> => (await timeProcess(node, [cli, ...flags, file()], env())).user;
  return {
    name,
    work,
    peer: "nix-instantiate --eval",
    reach,
    sense: "time",
    prepare: async () => {
      scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
      writeFileSync(file(), program);
      // The compiled units of the program and of what it imports are in the cache after the first run, together with
      // V8's code for what ran after the second.
      await ours();
      await ours();
    },
    ours,
    peers: async () => (await timeProcess("nix-instantiate", ["--eval", "--strict", file()])).user,
    starts: async () => ({
      ours: (await timeProcess(node, ["-e", "0"])).user,
      peer: (await timeProcess("nix-instantiate", ["--eval", "-E", "1"])).user,
    }),
    cleanup: () => Promise.resolve(rmSync(scratch, { recursive: true, force: true })),
  };
}

export const rows: readonly BenchRow[] = [
  row("fib", "fib 32", 0.25, FIB),
  row("sort", "sort of 200 000 with a Nix comparator", 0.4, SORT),
  row("foldl", "foldl' over 2 000 000", 1, FOLD),
  row("update", "50 000 // onto a 500-key set", 1, UPDATE),
  row("join", "join of 300 000 toString'd ints", 1, JOIN),
  row("closure", "genericClosure with 100 000 keys", 1, CLOSURE),
  row("match", "regex match over 10 000 strings", 1, MATCH),
  row("match-names", "match of 10 000 names of packages", 1, MATCH_NAMES),
  row("match-urls", "match of 10 000 addresses", 1, MATCH_URLS),
  row("json", "toJSON and fromJSON of 20 MB", 1, JSON_TEXT),
  ...(nixpkgs !== undefined && existsSync(join(nixpkgs, "lib"))
    ? [
        row("modules", "lib.evalModules with 500 options", 2, MODULES),
        row("hello", "hello.drvPath of nixpkgs", 1.5, drvPath("hello")),
        row("firefox", "firefox.drvPath of nixpkgs", 1.5, drvPath("firefox")),
      ]
    : []),
  {
    name: "eval-start",
    work: "tvix eval -E 1, seconds beyond a bare node -e 0",
    peer: "30 ms",
    reach: 1,
    sense: "time",
    ours: async () => {
      const ours = await timeProcess(node, [cli, "eval", "--no-replay", "-E", "1"]);
      const bare = await timeProcess(node, ["-e", "0"]);
      return ours.wall - bare.wall;
    },
    peers: () => Promise.resolve(0.03),
  },
];
