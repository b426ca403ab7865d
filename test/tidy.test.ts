// Reads our own text: file headers and lengths, test names, link targets, documented error codes.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { collectErrorCodes } from "../script/error-codes.mjs";

const root = join(import.meta.dirname, "..");
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)));
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const ours = tracked.filter(
  (file) => /^(lib|native|bench|script|test)\/.*\.(ts|mjs|cc|h)$/.test(file) && !file.includes("/gen/"),
);

describe("our own text", () => {
  test("every source file opens with a sentence that says what it is", () => {
    const bare = ours.filter(
      (file) => !file.endsWith(".test.ts") && !/^(#!.*\n)?(#pragma once\n+)?\/\/ \S.{15,}/.test(read(file)),
    );
    expect(bare).toEqual([]);
  });

  test("no file is longer than a thousand lines", () => {
    expect(ours.filter((file) => read(file).split("\n").length > 1000)).toEqual([]);
  });

  test("nothing is left half done", () => {
    const marks = /\b(TODO|FIXME|XXX|HACK)\b|\.(only|skip)\(/;
    const found = ours.filter((file) => file !== "test/tidy.test.ts" && marks.test(read(file)));
    expect(found).toEqual([]);
  });

  test("a test file is named after the file or the room it tests", () => {
    const rooms = ours.filter(
      (file) => /^test\/[^/]+\/.*\.test\.ts$/.test(file) && !/^test\/(package|oracle|lang)\//.test(file),
    );
    const lost = rooms.filter((file) => !existsSync(join(root, "lib", file.split("/")[1] ?? "")));
    expect(lost).toEqual([]);
  });

  test("links in the documents lead somewhere", () => {
    const broken: string[] = [];
    for (const file of tracked.filter((name) => name.endsWith(".md"))) {
      for (const [, target] of read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
        if (!existsSync(join(root, dirname(file), target ?? ""))) broken.push(`${file}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test("docs/errors.md lists exactly the codes that the source throws", () => {
    const documented = [...read("docs/errors.md").matchAll(/^\| `(ERR_[A-Z0-9_]+)`/gm)].map((match) => match[1]);
    expect(documented).toEqual(collectErrorCodes().map(({ code }) => code));
  });
});
