// Trees on the host for the native tests, and a NAR writer small enough to be right by reading.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A tree in memory; names are one char per byte. */
export type Tree =
  | { readonly file: Uint8Array; readonly executable?: boolean }
  | { readonly link: string }
  | { readonly entries: Readonly<Record<string, Tree>> };

/** A directory that lives as long as the test file. */
export function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "tvix-native-"));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Makes `tree` at the path (latin1 chars, one per byte). */
export function plant(path: string, tree: Tree): void {
  const bytes = Buffer.from(path, "latin1");
  if ("file" in tree) {
    writeFileSync(bytes, tree.file);
    chmodSync(bytes, tree.executable ? 0o755 : 0o644);
  } else if ("link" in tree) {
    symlinkSync(Buffer.from(tree.link, "latin1"), bytes);
  } else {
    mkdirSync(bytes);
    for (const [name, child] of Object.entries(tree.entries)) plant(`${path}/${name}`, child);
  }
}

/** One string of the NAR format. */
export function word(text: string | Uint8Array): Buffer {
  const bytes = typeof text === "string" ? Buffer.from(text, "latin1") : text;
  const out = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8);
  out.writeBigUInt64LE(BigInt(bytes.length));
  out.set(bytes, 8);
  return out;
}

/** Several strings of the NAR format; bytes are put in raw. */
export function words(...parts: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? word(part) : part)));
}

function narNode(tree: Tree): Buffer {
  if ("link" in tree) return words("(", "type", "symlink", "target", tree.link, ")");
  if ("file" in tree) {
    const mark = tree.executable ? words("executable", "") : Buffer.alloc(0);
    return words("(", "type", "regular", mark, "contents", word(tree.file), ")");
  }
  const entries = Object.entries(tree.entries).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = entries.map(([name, child]) => words("entry", "(", "name", name, "node", narNode(child), ")"));
  return words("(", "type", "directory", ...parts, ")");
}

/** The NAR of a tree, straight from the grammar. */
export function narOf(tree: Tree): Buffer {
  return words("nix-archive-1", narNode(tree));
}

/** Bytes without pattern, the same for the same seed. */
export function noise(size: number, seed: number): Uint8Array {
  const out = new Uint8Array(size);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state >>> 24;
  }
  return out;
}

/** A tree with everything that can be in one: sizes around chunk and buffer bounds, odd names, links, empty things. */
export function garden(): Tree {
  return {
    entries: {
      a: { file: new Uint8Array(0) },
      "a.b": { file: noise(1, 1), executable: true },
      aa: { entries: {} },
      big: { file: noise(3_000_001, 2) },
      big2: { file: noise(1_048_576, 3), executable: true },
      copy: { file: noise(3_000_001, 2) },
      dangling: { link: "../nowhere/\u00ff" },
      edge: { file: noise(131_072, 4) },
      "edge+1": { file: noise(131_073, 5) },
      "caf\u00e9": { file: noise(7, 6) },
      "\u00fe\u00ff": { entries: { "\u0001": { link: "x" }, z: { file: noise(8, 7) } } },
      "with space": { entries: { deep: { entries: { er: { file: noise(5000, 8) } } } } },
      zz: { file: noise(9, 9), executable: true },
    },
  };
}

/** Runs a program of Nix; undefined when it is not installed. */
export function nix(program: string, args: readonly (string | Buffer)[], input?: Uint8Array): Buffer | undefined {
  const result = spawnSync(program, args as string[], { input, maxBuffer: 1 << 28 });
  if (result.error && (result.error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  if (result.status !== 0) throw new Error(`${program} failed: ${result.stderr.toString()}`);
  return result.stdout;
}

/** Whether Nix is here to compare with; says loudly when it is not. */
export const nixHere: boolean = spawnSync("nix-store", ["--version"]).status === 0;
if (!nixHere) console.warn("SKIPPING live comparison with Nix: nix-store is not installed");
