// nixpkgs, bit for bit: paths and files of derivations against the installed Nix.
//
// TVIX_NIXPKGS is a checkout. With TVIX_SOAK=1 every attribute that nix-env reports is compared, and 500 of two other
// systems; else 300 of a sample. Our paths are those that `tvix eval-jobs` prints.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findAlongPath } from "../../lib/eval/attr-path.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { demandedOutput, findDerivations } from "../../lib/nix/derivation-set.ts";
import { instantiate } from "../../lib/nix/instantiate.ts";
import { openSession } from "../../lib/nix/session.ts";
import { closureOf } from "../../lib/store/closure.ts";
import { readText } from "../../lib/store/import.ts";
import { openStore } from "../../lib/store/open.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { tvix } from "../cli/tvix.ts";

const NIXPKGS = process.env.TVIX_NIXPKGS;
const SOAK = process.env.TVIX_SOAK === "1";

if (NIXPKGS === undefined) {
  console.warn("SKIPPED: TVIX_NIXPKGS is not set to a nixpkgs checkout; nothing of nixpkgs is compared");
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "tvix-nixpkgs-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const run = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string =>
  execFileSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  });

/** The version of the installed Nix, which programs can see. */
const nixVersion = (): string => JSON.parse(run("nix-instantiate", ["--eval", "--json", "-E", "builtins.nixVersion"]));

/** Which attributes of which system are compared; without a count, all that nix-env reports. */
interface Selection {
  readonly system: string;
  readonly count?: number;
  readonly below?: readonly string[];
}

const selections: readonly Selection[] = SOAK
  ? [{ system: "x86_64-linux" }, { system: "aarch64-linux", count: 500 }, { system: "x86_64-darwin", count: 500 }]
  : [{ system: "x86_64-linux", count: 300, below: ["pythonPackages", "xorg", "gnome3", "llvmPackages"] }];

/** An attribute and its paths in the form of nix-env's last two columns. */
interface Answer {
  readonly attr: string;
  readonly paths: string;
}

/** What nix-env reports; with a count, that many of it, spread over all. */
function theirAnswers({ system, count, below = [] }: Selection, env: NodeJS.ProcessEnv): Answer[] {
  const query = ["-f", NIXPKGS ?? "", "-qaP", "--drv-path", "--out-path", "--argstr", "system", system];
  const selected = ["--system-filter", "*", ...below.flatMap((attr) => ["-A", attr])];
  const lines = run("nix-env", [...query, ...selected], env)
    .trim()
    .split("\n");
  const step = count === undefined ? 1 : lines.length / count;
  return Array.from({ length: count ?? lines.length }, (_, i) => {
    const words = (lines[Math.floor(i * step)] as string).trim().split(/\s+/);
    return { attr: words[0] as string, paths: words.slice(-2).join(" ") };
  });
}

interface Job {
  readonly attr: string;
  readonly error?: string;
  readonly drvPath: string;
  readonly outputs: Readonly<Record<string, string>>;
}

function pathsOf({ error, drvPath, outputs }: Job): string {
  if (error !== undefined) return error;
  const paths = Object.keys(outputs)
    .sort()
    .map((name) => (name === "out" ? outputs[name] : `${name}=${outputs[name]}`));
  return `${drvPath} ${paths.join(";")}`;
}

/** Our paths by attribute: of some as a list that is selected, else of all there are. */
function ourPaths(attrs: readonly string[] | undefined, system: string, env: Readonly<Record<string, string>>) {
  const names = attrs?.map(
    (attr) =>
      `[ ${attr
        .split(".")
        .map((name) => JSON.stringify(name))
        .join(" ")} ]`,
  );
  const select = `pkgs: map (builtins.foldl' (set: name: set.\${name}) pkgs) [ ${names?.join(" ") ?? ""} ]`;
  const selected = attrs === undefined ? [] : ["--select", select];
  const flags = ["--workers", "2", "--argstr", "system", system, "--nix-version", nixVersion()];
  const { stdout } = tvix(["eval-jobs", NIXPKGS ?? "", ...flags, ...selected], { env });
  const jobs = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Job);
  return new Map(jobs.map((job) => [attrs?.[Number(job.attr)] ?? job.attr, pathsOf(job)]));
}

test.skipIf(NIXPKGS === undefined).each(selections)(
  "attributes have the paths that nix-env reports: $system",
  (selection) => {
    const { system, count } = selection;
    const config = join(directory, "config.nix");
    writeFileSync(config, "{ allowBroken = true; allowUnfree = true; allowInsecurePredicate = _: true; }");
    const env = { NIXPKGS_CONFIG: config };
    const theirs = theirAnswers(selection, env);
    const ours = ourPaths(count === undefined ? undefined : theirs.map(({ attr }) => attr), system, env);
    const different = theirs.filter(({ attr, paths }) => ours.get(attr) !== paths);
    console.warn(`${theirs.length - different.length} of ${theirs.length} attributes for ${system} have Nix's paths`);
    expect(different.map(({ attr, paths }) => ({ attr, paths, ours: ours.get(attr) }))).toEqual([]);
    expect(theirs.length).toBeGreaterThanOrEqual(count ?? 10_000);
  },
  1_800_000,
);

test.skipIf(NIXPKGS === undefined)(
  "the closure that is written is Nix's, file by file",
  async () => {
    const [root = ""] = run("nix-instantiate", [NIXPKGS ?? "", "-A", "firefox"]).split("\n");
    const paths = run("nix-store", ["-qR", root]).trim().split("\n");
    const { evaluator, world } = openSession({
      io: fileSystemIO(),
      backend: nodeBackend(),
      writable: true,
      settings: { nixVersion: nixVersion() },
    });
    const value = findAlongPath(evaluator.evaluateFile(NIXPKGS ?? ""), "firefox", new Map());
    const [found] = [...findDerivations(value, new Map())].map((one) => demandedOutput(one).drvPath);
    expect(found).toBe(root);
    const store = await openStore(join(directory, "store"));
    try {
      const summary = await instantiate(world, store, [root]);
      expect(await instantiate(world, store, [root])).toEqual({ ...summary, written: 0, sources: 0 });
      const closure = await closureOf(store, [root]);
      expect(closure.map(({ path }) => path.absolute()).sort()).toEqual(paths.sort());
      for (const info of closure) {
        if (!info.path.isDerivation()) continue;
        const theirs = readFileSync(info.path.absolute());
        expect(Buffer.compare(await readText(store, info), theirs), info.path.basename).toBe(0);
      }
      expect((await verifyStore(store)).damage).toEqual([]);
      console.warn(`${summary.derivations} derivations of firefox are Nix's byte for byte`);
    } finally {
      await store.close();
    }
  },
  300_000,
);
