// `tvix nar`: archives without a store.
import { createReadStream, openSync } from "node:fs";
import { Command } from "commander";
import { TvixError } from "../../base/error.ts";
import { displayBytes } from "../../base/text.ts";
import { formatListing, NarLister, type NarListing } from "../../formats/nar/listing.ts";
import { readNar } from "../../formats/nar/reader.ts";
import type { NarEvent } from "../../formats/nar/wire.ts";
import { narPack, narUnpack } from "../../native/nar.ts";
import { print, refuseTerminal, STDIN, STDOUT } from "../output.ts";
import { renderEntry } from "../render/entry.ts";

/** The command with its subcommands. */
export function build(): Command {
  const nar = new Command("nar").description("pack, unpack and list NAR archives").addHelpText(
    "after",
    `
Examples:
  $ tvix nar pack ./src > src.nar
  $ tvix nar unpack copy < src.nar
  $ tvix nar ls src.nar`,
  );
  nar
    .command("pack")
    .description("write the NAR of a path to standard output")
    .argument("<path>", "a file, directory or symlink")
    .action(pack);
  nar
    .command("unpack")
    .description("unpack a NAR to a path that does not exist yet; a bad archive leaves nothing behind")
    .argument("<target>", "where the tree shall be")
    .argument("[archive]", "the NAR; standard input by default")
    .action(unpack);
  nar
    .command("ls")
    .description("list what a NAR holds")
    .argument("[archive]", "the NAR; standard input by default")
    .option("--json", "as the JSON of a binary cache's .ls file")
    .option("-l, --long", "with type and size")
    .action(list);
  return nar;
}

async function pack(path: string): Promise<void> {
  refuseTerminal();
  await narPack(path, STDOUT);
}

async function unpack(target: string, archive?: string): Promise<void> {
  await narUnpack(archive === undefined ? STDIN : openForReading(archive), target);
}

function openForReading(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw new TvixError("ERR_CLI_READ", `cannot open ${path}: ${(error as Error).message}`, { cause: error });
  }
}

interface ListOptions {
  readonly json?: boolean;
  readonly long?: boolean;
}

async function list(archive: string | undefined, options: ListOptions): Promise<void> {
  const source = createReadStream("", {
    fd: archive === undefined ? STDIN : openForReading(archive),
    highWaterMark: 1 << 20,
  });
  const lister = new NarLister();
  const path: string[] = [];
  for await (const event of readNar(source)) {
    if (options.json) lister.add(event);
    else await printEvent(event, path, options.long === true);
  }
  if (options.json) await print(`${formatListing(lister.root as NarListing)}\n`);
}

/** One line per entry, as it arrives; `path` holds the names of the directories that are open. */
async function printEvent(event: NarEvent, path: string[], long: boolean): Promise<void> {
  if (event.type === "contents") return;
  if (event.type === "end") {
    path.pop();
    return;
  }
  const name = event.name === undefined ? "." : displayBytes(event.name);
  const full = [...path, name].join("/");
  if (event.type === "directory") path.push(name);
  await print(`${renderEntry(event, full, long)}\n`);
}
