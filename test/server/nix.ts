// Stock Nix clients for the tests of servers: the one that is installed, and another that `TVIX_NIX_NEW` names.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Nix remembers what a cache has by its URL, from run to run, and ports are given out again. */
const memory = mkdtempSync(join(tmpdir(), "tvix-nix-cache-"));
process.on("exit", () => rmSync(memory, { recursive: true, force: true }));

/** A client: runs a command of Nix and gives what it prints. */
export interface NixClient {
  readonly name: string;
  (command: string, ...args: string[]): Promise<string>;
}

/** What comes before a command of another Nix, such as a script that enters a chroot. The temporary directory is seen there. */
const other = process.env["TVIX_NIX_NEW"]?.split(" ");

function client(prefix: readonly string[]): NixClient | undefined {
  const own = { NIX_REMOTE: "", NIX_CONFIG: "substituters =\nbuild-users-group =\n", XDG_CACHE_HOME: memory };
  const words = (command: string, args: readonly string[]) => {
    const flags = command === "nix" ? ["--extra-experimental-features", "nix-command"] : [];
    const [first = command, ...rest] = [...prefix, command, ...flags, ...args];
    return [first, rest] as const;
  };
  try {
    const version = execFileSync(...words("nix-store", ["--version"]), { encoding: "utf8", stdio: "pipe" });
    const call = async (command: string, ...args: string[]): Promise<string> => {
      const { stdout } = await run(...words(command, args), { env: { ...process.env, ...own }, maxBuffer: 1 << 28 });
      return stdout;
    };
    return Object.defineProperty(call, "name", { value: version.trim().split("\n")[0] ?? "" });
  } catch {
    return undefined;
  }
}

/** The clients there are; tests without any say so. */
export const clients: readonly NixClient[] = [client([]), other && client(other)].filter((one) => one !== undefined);
