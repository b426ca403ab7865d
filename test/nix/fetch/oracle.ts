// What C++ Nix answers: `TVIX_NIX_NEW` is what comes before its commands, such as a script that enters a chroot in
// which the temporary directory is seen.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What is put before the commands of Nix; empty where none is named. */
export const ORACLE: readonly string[] = (process.env["TVIX_NIX_NEW"] ?? "").split(" ").filter((word) => word !== "");

/** Whether a Nix is there whose fetchers are those of 2.34. */
export const HAS_ORACLE: boolean =
  ORACLE.length > 0 &&
  spawnSync(ORACLE[0] as string, [...ORACLE.slice(1), "nix-instantiate", "--version"]).status === 0;

const SETTINGS = [
  "substituters =",
  "experimental-features = nix-command flakes",
  "build-users-group =",
  "warn-dirty = false",
];

/** What each expression evaluates to, printed; null where it fails. Each is asked with caches of its own. */
export function askFetches(cases: readonly { readonly text: string; readonly pure: boolean }[]): (string | null)[] {
  const directory = mkdtempSync(join(tmpdir(), "tvix-fetch-oracle-"));
  try {
    const script = [`cd ${directory}`, "export NIX_CONFIG=$(cat config)"];
    writeFileSync(join(directory, "config"), `${SETTINGS.join("\n")}\n`);
    for (const [i, { text, pure }] of cases.entries()) {
      writeFileSync(join(directory, `${i}.nix`), text);
      const flags = pure ? "--pure-eval" : "";
      script.push(
        `HOME=${directory}/home${i} XDG_CACHE_HOME=${directory}/cache${i} nix-instantiate ${flags} --eval --strict -E "$(cat ${i}.nix)" > ${i}.out 2> ${i}.err; echo $? > ${i}.status`,
      );
    }
    writeFileSync(join(directory, "ask.sh"), `${script.join("\n")}\n`);
    execFileSync(ORACLE[0] as string, [...ORACLE.slice(1), "bash", join(directory, "ask.sh")], { cwd: directory });
    return cases.map((_, i) => {
      const read = (what: string): string => readFileSync(join(directory, `${i}.${what}`), "utf8").trim();
      return read("status") === "0" ? read("out") : null;
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
