// How the two sides of a daemon connection greet each other and agree on a version.

import { TvixError } from "../../base/error.ts";
import { STORE_DIR } from "../store-path.ts";
import { type WireReader, WireWriter } from "../wire.ts";
import type { Connection } from "./codec.ts";
import { finishReply, LAST } from "./log.ts";

const CLIENT_MAGIC = 0x6e697863;
const SERVER_MAGIC = 0x6478696f;
const MAJOR = 1;

/** The minor version we offer: that of Nix 2.20 to 2.24, which later ones fall back to. */
export const MINOR = 37;
/** The oldest we speak: that of Nix 2.4. */
export const MINOR_MIN = 32;

/** How far a server trusts a client. */
export type Trust = "unknown" | "trusted" | "not trusted";
const TRUST: readonly Trust[] = ["unknown", "trusted", "not trusted"];

/** Sends bytes to the other side. */
export type Send = (bytes: Uint8Array) => void | Promise<void>;

/** What a server says of itself. */
export interface ServerGreeting {
  /** The version text that clients show; it should name a Nix version for them to compare with. */
  readonly nixVersion: string;
  readonly trust?: Trust;
  /** Default `/nix/store`. */
  readonly storeDir?: string;
}

/**
 * The server's side: reads the client's greeting, answers it.
 *
 * @throws TvixError `ERR_DAEMON_MAGIC` when the client speaks something else, `ERR_DAEMON_VERSION` when it is too old
 */
export async function greetClient(reader: WireReader, send: Send, greeting: ServerGreeting): Promise<Connection> {
  await expectMagic(reader, CLIENT_MAGIC);
  const writer = new WireWriter();
  await send(writer.u64(SERVER_MAGIC).u64(versionWord(MINOR)).take());
  const minor = agreeOn(await reader.u64());
  if (await reader.bool()) await reader.u64OrInfinity(); // once a processor to stay on
  await reader.u64OrInfinity(); // once whether to reserve space
  if (minor >= 33) writer.string(greeting.nixVersion);
  if (minor >= 35) writer.u64(TRUST.indexOf(greeting.trust ?? "unknown"));
  await send(writer.u64(LAST).take());
  return { minor, storeDir: greeting.storeDir ?? STORE_DIR };
}

/** What a client learns of the server. */
export interface ServerInfo extends Connection {
  readonly nixVersion?: string;
  readonly trust: Trust;
}

/**
 * The client's side: greets the server and reads its answer.
 *
 * @throws TvixError `ERR_DAEMON_MAGIC`, `ERR_DAEMON_VERSION`, or what the server reports
 */
export async function greetServer(reader: WireReader, send: Send, storeDir: string = STORE_DIR): Promise<ServerInfo> {
  const writer = new WireWriter();
  await send(writer.u64(CLIENT_MAGIC).take());
  await expectMagic(reader, SERVER_MAGIC);
  const minor = agreeOn(await reader.u64());
  await send(writer.u64(versionWord(MINOR)).u64(0).u64(0).take());
  const nixVersion = minor >= 33 ? { nixVersion: await reader.string() } : {};
  const trust = minor >= 35 ? TRUST[await reader.u64()] : "unknown";
  await finishReply(reader);
  return { minor, storeDir, ...nixVersion, trust: trust ?? "unknown" };
}

function versionWord(minor: number): number {
  return MAJOR * 256 + minor;
}

function agreeOn(word: number): number {
  const major = Math.floor(word / 256);
  const minor = word % 256;
  if (major !== MAJOR || minor < MINOR_MIN) {
    throw new TvixError(
      "ERR_DAEMON_VERSION",
      `the other side speaks version ${major}.${minor} of the daemon protocol`,
      {
        notes: [`understood are ${MAJOR}.${MINOR_MIN} (Nix 2.4) and later`],
      },
    );
  }
  return Math.min(minor, MINOR);
}

async function expectMagic(reader: WireReader, magic: number): Promise<void> {
  const found = await reader.u64OrInfinity();
  if (found !== magic) {
    throw new TvixError("ERR_DAEMON_MAGIC", "the other side does not speak the Nix daemon's protocol");
  }
}
