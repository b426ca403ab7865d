// TLS for servers: who they are, and whom they let in.
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { TvixError } from "../base/error.ts";

/** What a server shows and asks for, in PEM. */
export interface ServerTls {
  /** Its certificate, with those between it and the authority. */
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /** Only clients with a certificate of one of these authorities are let in. */
  readonly clientCa?: Uint8Array;
}

/** The files of {@link ServerTls}. */
export interface TlsFiles {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly clientCa?: string | undefined;
}

/** Reads the files; `undefined` when none is named. @throws TvixError `ERR_LISTEN_TLS` saying which does not do */
export function readTls({ cert, key, clientCa }: TlsFiles): ServerTls | undefined {
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new TvixError("ERR_LISTEN_TLS", "TLS takes a certificate and its key: --tls-cert and --tls-key");
  }
  const tls = { cert: readPem(cert), key: readPem(key), ...(clientCa && { clientCa: readPem(clientCa) }) };
  try {
    createSecureContext(tlsOptions(tls));
  } catch (cause) {
    const why = (cause as Error).message;
    throw new TvixError("ERR_LISTEN_TLS", `${cert} and ${key} are no certificate with its key: ${why}`, { cause });
  }
  return tls;
}

/** The same as Node takes it. */
export function tlsOptions({ cert, key, clientCa }: ServerTls): {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
  requestCert?: true;
} {
  const asked = clientCa && ({ ca: Buffer.from(clientCa), requestCert: true } as const);
  return { cert: Buffer.from(cert), key: Buffer.from(key), ...asked };
}

function readPem(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new TvixError("ERR_LISTEN_TLS", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
