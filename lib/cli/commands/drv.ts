// `tvix drv`: derivations for people and programs.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { Command } from "commander";
import { TvixError } from "../../base/error.ts";
import { formatDerivations, type NamedDerivation } from "../../derivation/json.ts";
import { parseDerivation } from "../../derivation/parse.ts";
import { StorePath } from "../../formats/store-path.ts";
import { print } from "../output.ts";
import { type StoreOptions, withStore } from "./store/session.ts";

/** The command with its subcommands. */
export function build(): Command {
  const drv = new Command("drv").description("show derivations").addHelpText(
    "after",
    `
Examples:
  $ tvix drv show /nix/store/…-hello-2.12.drv
  $ tvix drv show ./local-copy-of-…-hello.drv`,
  );
  drv
    .command("show")
    .description("print derivations as JSON, in the form of `nix derivation show`")
    .argument("<path...>", ".drv files: store paths, or files of the host")
    .option("--store <address>", "which store")
    .action(show);
  return drv;
}

async function show(paths: readonly string[], flags: StoreOptions): Promise<void> {
  const shown: NamedDerivation[] = [];
  for (const path of paths) shown.push(await read(path, flags));
  const json = formatDerivations(shown);
  await print(process.stdout.isTTY ? `${JSON.stringify(JSON.parse(json), undefined, 2)}\n` : `${json}\n`);
}

/** A file of the host where there is one, else a path of the store. */
async function read(path: string, flags: StoreOptions): Promise<NamedDerivation> {
  const storePath = StorePath.parse(basename(path));
  if (!storePath.name.endsWith(".drv")) {
    throw new TvixError("ERR_CLI_USAGE", `${path} is not a derivation: its name does not end in .drv`);
  }
  const contents = readHostFile(path) ?? (await withStore(flags, "read", (store) => store.readFile(path)));
  return { path: storePath, derivation: parseDerivation(contents, storePath.name.slice(0, -".drv".length)) };
}

function readHostFile(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new TvixError("ERR_CLI_READ", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}
