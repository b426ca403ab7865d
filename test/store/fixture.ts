// A small host tree with one of everything, and where tests put what they make.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";

/** A directory for the tests of one file, removed at their end, and fresh names in it. */
export function scratch(name: string): { readonly base: string; readonly fresh: () => string } {
  const base = mkdtempSync(join(tmpdir(), `tvix-${name}-`));
  let count = 0;
  afterAll(() => rmSync(base, { recursive: true, force: true }));
  return { base, fresh: () => join(base, String(count++)) };
}

/** Makes the tree: what the golden answers of import.test.ts were computed from. */
export function makeTree(path: string): string {
  mkdirSync(join(path, "empty"), { recursive: true });
  mkdirSync(join(path, "sub/deeper"), { recursive: true });
  writeFileSync(join(path, "hello"), "Hello World!");
  writeFileSync(join(path, "nothing"), "");
  writeFileSync(join(path, "run"), "#!/bin/sh\necho hi\n");
  chmodSync(join(path, "run"), 0o755);
  writeFileSync(join(path, "sub/large"), pseudoRandomBytes(700_001, 42));
  writeFileSync(join(path, "sub/large-again"), pseudoRandomBytes(700_001, 42));
  writeFileSync(join(path, "sub/deeper/Ä.txt"), "umlaut");
  writeFileSync(Buffer.concat([Buffer.from(join(path, "sub/")), Buffer.from([0xff, 0xfe])]), "no text");
  symlinkSync("../hello", join(path, "sub/link"));
  symlinkSync("/nowhere/at all", join(path, "dangling"));
  return path;
}
