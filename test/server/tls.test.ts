// TLS on both kinds of server, with an authority made for the test: who knows it gets in, others get a clear error.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../lib/castore/digest.ts";
import { readBlob } from "../../lib/castore/blob/range.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { binaryCacheServer } from "../../lib/server/binary-cache.ts";
import { serveGrpc } from "../../lib/server/grpc.ts";
import { listen, type Listening, parseListen } from "../../lib/server/listen.ts";
import { readTls, type TlsFiles } from "../../lib/server/tls.ts";
import { importBytes } from "../../lib/store/import.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { clients } from "./nix.ts";

const scratch = mkdtempSync(join(tmpdir(), "tvix-tls-"));
const file = (name: string): string => join(scratch, name);
const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "pipe", cwd: scratch });

/** A certificate of the authority `ca`, which is made when it is not there. */
function certify(ca: string, name: string): void {
  const subject = (text: string): string[] => ["-subj", `/CN=${text}`];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl("req", "-x509", ...key, ...subject(ca), "-keyout", `${ca}.key`, "-out", `${ca}.pem`);
  writeFileSync(file("extensions"), "subjectAltName = DNS:localhost, IP:127.0.0.1\n");
  openssl("req", "-new", ...key.slice(0, 5), ...subject(name), "-keyout", `${name}.key`, "-out", `${name}.csr`);
  const by = ["-CA", `${ca}.pem`, "-CAkey", `${ca}.key`, "-CAcreateserial", "-days", "2", "-extfile", "extensions"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-out", `${name}.pem`);
}

let store: Store;
let path: PathInfo;
const contents = encodeUtf8("what is kept");
const open: { close(grace: number): Promise<void> }[] = [];
beforeAll(async () => {
  certify("authority", "server");
  certify("clients", "client");
  certify("stranger", "foreign");
  store = await openStore("memory:");
  await store.blobs.put([contents]);
  path = await importBytes(store, "file", encodeUtf8("a file"));
});
afterAll(async () => {
  for (const one of open) await one.close(0);
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
});

afterEach(() => {
  vi.unstubAllEnvs();
});

const server: TlsFiles = { cert: file("server.pem"), key: file("server.key") };
const fails = (code: string, message: RegExp): object =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

async function served(listening: Promise<Listening>): Promise<string> {
  const one = await listening;
  open.push(one);
  return one.addresses[0] as string;
}

/** Reads a blob of the store at an address, then lets go of it. */
async function read(address: string): Promise<Uint8Array> {
  const remote = await openStore(address);
  try {
    return await readBlob(remote.blobs, digestOf(contents));
  } finally {
    await remote.close();
  }
}

describe("a gRPC server", () => {
  const serve = (files: TlsFiles) => served(serveGrpc(store, [parseListen("127.0.0.1:0")], { tls: readTls(files) }));

  test("is believed with its authority, and with no other", async () => {
    const at = `grpc+https://${await serve(server)}`;
    expect(await read(`${at}?tls_ca_cert_path=${file("authority.pem")}`)).toEqual(contents);
    await expect(read(at)).rejects.toEqual(fails("ERR_REMOTE_TLS", /certificate/));
    const other = `${at}?tls_ca_cert_path=${file("stranger.pem")}`;
    await expect(read(other)).rejects.toEqual(fails("ERR_REMOTE_TLS", /certificate/));
    await expect(openStore(`${other}&wait-connect=1`)).rejects.toThrow();
  });

  test("lets in who has a certificate, where it asks for one", async () => {
    const at = `grpc+https://${await serve({ ...server, clientCa: file("clients.pem") })}?tls_ca_cert_path=${file("authority.pem")}`;
    const as = (name: string): string =>
      `${at}&tls_client_cert_path=${file(`${name}.pem`)}&tls_client_key_path=${file(`${name}.key`)}`;
    expect(await read(as("client"))).toEqual(contents);
    await expect(read(as("foreign"))).rejects.toThrow(/ERR_|certificate|server/);
    await expect(read(at)).rejects.toThrow(/ERR_|certificate|server/);
  });

  test("speaks plainly on a unix socket", async () => {
    const socket = file("socket");
    await served(serveGrpc(store, [parseListen(socket)], { tls: readTls(server) }));
    expect(await read(`grpc+unix://${socket}`)).toEqual(contents);
  });
});

describe("a binary cache", () => {
  const serve = () =>
    served(listen([parseListen("127.0.0.1:0")], () => binaryCacheServer(store, { tls: readTls(server) })));
  const info = async (address: string): Promise<PathInfo> => {
    const remote = await openStore(address);
    try {
      return await remote.info(path.path);
    } finally {
      await remote.close();
    }
  };

  test("is believed with its authority, and with no other", async () => {
    const at = `nix+https://${await serve()}?trusted=1`;
    expect(await info(`${at}&tls_ca_cert_path=${file("authority.pem")}`)).toMatchObject({ narSize: path.narSize });
    await expect(info(at)).rejects.toEqual(fails("ERR_HTTP_NETWORK", /certificate/));
    await expect(info(`${at}&tls_ca_cert_path=${file("stranger.pem")}`)).rejects.toEqual(
      fails("ERR_HTTP_NETWORK", /certificate/),
    );
    await expect(openStore(`${at}&tls_ca_cert_path=${file("none")}`)).rejects.toEqual(
      fails("ERR_STORE_ADDRESS", /no such file/),
    );
  });

  test.each(clients.map((client) => [client.name, client] as const))("%s takes it", async (_, nix) => {
    const url = `https://${await serve()}`;
    const once = ["--option", "download-attempts", "1"];
    const ask = () => nix("nix", "path-info", "--refresh", "--store", url, ...once, `/nix/store/${path.path.basename}`);
    await expect(ask()).rejects.toThrow(/certificate/);
    vi.stubEnv("NIX_SSL_CERT_FILE", file("authority.pem"));
    expect(await ask()).toContain("-file");
  });
});

describe("files for TLS", () => {
  test.each<[string, TlsFiles, RegExp]>([
    ["a certificate alone", { cert: file("server.pem") }, /--tls-key/],
    ["a file that is not there", { ...server, key: file("none") }, /none cannot be read/],
    ["a key of another", { ...server, key: file("client.key") }, /no certificate with its key/],
    ["what is no certificate", { ...server, cert: file("server.key") }, /no certificate with its key/],
  ])("%s is an error", (_, files, message) => {
    expect(() => readTls(files)).toThrow(expect.objectContaining({ code: "ERR_LISTEN_TLS" }));
    expect(() => readTls(files)).toThrow(message);
  });
});
