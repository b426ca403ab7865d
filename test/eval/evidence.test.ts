// Evidence: every way in which what was read can change is noticed, and what did not change is not read again.
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Evidence, recordEvidence, stillHolds } from "../../lib/eval/io/evidence.ts";
import { fileSystemIO } from "../../lib/eval/io/files.ts";
import type { EvalIO } from "../../lib/eval/io.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tvix-evidence-"));
  mkdirSync(join(root, "directory"));
  writeFileSync(join(root, "directory/file"), "one\n");
  symlinkSync("directory", join(root, "link"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

/** A clock by which everything here was written long ago. */
const later = (): number => Date.now() + 60_000;

/** What is known after asking. */
function evidenceOf(ask: (io: EvalIO) => void, now?: () => number): readonly Evidence[] {
  const recorder = recordEvidence(fileSystemIO(), now);
  ask(recorder.io);
  return recorder.evidence() ?? expect.unreachable();
}

const at = (...path: string[]): string => join(root, ...path);
const holds = (evidence: readonly Evidence[]): boolean => stillHolds(evidence, fileSystemIO());

const changes: readonly [what: string, ask: (io: EvalIO) => void, change: () => void][] = [
  ["contents", (io) => io.readFile(at("directory/file")), () => writeFileSync(at("directory/file"), "two\n")],
  [
    "contents of the same size, with the date put back",
    (io) => io.readFile(at("directory/file")),
    () => {
      const { atime, mtime } = statSync(at("directory/file"));
      writeFileSync(at("directory/file"), "two\n");
      utimesSync(at("directory/file"), atime, mtime);
    },
  ],
  [
    "another file of the same size and date in its place",
    (io) => io.readFile(at("directory/file")),
    () => {
      const { atime, mtime } = statSync(at("directory/file"));
      writeFileSync(at("new"), "two\n");
      utimesSync(at("new"), atime, mtime);
      renameSync(at("new"), at("directory/file"));
    },
  ],
  [
    "a symlink on the way leads elsewhere",
    (io) => io.readFile(at("link/file")),
    () => {
      mkdirSync(at("other"));
      writeFileSync(at("other/file"), "two\n");
      rmSync(at("link"));
      symlinkSync("other", at("link"));
    },
  ],
  ["a file is gone", (io) => io.readFile(at("directory/file")), () => rmSync(at("directory/file"))],
  ["an entry is new", (io) => io.readDirectory(at("directory")), () => writeFileSync(at("directory/new"), "")],
  [
    "an entry has another type",
    (io) => io.readDirectory(at("directory")),
    () => {
      rmSync(at("directory/file"));
      mkdirSync(at("directory/file"));
    },
  ],
  ["what was not there is", (io) => io.fileType(at("new")), () => writeFileSync(at("new"), "")],
  [
    "the bit of executables",
    (io) => io.isExecutable(at("directory/file")),
    () => chmodSync(at("directory/file"), 0o755),
  ],
  [
    "the target of a symlink",
    (io) => io.readLink(at("link")),
    () => {
      rmSync(at("link"));
      symlinkSync("./directory", at("link"));
    },
  ],
  [
    "where a path leads",
    (io) => io.realPath(at("link/file")),
    () => {
      rmSync(at("link"));
      mkdirSync(at("link"));
    },
  ],
  ["a variable", (io) => io.variable("TVIX_TEST"), () => vi.stubEnv("TVIX_TEST", "new")],
  ["an empty variable", (io) => io.variable("TVIX_TEST"), () => vi.stubEnv("TVIX_TEST", "")],
];

test.each(changes)("notices: %s", (_, ask, change) => {
  const before = evidenceOf(ask, later);
  expect(holds(before)).toBe(true);
  change();
  expect(holds(before)).toBe(false);
});

test.each(changes)("notices right after the first look: %s", (_, ask, change) => {
  const before = evidenceOf(ask);
  change();
  expect(holds(before)).toBe(false);
});

test("a failure is an answer that may change", () => {
  const failing = (io: EvalIO): void => {
    expect(() => io.readFile(at("new"))).toThrow("does not exist");
  };
  const before = evidenceOf(failing);
  expect(holds(before)).toBe(true);
  writeFileSync(at("new"), "");
  expect(holds(before)).toBe(false);
});

test("reads files again only where it must", () => {
  const read = (io: EvalIO): void => void io.readFile(at("directory/file"));
  const blind: EvalIO = {
    ...fileSystemIO(),
    readFile: () => expect.unreachable(),
  };
  expect(stillHolds(evidenceOf(read, later), blind)).toBe(true);
  // Just written: its times might not tell of the next change.
  expect(stillHolds(evidenceOf(read), blind)).toBe(false);
  const moved = evidenceOf(read, later);
  utimesSync(at("directory/file"), 1, 1);
  expect(holds(moved)).toBe(true);
  expect(stillHolds(moved, blind)).toBe(false);
});

test("files that grow without a new date are read each time", () => {
  const [[, , , stamp] = expect.unreachable()] = evidenceOf((io) => io.readFile("/proc/self/status"), later);
  expect(stamp).toBe("");
});

test("some things cannot be checked", () => {
  const checkable = (ask: (io: EvalIO) => void): boolean => {
    const recorder = recordEvidence(fileSystemIO());
    ask(recorder.io);
    return recorder.evidence() !== undefined;
  };
  expect(checkable((io) => io.time())).toBe(false);
  expect(checkable((io) => io.readFile("/dev/null"))).toBe(false);
  const twice = checkable((io) => {
    io.readFile(at("directory/file"));
    appendFileSync(at("directory/file"), "more");
    io.readFile(at("directory/file"));
  });
  expect(twice).toBe(false);
  const recorder = recordEvidence(fileSystemIO());
  recorder.refuse();
  expect(recorder.evidence()).toBeUndefined();
});
