// The systemd units in docs/, as systemd reads them.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const scratch = mkdtempSync(join(tmpdir(), "tvix-units-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const docs = join(import.meta.dirname, "../../docs");
const UNIT = /^```ini (\S+)\n([^`]*)^```/gm;
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!hasSystemd) console.warn("SKIPPED: there is no systemd-analyze; the units in docs/ are not read");

test.skipIf(!hasSystemd)("the units in the documentation have nothing that systemd complains of", () => {
  // systemd wants the programs to be there.
  for (const name of ["tvix", "tvix-mount"]) {
    writeFileSync(join(scratch, name), "#!/bin/sh\n");
    chmodSync(join(scratch, name), 0o755);
  }
  const files: string[] = [];
  for (const page of ["mount.md", "server.md"]) {
    for (const [, name = "", text = ""] of readFileSync(join(docs, page), "utf8").matchAll(UNIT)) {
      const file = join(scratch, name);
      writeFileSync(file, text.replaceAll("/usr/local/bin", scratch));
      files.push(file);
    }
  }
  expect(files).toHaveLength(4);
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...files], { encoding: "utf8" });
  expect(stderr.split("\n").filter((line) => line.includes("tvix"))).toEqual([]);
  expect(status).toBe(0);
});
