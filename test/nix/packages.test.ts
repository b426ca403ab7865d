// A small package set of our own: the paths that Nix 2.8 gives its derivations (test/data/nix/packages.json), and what
// writing them leaves in a store.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toJs } from "../../lib/eval/convert.ts";
import { CLOSURE_BACKEND, closureBackend } from "../../lib/eval/evaluator.ts";
import { memoryIO } from "../../lib/eval/io/memory.ts";
import { fileSystemIO, nodeBackend } from "../../lib/eval/node.ts";
import { demandedOutput, findDerivations } from "../../lib/nix/derivation-set.ts";
import { instantiate } from "../../lib/nix/instantiate.ts";
import { openSession, type Session } from "../../lib/nix/session.ts";
import { storeReader } from "../../lib/nix/store-reader.ts";
import { closureOf } from "../../lib/store/closure.ts";
import { openStore } from "../../lib/store/open.ts";
import { listRoots } from "../../lib/store/roots.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyStore } from "../../lib/store/verify.ts";

const PACKAGES = join(import.meta.dirname, "../data/nix/packages");
const golden: unknown = JSON.parse(readFileSync(`${PACKAGES}.json`, "utf8"));

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("paths", () => {
  const backends = {
    closures: CLOSURE_BACKEND,
    "closures that are not kept": closureBackend(0),
    JavaScript: nodeBackend({ javascriptLimit: Number.POSITIVE_INFINITY }),
  };
  test.each(Object.entries(backends))("are those that Nix recorded, on %s", (_, backend) => {
    const { evaluator } = openSession({ io: fileSystemIO(), backend });
    expect(plain(toJs(evaluator.evaluateFile(`${PACKAGES}/paths.nix`)))).toEqual(golden);
  });

  test("are those of the installed Nix, where there is one", () => {
    const args = ["--read-write-mode", "--eval", "--strict", "--json", `${PACKAGES}/paths.nix`];
    let answer: string;
    try {
      answer = execFileSync("nix-instantiate", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      console.warn("SKIPPED: no nix-instantiate here; the recorded paths were not checked again");
      return;
    }
    expect(JSON.parse(answer)).toEqual(golden);
  });
});

describe("writing", () => {
  let directory: string;
  let store: Store;
  let session: Session;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "tvix-packages-"));
    store = await openStore(join(directory, "store"));
    session = openSession({ io: fileSystemIO(), reader: storeReader(store), writable: true });
  });
  afterAll(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const evaluate = (text: string): unknown => toJs(session.evaluator.evaluate(text));

  test("puts the closure into the store, all of it sound", async () => {
    const value = session.evaluator.evaluate(
      `let p = import ${PACKAGES} { }; in [ p.closures p.sources p.structured.doc ]`,
    );
    const found = [...findDerivations(value, new Map())].map(demandedOutput);
    expect(found.map(({ output }) => output)).toEqual(["out", "out", "doc"]);
    const paths = found.map(({ drvPath }) => drvPath);
    const roots = [{ name: "first", path: paths[0] as string }];
    const summary = await instantiate(session.world, store, paths, { roots });
    expect(summary.written).toBe(summary.derivations);
    const closure = await closureOf(store, paths);
    expect(closure.length).toBe(summary.derivations + summary.sources);
    expect((await verifyStore(store)).damage).toEqual([]);
    expect((await listRoots(store)).map(({ path }) => path.absolute())).toEqual([paths[0]]);
    const again = await instantiate(session.world, store, paths);
    expect(again).toEqual({ derivations: summary.derivations, written: 0, sources: 0 });
  });

  test("records what texts refer to", async () => {
    const note = evaluate(`(import ${PACKAGES} { }).closures.note`) as string;
    const { references } = await store.info(note);
    expect(references.map(({ name }) => name).sort()).toEqual(["fix.patch", "other"]);
  });

  test("keeps what filters left out away", async () => {
    const { filtered, renamed, flat } = evaluate(
      `let p = (import ${PACKAGES} { }).sources; in { filtered = "\${p.filtered}"; renamed = "\${p.renamed}"; flat = "\${p.flat}"; }`,
    ) as Record<string, string>;
    const names = async (path: string) => {
      const found: string[] = [];
      for await (const entry of store.ls(path))
        found.push(entry.path.map((part) => Buffer.from(part).toString()).join("/"));
      return found.sort();
    };
    expect(await names(filtered as string)).toEqual(["", "docs", "docs/manual", "run", "wanted"]);
    expect(await names(renamed as string)).toEqual(["", "run", "unwanted", "wanted"]);
    expect(Buffer.from(await store.readFile(flat as string)).toString()).toBe("wanted\n");
  });

  test("lets another evaluation read it where no store is mounted", async () => {
    const source = evaluate(`"\${(import ${PACKAGES} { }).sources.filtered}"`) as string;
    const drv = evaluate(`(import ${PACKAGES} { }).closures.drvPath`) as string;
    const other = openSession({ io: fileSystemIO(), reader: storeReader(store) });
    const read = (text: string) => plain(toJs(other.evaluator.evaluate(text)));
    expect(read(`builtins.readDir ${source}`)).toEqual({ docs: "directory", run: "regular", wanted: "regular" });
    expect(read(`builtins.readFile ${source}/docs/../docs/manual`)).toBe("manual\n");
    expect(read(`[ (builtins.pathExists ${source}/docs) (builtins.pathExists ${source}/unwanted) ]`)).toEqual([
      true,
      false,
    ]);
    expect(read(`builtins.path { path = ${source}; name = "source"; }`)).toBe(source);
    expect(read(`builtins.attrNames (builtins.getContext (builtins.readFile ${drv}))`)).toEqual(
      (await store.info(drv)).references.map((path) => path.absolute()).sort(),
    );
    const user = `builtins.appendContext "${drv}" { "${drv}" = { allOutputs = true; }; }`;
    const make = (text: string) => `(derivation { name = "user"; system = "s"; builder = "b"; d = ${text}; }).drvPath`;
    expect(read(make(user))).toBe(evaluate(make(`(import ${PACKAGES} { }).closures.drvPath`)));
  });

  test("lets a .drv file be imported as the derivation it is", async () => {
    const drv = evaluate(`(import ${PACKAGES} { }).structured.drvPath`) as string;
    const made = (text: string) =>
      evaluate(
        `let d = (${text}).out; in { inherit (d) drvPath outPath outputName type; doc = d.doc.outPath; n = builtins.length d.all; u = (derivation { name = "u"; system = "s"; builder = "\${d.doc}"; c = d.drvPath; }).drvPath; }`,
      );
    expect(plain(made(`import ${drv}`))).toEqual(plain(made(`(import ${PACKAGES} { }).structured`)));
  });

  test("takes sources from where evaluation saw them, be it memory or the store", async () => {
    // The machine has another file of this name: it must not be taken.
    const files = { "/etc/hostname": "in memory", "/tree/a": "a", "/tree/b": "b" };
    const { evaluator, world } = openSession({ io: memoryIO({ files }), writable: true });
    const value = evaluator.evaluate(`derivation {
      name = "n"; system = "s"; builder = "b";
      plain = /etc/hostname;
      tree = /tree;
      filtered = builtins.filterSource (path: type: baseNameOf path == "a") /tree;
      flat = builtins.path { path = /tree/a; recursive = false; };
      inStore = builtins.path { path = "\${/tree}/b"; recursive = false; name = "flat-in-store"; };
    }`);
    const [found] = [...findDerivations(value, new Map())].map(demandedOutput);
    const { sources } = await instantiate(world, store, [found?.drvPath ?? ""]);
    expect(sources).toBe(5);
    const read = async (attr: string, below = "") => {
      const text = await store.readFile(found?.drvPath ?? "");
      const match = new RegExp(`\\("${attr}","([^"]+)"\\)`).exec(Buffer.from(text).toString());
      return Buffer.from(await store.readFile(`${match?.[1]}${below}`)).toString();
    };
    expect(await read("plain")).toBe("in memory");
    expect(await read("tree", "/b")).toBe("b");
    expect(await read("filtered", "/a")).toBe("a");
    await expect(read("filtered", "/b")).rejects.toThrow();
    expect([await read("flat"), await read("inStore")]).toEqual(["a", "b"]);
    expect((await verifyStore(store)).damage).toEqual([]);
  });

  test("notices a source that changed in between", async () => {
    const io = fileSystemIO();
    let changed = false;
    const changing: typeof io = {
      ...io,
      readFile: (path) => (changed && path.endsWith("/wanted") ? "another" : io.readFile(path)),
    };
    const { evaluator, world } = openSession({ io: changing, writable: true });
    const value = evaluator.evaluate(
      `derivation { name = "n"; system = "s"; builder = "b"; src = builtins.path { path = ${PACKAGES}/source; name = "changing"; filter = _: _: true; }; }`,
    );
    const [found] = [...findDerivations(value, new Map())].map(demandedOutput);
    changed = true;
    await expect(instantiate(world, store, [found?.drvPath ?? ""])).rejects.toMatchObject({
      code: "ERR_NIX_SOURCE_CHANGED",
    });
    await expect(store.info(found?.drvPath ?? "")).rejects.toMatchObject({ code: "ERR_STORE_NO_PATH" });
  });
});
