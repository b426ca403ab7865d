// What keeps a store in order, from the command line: roots, collection, repair, closures of Nix, numbers.
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { PROGRAM, tvix } from "./tvix.ts";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tvix-cli-store-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A directory with a file of `size` bytes, and a text. */
function makeTree(name: string, size: number, text = name): string {
  const path = join(scratch, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "data"), pseudoRandomBytes(size, name.length));
  writeFileSync(join(path, "text"), text);
  return path;
}

const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("collection from the command line", () => {
  test("roots are added, listed and removed; gc stops at --max-freed and keeps what roots reach", () => {
    const store = { store: join(scratch, "collected") };
    const paths = ["a", "bb", "ccc", "dddd"].map((name) =>
      tvix(["store", "import", makeTree(name, 1_000_000)], store).stdout.trim(),
    );
    const [kept = ""] = paths;
    expect(tvix(["store", "roots", "add", "keep", kept], store)).toMatchObject({ status: 0, stdout: "" });
    expect(json(tvix(["store", "roots", "list", "--json"], store).stdout)).toEqual({ name: "keep", path: kept });
    const plan = json(tvix(["store", "gc", "--dry-run", "--keep-derivations", "--json"], store).stdout);
    expect(plan).toMatchObject({ livePaths: 1, freedBytes: 0 });
    expect(new Set(plan["removedPaths"] as string[])).toEqual(new Set(paths.slice(1)));
    const some = json(tvix(["store", "gc", "--max-freed", "1500K", "--json"], store).stdout);
    expect(some["removedPaths"]).toHaveLength(2);
    expect(some["removedBytes"]).toBeGreaterThanOrEqual(1_536_000);
    expect(json(tvix(["store", "info", "--json"], store).stdout)).toMatchObject({ paths: 2, roots: 1 });
    expect(tvix(["store", "roots", "remove", "keep"], store).status).toBe(0);
    expect(tvix(["store", "roots", "list"], store).stdout).toBe("");
    expect(json(tvix(["store", "gc", "--json"], store).stdout)).toMatchObject({ livePaths: 0 });
    expect(readdirSync(join(store.store, "packs"))).toEqual([]);
  });
});

describe("numbers and differences", () => {
  test("info --json says what deduplication saves, diff --json what differs", () => {
    const store = { store: join(scratch, "numbers") };
    const path = makeTree("twice", 900_000, "before");
    const before = tvix(["store", "import", "--name", "before", path], store).stdout.trim();
    writeFileSync(join(path, "text"), "afterwards");
    writeFileSync(join(path, "new"), "");
    const after = tvix(["store", "import", "--name", "after", path], store).stdout.trim();
    const numbers = json(tvix(["store", "info", "--json"], store).stdout);
    expect(numbers).toMatchObject({ paths: 2, fileBytes: 1_800_016, chunkBytes: 900_016 });
    expect(numbers["deduplication"]).toBeCloseTo(2, 3);
    const lines = tvix(["store", "diff", "--json", before, after], store).stdout.trim().split("\n").map(json);
    expect(lines.map((line) => line["path"])).toEqual(["new", "text"]);
    expect(lines[0]).toMatchObject({ before: null, after: expect.stringContaining("of 0 bytes") });
    expect(lines[1]).toMatchObject({
      before: expect.stringContaining("6 bytes"),
      after: expect.stringContaining("10 bytes"),
    });
    expect(tvix(["store", "diff", before, after], store).status).toBe(1);
    expect(tvix(["store", "diff", before, before], store)).toMatchObject({ status: 0, stdout: "" });
    expect(tvix(["store", "diff", before, `${after}x`], store)).toMatchObject({ status: 2, stdout: "" });
    expect(tvix(["store", "diff", before, after], store).stdout).toMatch(/^\+ new .*\n~ text .* -> .*\n$/);
  });
});

