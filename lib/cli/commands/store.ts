// `tvix store`: the subcommands and their flags; each does its work in a file of store/.
import { Command } from "commander";
import type { ImportFlags } from "./store/import.ts";
import type { ListFlags } from "./store/ls.ts";
import type { StoreOptions } from "./store/session.ts";

/** The command with its subcommands. */
export function build(): Command {
  const store = new Command("store")
    .description("import paths into a store, and list, read, check and copy what it holds")
    .addHelpText(
      "after",
      `
The store is --store ADDRESS, else $TVIX_STORE, else a directory under your data home. Paths inside it are written
/nix/store/HASH-NAME/a/b, also without the leading /nix/store.

Examples:
  $ tvix store import ./src ./data
  $ tvix store ls -R /nix/store/…-src
  $ tvix store cat /nix/store/…-src/README.md
  $ tvix store nar /nix/store/…-src > src.nar
  $ tvix store info --json /nix/store/…-src`,
    );
  addReading(store);
  for (const command of store.commands) command.option("--store <address>", "which store");
  return store;
}

function addReading(store: Command): void {
  store
    .command("import")
    .description("import files and directories; prints one store path a line")
    .argument("<path...>", "what to import; symlinks are imported, not followed")
    .option("--name <name>", "name of the store path (default: the path's last component)")
    .option("--flat", "a single file, addressed by its contents instead of its NAR")
    .option("--algo <algo>", "hash of the content address: sha256, sha1, sha512, md5", "sha256")
    .option("--json", "one JSON object per path")
    .action(async (paths: string[], flags: ImportFlags) => (await import("./store/import.ts")).run(paths, flags));
  store
    .command("ls")
    .description("list what is at a path in the store")
    .argument("<path>")
    .option("-R, --recursive", "and everything below")
    .option("-l, --long", "with type and size")
    .option("--json", "as JSON, in the form of `nix store ls --json`")
    .action(async (path: string, flags: ListFlags) => (await import("./store/ls.ts")).run(path, flags));
  store
    .command("cat")
    .description("write the contents of a file in the store to standard output")
    .argument("<path>")
    .action(async (path: string, flags: StoreOptions) => (await import("./store/read.ts")).cat(path, flags));
  store
    .command("nar")
    .description("write the NAR of what is at a path in the store to standard output")
    .argument("<path>")
    .action(async (path: string, flags: StoreOptions) => (await import("./store/read.ts")).nar(path, flags));
  store
    .command("export-tree")
    .description("write what is at a path in the store to the file system; the target must not exist")
    .argument("<path>")
    .argument("<target>")
    .action(async (path: string, target: string, flags: StoreOptions) =>
      (await import("./store/read.ts")).exportTree(path, target, flags),
    );
  store
    .command("info")
    .description("what the store knows about a path")
    .argument("<path...>")
    .option("--json", "one JSON object per path")
    .action(async (paths: string[], flags: StoreOptions) => (await import("./store/info.ts")).run(paths, flags));
}
