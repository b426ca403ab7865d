// Row: a second version of a tree pushed to a bucket of Ceph's gateway, against what `nix copy` sends for it.
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../lib/base/error.ts";
import { openStore } from "../lib/store/open.ts";
import type { BenchRow } from "./row.ts";

/** Text and programs as they are on a machine: what xz is good at. */
const SOURCES = ["/usr/share/perl", "/usr/share/i18n"].filter((path) => statSync(path, { throwIfNoEntry: false }));
const gatewayScript = join(import.meta.dirname, "../test/servers/radosgw");
const BUCKET = "tvix-bench";

let scratch = "";
let count = 0;
let gateway = 0;
let counter: Counter | undefined;

/** Passes connections on to a port, counting what goes there. */
class Counter {
  sent = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
      }
      near.on("data", (piece) => {
        this.sent += piece.length;
      });
      near.pipe(far).pipe(near);
    });
  }

  /** The port it listens on. */
  async open(): Promise<number> {
    await new Promise<void>((done) => {
      this.#server.listen(0, "127.0.0.1", done);
    });
    return (this.#server.address() as { port: number }).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

async function prepare(): Promise<void> {
  process.env["AWS_ACCESS_KEY_ID"] = "AK";
  process.env["AWS_SECRET_ACCESS_KEY"] = "SK";
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-s3-"));
  const port = 20_000 + (process.pid % 20_000);
  const started = spawnSync(gatewayScript, ["start", join(scratch, "gateway"), String(port)], { encoding: "utf8" });
  if (started.status !== 0) {
    spawnSync(gatewayScript, ["stop", join(scratch, "gateway")]);
    rmSync(scratch, { recursive: true, force: true });
    throw new TvixError("ERR_BENCH_USAGE", `the gateway does not start: ${started.stderr.trim()}`);
  }
  gateway = port;
  const { CreateBucketCommand, S3Client } = await import("@aws-sdk/client-s3");
  const client = new S3Client({ endpoint: `http://127.0.0.1:${port}`, region: "us-east-1", forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  client.destroy();
  const first = join(scratch, "first");
  mkdirSync(first);
  for (const [i, source] of SOURCES.entries()) cpSync(source, join(first, String(i)), { recursive: true });
  // Links out of the tree and what nobody may read are no part of the work.
  cpSync(first, join(scratch, "second"), { recursive: true });
  change(join(scratch, "second"));
}

/** Changes one file in a hundred, bytes counted: each is replaced from its middle on by as much of something else. */
function change(tree: string): void {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const total = files.reduce((sum, file) => sum + statSync(file).size, 0);
  let left = total / 100;
  for (let i = 0; left > 0; i = (i + 97) % files.length) {
    const file = files[i] as string;
    const bytes = readFileSync(file);
    const changed = Math.min(bytes.length, Math.ceil(left));
    randomBytes(changed).copy(bytes, bytes.length - changed);
    writeFileSync(file, bytes);
    left -= changed;
  }
}

/** Pushes both versions to a fresh prefix; bytes that went to the gateway for the second. */
async function ours(): Promise<number> {
  counter = new Counter(gateway);
  const port = await counter.open();
  const address = `s3://${BUCKET}/run-${count++}?endpoint=http://127.0.0.1:${port}`;
  let before = 0;
  for (const version of ["first", "second"]) {
    before = counter.sent;
    // As another run on another day would: nothing is remembered between the two.
    const store = await openStore(address);
    await store.importPath(join(scratch, version), { name: "tree" });
    await store.close();
  }
  const sent = counter.sent - before;
  counter.close();
  return sent / 1e9;
}

let theirs: number | undefined;

/** Bytes that `nix copy` writes for the second version with xz; the same every time, and slow, so once. */
function peers(): number {
  theirs ??= nixCopy();
  return theirs;
}

function nixCopy(): number {
  const cache = join(scratch, "cache");
  const nix = (...args: string[]): string =>
    execFileSync("nix", ["--extra-experimental-features", "nix-command", ...args], {
      encoding: "utf8",
      env: { ...process.env, NIX_REMOTE: "" },
    }).trim();
  const size = (): number =>
    readdirSync(cache, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  let before = 0;
  for (const version of ["first", "second"]) {
    mkdirSync(cache, { recursive: true });
    before = size();
    const local = join(scratch, "nix");
    const path = nix("store", "add-path", "--store", local, "--name", `tree-${version}`, join(scratch, version));
    nix("copy", "--from", local, "--to", `file://${cache}?compression=xz&parallel-compression=true`, path);
  }
  return (size() - before) / 1e9;
}

function cleanup(): void {
  counter?.close();
  spawnSync(gatewayScript, ["stop", join(scratch, "gateway")]);
  rmSync(scratch, { recursive: true, force: true });
}

const hasGateway = spawnSync("which", ["radosgw", "ceph-osd", "ceph-mon"]).status === 0;
if (!hasGateway) {
  console.warn(
    "SKIPPED: no S3 gateway: install radosgw, ceph-mon, ceph-osd and ceph-common; the row push-s3 is left out",
  );
}

const all: readonly BenchRow[] = [
  {
    name: "push-s3",
    work: "bytes sent to S3 (Ceph) for a second version, 1 % changed",
    peer: "what `nix copy` sends, xz",
    reach: 0.1,
    sense: "size",
    prepare,
    ours,
    peers: () => Promise.resolve(peers()),
    cleanup: () => Promise.resolve(cleanup()),
  },
];

export const rows: readonly BenchRow[] = hasGateway ? all : [];