describe("repair from the command line", () => {
  test("verify names the damage, cat names it too, --repair --from fetches it", () => {
    const store = { store: join(scratch, "damaged") };
    const other = { store: join(scratch, "whole") };
    const tree = makeTree("repairable", 400_000);
    const path = tvix(["store", "import", tree], store).stdout.trim();
    expect(tvix(["store", "import", tree], other).stdout.trim()).toBe(path);
    const pack = join(store.store, "packs/000000.pack");
    const bytes = readFileSync(pack);
    const at = bytes.indexOf("repairable");
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(pack, bytes);
    const found = tvix(["store", "verify", "--json"], store);
    expect(found.status).toBe(1);
    const damage = json(found.stdout)["damage"] as { kind: string; object: string }[];
    const chunk = damage.find((one) => one.kind === "chunk")?.object ?? "none";
    expect(chunk).toMatch(/^b3:/);
    const read = tvix(["store", "cat", `${path}/text`], store);
    expect(read).toMatchObject({ status: 1, stdout: "" });
    expect(read.stderr).toContain(chunk);
    expect(tvix(["store", "verify", "--repair"], store).status).toBe(1);
    const mended = tvix(["store", "verify", "--repair", "--from", other.store], store);
    expect(mended).toMatchObject({ status: 0, stdout: expect.stringContaining(`repaired chunk ${chunk}`) });
    expect(tvix(["store", "verify"], store)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining(": 0 damaged"),
    });
    expect(tvix(["store", "cat", `${path}/text`], store).stdout).toBe("repairable");
  });
});

describe("closures", () => {
  test("of an exportReferencesGraph are imported from below a prefix, with their references", () => {
    const from = { store: join(scratch, "graph-from") };
    const a = tvix(["store", "import", makeTree("needed", 1000)], from).stdout.trim();
    const b = tvix(
      ["store", "import", "--candidate", a, makeTree("needing", 1000, `see ${a}/text`)],
      from,
    ).stdout.trim();
    const prefix = join(scratch, "root");
    mkdirSync(join(prefix, "nix/store"), { recursive: true });
    const graph = [b, a].map((path) => {
      expect(tvix(["store", "export-tree", path, `${prefix}${path}`], from).status).toBe(0);
      const { narHash, narSize, references } = json(tvix(["store", "info", "--json", path], from).stdout);
      return { path, narHash, narSize, references };
    });
    expect(graph[0]?.references).toEqual([a]);
    const file = join(scratch, "graph.json");
    writeFileSync(file, JSON.stringify({ closure: graph }));
    const to = { store: join(scratch, "graph-to") };
    const imported = tvix(["store", "import", "--from-closure", file, "--prefix", prefix], to);
    expect(imported).toMatchObject({ status: 0, stdout: `${a}\n${b}\n` });
    expect(json(tvix(["store", "info", "--json", b], to).stdout)).toMatchObject(graph[0] ?? {});
    const exported = tvix(["store", "export", "--closure", b], to).bytes;
    expect(exported).toEqual(tvix(["store", "export", "--closure", b], from).bytes);
  });
});

describe("large files", () => {
  test("come out of cat as they are, however slowly they are read", async () => {
    const store = join(scratch, "large");
    const tree = makeTree("long-file", 30_000_000);
    const path = tvix(["store", "import", tree], { store }).stdout.trim();
    const expected = createHash("sha256")
      .update(readFileSync(join(tree, "data")))
      .digest("hex");
    const reader = spawn(process.execPath, [PROGRAM, "store", "cat", `${path}/data`], {
      env: { ...process.env, TVIX_STORE: store },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const hash = createHash("sha256");
    for await (const piece of reader.stdout) {
      hash.update(piece as Uint8Array);
      if (Math.random() < 0.05) await new Promise((done) => setTimeout(done, 3));
    }
    expect(hash.digest("hex")).toBe(expected);
    const shell = `${process.execPath} ${PROGRAM} store cat --store ${store} ${path}/data | { sleep 0.3; sha256sum; }`;
    expect(execFileSync("sh", ["-c", shell], { encoding: "utf8" })).toContain(expected);
  });
});
