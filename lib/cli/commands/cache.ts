// `tvix cache`: a store as a binary cache for Nix.
import { Command } from "commander";
import type { ServeFlags } from "./cache/serve.ts";

/** The command with its subcommands. */
export function build(): Command {
  const cache = new Command("cache").description("serve a store to Nix as a binary cache").addHelpText(
    "after",
    `
Examples:
  $ tvix cache serve
  $ tvix cache serve --listen :8080 --key-file ./secret-key --token-file ./token
  $ nix copy --to 'http://127.0.0.1:8080?compression=none' /nix/store/…-hello
  $ nix copy --from http://127.0.0.1:8080 /nix/store/…-hello`,
  );
  cache
    .command("serve")
    .description("serve a store over HTTP until it is stopped; runs in the foreground")
    .option("--listen <address>", "HOST:PORT, /path of a unix socket, or systemd; may be repeated", repeated)
    .option("--store <address>", "which store")
    .option("--key-file <file>", "sign every path with this secret key; may be repeated", repeated)
    .option("--token-file <file>", "tokens that allow uploads, one a line")
    .option("--tls-cert <file>", "speak HTTPS, but on unix sockets: the certificate, in PEM")
    .option("--tls-key <file>", "its key")
    .option("--tls-client-ca <file>", "let in only clients with a certificate of this authority")
    .option("--read-only", "no uploads")
    .option("--allow-anonymous-writes", "uploads without a token, also from other machines")
    .option("--priority <number>", "what clients with several caches go by; lower is asked first", "40")
    .option("--compress", "compress answers for clients that take it: for slow links")
    .action(async (flags: ServeFlags) => (await import("./cache/serve.ts")).run(flags));
  return cache;
}

function repeated(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
