// C++ Nix as an oracle for tests: runs expressions where it is installed and reads back what it prints.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A printed Nix value; strings are one char per byte, sets are plain objects. */
export type Printed = null | boolean | number | string | Printed[] | { [name: string]: Printed };

/** The command of the oracle: `TVIX_ORACLE`, or the installed `nix-instantiate`. */
const COMMAND: readonly string[] = (process.env["TVIX_ORACLE"] ?? "nix-instantiate").split(" ");

/** Whether an oracle can be run here; says so loudly if not. */
export function oraclePresent(): boolean {
  const present = spawnSync(COMMAND[0] as string, [...COMMAND.slice(1), "--version"]).status === 0;
  if (!present) console.warn(`no oracle: ${COMMAND.join(" ")} does not run; recorded answers only`);
  return present;
}

/** Evaluates a Nix text (one char per byte) strictly: its value, or the last error line of the oracle. */
export function askOracle(source: string): { value: Printed } | { error: string } {
  const folder = mkdtempSync(join(tmpdir(), "tvix-oracle-"));
  try {
    const file = join(folder, "case.nix");
    writeFileSync(file, source, "latin1");
    const run = spawnSync(COMMAND[0] as string, [...COMMAND.slice(1), "--eval", "--strict", file], {
      encoding: "latin1",
      maxBuffer: 1 << 28,
      timeout: 20_000,
      killSignal: "SIGKILL", // it does not listen to others inside libstdc++
    });
    if (run.error) return { error: `the oracle did not finish: ${run.error.message}` };
    if (run.status === 0) return { value: new Printer(run.stdout).read() };
    return { error: lastError(run.stderr) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The printed value of each Nix text, one process each in one shell; for those that fail, the last error. */
export function askOracleEach(sources: readonly string[]): ({ printed: string } | { error: string })[] {
  const folder = mkdtempSync(join(tmpdir(), "tvix-oracle-"));
  try {
    sources.forEach((source, i) => writeFileSync(join(folder, `${i}.nix`), source, "latin1"));
    const nix = COMMAND.at(-1) as string;
    const loop = `cd ${folder}; for i in *.nix; do ${nix} --eval --strict $i >$i.out 2>$i.err || rm $i.out; done`;
    const shell = [...COMMAND.slice(0, -1), "bash", "-c", loop];
    spawnSync(shell[0] as string, shell.slice(1));
    return sources.map((_, i) => {
      const printed = join(folder, `${i}.nix.out`);
      if (existsSync(printed)) return { printed: readFileSync(printed, "latin1").trimEnd() };
      return { error: lastError(readFileSync(join(folder, `${i}.nix.err`), "latin1")) };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The innermost message of what the oracle wrote about a failure. */
function lastError(stderr: string): string {
  const plain = stderr.replace(/\u001b\[[0-9;]*m/g, "");
  return plain
    .slice(plain.lastIndexOf("error: ") + 7)
    .split(/\n\s*(?:at |\d+\||$)/)[0]
    ?.trim() as string;
}

/** A Nix string literal of the bytes. */
export function nixString(bytes: string): string {
  return `"${bytes
    .replace(/["\\$]/g, (char) => `\\${char}`)
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")}"`;
}

/** Reads what `nix-instantiate --eval --strict` prints. */
class Printer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Printed {
    this.#space();
    const char = this.#text[this.#at];
    if (char === '"') return this.#string();
    if (char === "[") {
      this.#at++;
      const items: Printed[] = [];
      while (!this.#close("]")) items.push(this.read());
      return items;
    }
    if (char === "{") {
      this.#at++;
      const set: { [name: string]: Printed } = {};
      while (!this.#close("}")) {
        const name = this.#text[this.#at] === '"' ? this.#string() : this.#word();
        this.#close("=");
        set[name] = this.read();
        this.#close(";");
      }
      return set;
    }
    const word = this.#word();
    if (word === "null") return null;
    if (word === "true" || word === "false") return word === "true";
    return Number.isNaN(Number(word)) ? `<${word}>` : Number(word);
  }

  #space(): void {
    while (/\s/.test(this.#text.charAt(this.#at))) this.#at++;
  }

  #close(char: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #word(): string {
    const start = this.#at;
    while (/[^\s;=\]}]/.test(this.#text.charAt(this.#at))) this.#at++;
    if (start === this.#at) throw new Error(`unreadable oracle output at ${this.#text.slice(start, start + 40)}`);
    return this.#text.slice(start, this.#at);
  }

  #string(): string {
    let out = "";
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
      let char = this.#text[this.#at] as string;
      if (char === "\\") {
        char = this.#text[++this.#at] as string;
        char = { n: "\n", r: "\r", t: "\t" }[char] ?? char;
      }
      out += char;
    }
    this.#at++;
    return out;
  }
}
