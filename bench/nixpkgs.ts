// Rows: derivations of nixpkgs, whole processes against `nix-instantiate` and `nix-env`; TVIX_NIXPKGS is a checkout.
//
// Each piece of work in three states: the first time ever (no cache), with compiled code in the cache, and again when
// nothing has changed. TVIX_NODE names another node binary to run us with.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ProcessTime, timeProcess } from "./process.ts";
import type { BenchRow } from "./row.ts";

const cli = join(import.meta.dirname, "../dist/cli/tvix.cjs");
const node = process.env["TVIX_NODE"] ?? process.execPath;
const nixpkgs = process.env["TVIX_NIXPKGS"] ?? "";

let scratch = "";
let runs = 0;

/** Whether compiled code, or the answer itself, is known from an earlier run. */
type State = "first" | "warm" | "replay";

const STATES: Readonly<Record<State, { readonly work: string; readonly clock: keyof ProcessTime }>> = {
  first: { work: "first run ever, wall", clock: "wall" },
  warm: { work: "compile cache warm, user", clock: "user" },
  replay: { work: "nothing changed, wall", clock: "wall" },
};

/** A unit is seen, made JavaScript of, and run with V8's code for it: the fourth run is as warm as any. */
const EARLIER_RUNS: Readonly<Record<State, number>> = { first: 0, warm: 3, replay: 1 };

function cacheOf(state: State): string {
  return join(scratch, state === "first" ? `cache-${runs++}` : "cache");
}

async function prepare(): Promise<void> {
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-"));
  writeFileSync(
    join(scratch, "configuration.nix"),
    '{ boot.loader.grub.device = "/dev/a"; fileSystems."/".device = "/dev/b"; }',
  );
  writeFileSync(
    join(scratch, "config.nix"),
    "{ allowBroken = true; allowUnfree = true; allowInsecurePredicate = _: true; }",
  );
}

function cleanup(): Promise<void> {
  return Promise.resolve(rmSync(scratch, { recursive: true, force: true }));
}

/** One attribute, by both programs with the same arguments. */
function row(name: string, state: State, reach: number, args: () => readonly string[]): BenchRow {
  const { work, clock } = STATES[state];
  const flags = state === "warm" ? ["--no-replay"] : [];
  const ours = async (): Promise<number> =>
    (await timeProcess(node, [cli, "eval", ...flags, ...args()], { XDG_CACHE_HOME: cacheOf(state) }))[clock];
  return {
    name: `${name}-${state}`,
    work: `${name}: ${work}`,
    peer: "nix-instantiate --eval",
    reach,
    sense: "time",
    prepare: async () => {
      await prepare();
      for (let run = 0; run < EARLIER_RUNS[state]; run++) await ours();
    },
    ours,
    peers: async () => (await timeProcess("nix-instantiate", ["--eval", ...args()]))[clock],
    cleanup,
  };
}

const attribute = (name: string) => (): readonly string[] => [nixpkgs, "-A", `${name}.drvPath`];
const system = (): readonly string[] => [
  join(nixpkgs, "nixos"),
  "--arg",
  "configuration",
  join(scratch, "configuration.nix"),
  "-A",
  "system.drvPath",
];

/** What is reached with a warm cache depends on the engine. */
const WARM = process.versions.node.startsWith("20.") ? 1.5 : 1.2;

const whole: BenchRow = {
  name: "nixpkgs",
  work: "drv paths of all of nixpkgs, two workers, first run ever, wall",
  peer: "nix-env -qaP --drv-path",
  reach: 0.7,
  sense: "time",
  prepare,
  ours: async () => {
    const env = { XDG_CACHE_HOME: cacheOf("first"), NIXPKGS_CONFIG: join(scratch, "config.nix") };
    return (await timeProcess(node, [cli, "eval-jobs", "--workers", "2", nixpkgs], env)).wall;
  },
  peers: async () => {
    const env = { NIXPKGS_CONFIG: join(scratch, "config.nix") };
    return (await timeProcess("nix-env", ["-f", nixpkgs, "-qaP", "--drv-path"], env)).wall;
  },
  cleanup,
};

if (!existsSync(join(nixpkgs, "pkgs"))) {
  console.warn("SKIPPED: TVIX_NIXPKGS is not set to a nixpkgs checkout; its rows are left out");
}

export const rows: readonly BenchRow[] = !existsSync(join(nixpkgs, "pkgs"))
  ? []
  : [
      ...["hello", "firefox"].flatMap((name) => [
        row(name, "first", 3, attribute(name)),
        row(name, "warm", WARM, attribute(name)),
        row(name, "replay", 0.6, attribute(name)),
      ]),
      row("nixos", "first", 3, system),
      row("nixos", "warm", 1.3, system),
      row("nixos", "replay", 0.6, system),
      whole,
    ];
