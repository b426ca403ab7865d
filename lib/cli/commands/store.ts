// `tvix store`: the subcommands and their flags; each does its work in a file of store/.
import { Command } from "commander";
import type { CopyFlags } from "./store/copy.ts";
import type { GarbageFlags } from "./store/gc.ts";
import type { ImportFlags } from "./store/import.ts";
import type { ListFlags } from "./store/ls.ts";
import type { ExportFlags } from "./store/read.ts";
import type { StoreOptions } from "./store/session.ts";
import type { SignFlags } from "./store/sign.ts";
import type { VerifyFlags } from "./store/verify.ts";

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
  addImporting(store);
  addReading(store);
  addMoving(store);
  addKeeping(store);
  for (const command of store.commands) {
    if (command.commands.length === 0) command.option("--store <address>", "which store");
  }
  return store;
}

/** For flags that may be given several times. */
function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function addImporting(store: Command): void {
  store
    .command("import")
    .description("import files and directories; prints one store path a line")
    .argument("[path...]", "what to import; symlinks are imported, not followed")
    .option("--name <name>", "name of the store path (default: the path's last component)")
    .option("--flat", "a single file, addressed by its contents instead of its NAR")
    .option("--algo <algo>", "hash of the content address: sha256, sha1, sha512, md5", "sha256")
    .option("--root <name>", "make a root of this name, so that garbage collection keeps the path")
    .option("--candidate <path>", "a store path to look for in the contents: found, it becomes a reference", repeated)
    .option("--from-closure <graph>", "import the paths of an exportReferencesGraph (a JSON file)")
    .option("--from-stream <file>", "import what `nix-store --export` wrote (- for standard input)")
    .option("--prefix <dir>", "with --from-closure: where the store directory is on this machine")
    .option("--json", "one JSON object per path")
    .action(async (paths: string[], flags: ImportFlags) => (await import("./store/import.ts")).run(paths, flags));
}

function addReading(store: Command): void {
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
    .description("what the store knows about a path; about itself without one")
    .argument("[path...]")
    .option("--json", "one JSON object per path")
    .action(async (paths: string[], flags: StoreOptions) => (await import("./store/info.ts")).run(paths, flags));
}

function addMoving(store: Command): void {
  store
    .command("copy")
    .description("copy paths and all they refer to from one store to another; what is there already is not sent")
    .argument("<from>", "address of a store")
    .argument("<to>", "address of a store")
    .argument("[path...]", "default: all paths")
    .option("--no-closure", "only these paths; what they refer to must be there")
    .option(
      "--trusted-key <key>",
      "accept only paths signed by this public key (name:base64), or another so named",
      repeated,
    )
    .option("--json", "the summary as JSON")
    .action(async (from: string, to: string, paths: string[], flags: CopyFlags) =>
      (await import("./store/copy.ts")).run(from, to, paths, flags),
    );
  store
    .command("export")
    .description("write paths to standard output in the form of `nix-store --export`")
    .argument("<path...>")
    .option("--closure", "and all they refer to")
    .action(async (paths: string[], flags: ExportFlags) =>
      (await import("./store/read.ts")).exportStream(paths, flags),
    );
  store
    .command("diff")
    .description("the differences between two places in the store; exits with 1 when there are some, with 2 on trouble")
    .argument("<before>")
    .argument("<after>")
    .option("--json", "one JSON object per difference")
    .action(async (before: string, after: string, flags: StoreOptions) =>
      (await import("./store/diff.ts")).run(before, after, flags),
    );
  store
    .command("sign")
    .description("sign paths with a secret key file of `nix-store --generate-binary-cache-key`")
    .argument("<path...>")
    .requiredOption("--key-file <file>", "the secret key")
    .action(async (paths: string[], flags: SignFlags) => (await import("./store/sign.ts")).run(paths, flags));
}

function addKeeping(store: Command): void {
  store
    .command("gc")
    .description("remove what no root reaches and give the space back")
    .option("--dry-run", "only say what would be removed")
    .option("--max-freed <bytes>", "stop once this much is removed (1G, 500M, …)")
    .option("--keep-derivations", "keep the derivations that made live paths")
    .option("--json", "the summary as JSON")
    .action(async (flags: GarbageFlags) => (await import("./store/gc.ts")).run(flags));
  store
    .command("doctor")
    .description("check that a store, or every store of a composition, can be reached, read and written")
    .option("--json", "one JSON object per check")
    .action(async (flags: StoreOptions) => (await import("./store/doctor.ts")).run(flags));
  const roots = store.command("roots").description("names that keep paths from collection");
  roots
    .command("add")
    .description("make or replace a root")
    .argument("<name>")
    .argument("<path>")
    .option("--store <address>", "which store")
    .action(async (name: string, path: string, flags: StoreOptions) =>
      (await import("./store/roots.ts")).add(name, path, flags),
    );
  roots
    .command("list")
    .description("all roots")
    .option("--store <address>", "which store")
    .option("--json", "one JSON object per root")
    .action(async (flags: StoreOptions) => (await import("./store/roots.ts")).list(flags));
  roots
    .command("remove")
    .description("remove roots; what they kept stays until the next collection")
    .argument("<name...>")
    .option("--store <address>", "which store")
    .action(async (names: string[], flags: StoreOptions) => (await import("./store/roots.ts")).remove(names, flags));
  store
    .command("verify")
    .description("read everything and check it against its digests; exits with 1 when damage remains")
    .option("--repair", "mend what can be mended")
    .option("--from <address>", "with --repair: a store to fetch damaged objects from")
    .option("--no-nars", "skip hashing the NAR of every path")
    .option("--json", "the summary as JSON")
    .action(async (flags: VerifyFlags) => (await import("./store/verify.ts")).run(flags));
}
