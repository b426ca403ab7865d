// `tvix cache serve`: listens, says where, and stops on a signal without cutting downloads off.
import { readFile } from "node:fs/promises";
import { TvixError } from "../../../base/error.ts";
import { binaryCacheServer } from "../../../server/binary-cache.ts";
import { listen, type ListenAddress, parseListen } from "../../../server/listen.ts";
import { readTls } from "../../../server/tls.ts";
import { openStore } from "../../../store/open.ts";
import { readSecretKey } from "../../../store/sign.ts";
import { reportError } from "../../render/error.ts";

/** Flags of `tvix cache serve`. */
export interface ServeFlags {
  readonly listen?: readonly string[];
  readonly store?: string;
  readonly keyFile?: readonly string[];
  readonly tokenFile?: string;
  readonly readOnly?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly allowAnonymousWrites?: boolean;
  readonly priority: string;
  readonly compress?: boolean;
}

const DEFAULT_ADDRESS = "127.0.0.1:8080";
/** Milliseconds that downloads under way get when the server is told to stop. */
const GRACE = 10_000;

/** Serves until a signal comes; a second one ends the process at once. */
export async function run(flags: ServeFlags): Promise<void> {
  const addresses = (flags.listen ?? [DEFAULT_ADDRESS]).map(parseListen);
  const priority = Number(flags.priority);
  if (!Number.isInteger(priority)) throw new TvixError("ERR_CLI_USAGE", `${flags.priority} is no priority`);
  const keys = await Promise.all((flags.keyFile ?? []).map(readSecretKey));
  const tokens = flags.tokenFile === undefined ? [] : await readTokens(flags.tokenFile);
  const anonymousWrites = flags.allowAnonymousWrites === true || addresses.every(isPrivate);
  const writes = flags.readOnly === true ? {} : { tokens, anonymousWrites };
  const tls = readTls({ cert: flags.tlsCert, key: flags.tlsKey, clientCa: flags.tlsClientCa });
  const store = await openStore(flags.store, flags.readOnly === true ? { readOnly: true } : {});
  try {
    const onError = (error: unknown): void => reportError(error, false);
    const options = { priority, keys, compress: flags.compress === true, onError, ...writes };
    const listening = await listen(addresses, (kind) =>
      binaryCacheServer(store, kind === "unix" ? options : { ...options, tls }),
    );
    const access = flags.readOnly
      ? "read only"
      : tokens.length > 0
        ? "uploads with a token"
        : anonymousWrites
          ? "anybody may upload"
          : "no uploads";
    process.stderr.write(`serving ${store.address} on ${listening.addresses.join(", ")} (${access}); Ctrl-C stops\n`);
    await stopped();
    await listening.close(GRACE);
  } finally {
    await store.close();
  }
}

/** Whether only this machine's users can reach an address. */
function isPrivate(address: ListenAddress): boolean {
  if (address.kind === "unix") return true;
  return address.kind === "tcp" && /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address.host ?? "");
}

async function readTokens(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new TvixError("ERR_CLI_READ", `the token file ${file} cannot be read`, { cause });
  }
  const tokens = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (tokens.length === 0) throw new TvixError("ERR_CLI_USAGE", `the token file ${file} has no token`);
  return tokens;
}

function stopped(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const stop = (): void => {
      if (++signals > 1) process.exit(130);
      resolve();
    };
    process.on("SIGINT", stop).on("SIGTERM", stop);
  });
}
