// `tvix hash`: hashes of trees and files, and conversion between the forms hashes are written in.
import { createReadStream } from "node:fs";
import { Command, Option } from "commander";
import { TvixError } from "../../base/error.ts";
import { type DigestAlgo, startDigest } from "../../formats/digest.ts";
import { formatHash, type HashAlgo, type HashFormat, type NixHash, nixHash, parseHash } from "../../formats/hash.ts";
import { blake3File } from "../../native/blake3.ts";
import { narHash } from "../../native/nar.ts";
import { digestHostNar } from "../host-nar.ts";
import { print } from "../output.ts";

interface HashOptions {
  readonly type: HashAlgo;
  readonly format: HashFormat;
  readonly flat?: boolean;
  readonly convert?: boolean;
  readonly json?: boolean;
}

/** The command with its flags. */
export function build(): Command {
  return new Command("hash")
    .description("print the hash of each path's NAR (of each file's contents with --flat), or convert hashes")
    .argument("<path...>", "files or directories; hashes with --convert")
    .addOption(
      new Option("--type <algo>", "hash algorithm")
        .choices(["md5", "sha1", "sha256", "sha512", "blake3"])
        .default("sha256"),
    )
    .addOption(
      new Option("--format <format>", "how to write it").choices(["sri", "nix32", "base16", "base64"]).default("sri"),
    )
    .option("--flat", "hash the contents of a regular file instead of its NAR")
    .option("--convert", "the arguments are hashes: write them in --format; --type names the algorithm of bare ones")
    .option("--json", "one JSON object per argument")
    .addHelpText(
      "after",
      `
Examples:
  $ tvix hash ./src                                  as \`nix hash path ./src\`
  $ tvix hash --flat --format base16 release.tar.gz  as sha256sum
  $ tvix hash --convert --format nix32 sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=`,
    )
    .action(run);
}

async function run(args: readonly string[], options: HashOptions): Promise<void> {
  for (const arg of args) {
    const hash = options.convert ? convert(arg, options.type) : await hashPath(arg, options);
    const text = formatHash(hash, options.format);
    await print(options.json ? `${JSON.stringify({ argument: arg, hash: text })}\n` : `${text}\n`);
  }
}

/** A bare digest needs the algorithm; one that names its own does not. */
function convert(text: string, algo: HashAlgo): NixHash {
  return /[:-]/.test(text) ? parseHash(text) : parseHash(text, algo);
}

async function hashPath(path: string, options: HashOptions): Promise<NixHash> {
  const { type, flat } = options;
  if (!flat) return nixHash(type, type === "sha256" ? (await narHash(path)).digest : await digestHostNar(path, type));
  if (type === "blake3") return nixHash(type, (await blake3File(path)).digest);
  return nixHash(type, await digestFile(path, type));
}

async function digestFile(path: string, algo: DigestAlgo): Promise<Uint8Array> {
  const digester = startDigest(algo);
  try {
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) digester.update(piece as Uint8Array);
  } catch (error) {
    throw new TvixError("ERR_CLI_READ", `cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  return digester.finish();
}
