// `tvix daemon`: serves a store to other machines over gRPC.
import { Command, InvalidArgumentError } from "commander";
import type { DaemonFlags } from "./daemon/run.ts";

/** The command with its flags. */
export function build(): Command {
  return new Command("daemon")
    .description("serve a store over gRPC: blobs, directories and path infos, as tvix.*.v1 and snix.*.v1")
    .option("--listen <address...>", "where: HOST:PORT, :PORT, /path/of/socket, systemd or systemd:NAME", [
      "[::1]:8000",
    ])
    .option("--store <address>", "which store (default: $TVIX_STORE, else the user's)")
    .option("--worker-socket <path>", "also serve the Nix daemon's protocol here: NIX_REMOTE=unix:///path")
    .option("--read-only", "refuse all that would change the store")
    .option("--tls-cert <file>", "speak TLS, but on unix sockets: the certificate, in PEM")
    .option("--tls-key <file>", "its key")
    .option("--tls-client-ca <file>", "let in only clients with a certificate of this authority")
    .option("--max-calls <count>", "calls under way at once; others wait", count, 256)
    .option("--max-message <bytes>", "longest message taken from a client", count, 32 << 20)
    .option("--grace <seconds>", "how long calls may go on once the daemon is told to stop", count, 30)
    .option("--log-level <level>", "debug (every call), info, warn, error or silent", "info")
    .addHelpText(
      "after",
      `
Clients name the daemon as their store: grpc+http://host:port, grpc+unix:///path, or grpc+http://a:8000,b:8000 for
several daemons of one store. SIGTERM lets calls end and says goodbye to clients; a second one ends at once. The daemon
keeps nothing of its own: over an s3:// store, any number of them may serve it.

Whoever can connect can write, unless --read-only: give sockets to those who may, or certificates (--tls-client-ca), or
put a proxy in front.

Examples:
  $ tvix daemon                                         the user's store, on [::1]:8000
  $ tvix daemon --listen /run/tvix.sock :8000 --store /var/lib/tvix
  $ tvix daemon --worker-socket /run/tvix-nix.sock      with nix --store unix:///run/tvix-nix.sock …
  $ tvix daemon --listen systemd --store 's3://bucket/prefix?endpoint=http://gateway:7480'
  $ tvix daemon --listen :8000 --tls-cert cert.pem --tls-key key.pem
  $ tvix store copy /var/lib/tvix grpc+http://[::1]:8000
  $ grpcurl -plaintext [::1]:8000 list
  $ NODE_OPTIONS='--import ./otel.mjs' tvix daemon     with spans for the OpenTelemetry SDK set up in otel.mjs`,
    )
    .action(async (flags: DaemonFlags) => (await import("./daemon/run.ts")).run(flags));
}

function count(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError("a whole number is wanted");
  return Number(text);
}
