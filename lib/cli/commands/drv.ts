// `tvix drv`: derivations for people and programs.
import { Command } from "commander";
import { formatDerivations, type NamedDerivation } from "../../derivation/json.ts";
import { print } from "../output.ts";
import { withDerivations } from "./drv/read.ts";
import type { StoreOptions } from "./store/session.ts";

/** The command with its subcommands. */
export function build(): Command {
  const drv = new Command("drv").description("show and compare derivations").addHelpText(
    "after",
    `
Examples:
  $ tvix drv show /nix/store/…-hello-2.12.drv
  $ tvix drv show ./local-copy-of-…-hello.drv
  $ tvix drv diff /nix/store/…-hello-2.11.drv /nix/store/…-hello-2.12.drv`,
  );
  drv
    .command("show")
    .description("print derivations as JSON, in the form of `nix derivation show`")
    .argument("<path...>", ".drv files: store paths, or files of the host")
    .option("--store <address>", "which store")
    .action(show);
  drv
    .command("diff")
    .description(
      "tell why two derivations differ, down to the first inputs that do; exits with 1 when they do, with 2 on trouble",
    )
    .argument("<before>", "a .drv file: a store path, or a file of the host")
    .argument("<after>", "the other")
    .option("--store <address>", "which store")
    .option("--json", "print JSON, one line per pair of derivations")
    .action(async (before: string, after: string, flags: StoreOptions) =>
      (await import("./drv/diff.ts")).run(before, after, flags),
    );
  return drv;
}

async function show(paths: readonly string[], flags: StoreOptions): Promise<void> {
  await withDerivations(flags, async (read) => {
    const shown: NamedDerivation[] = [];
    for (const path of paths) shown.push(await read(path));
    const json = formatDerivations(shown);
    await print(process.stdout.isTTY ? `${JSON.stringify(JSON.parse(json), undefined, 2)}\n` : `${json}\n`);
  });
}
