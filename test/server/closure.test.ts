// A whole closure through stock Nix, both ways through the cache and through the worker socket: every hash the same at
// the end. TVIX_SOAK=1 makes it one of more than a gigabyte.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ingestTree } from "../../lib/castore/ingest/portable.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { encodeUtf8 } from "../../lib/base/text.ts";
import { formatPublicKey, generateKey, toPublicKey } from "../../lib/formats/signature.ts";
import { toHex } from "../../lib/base/bytes.ts";
import { sourcePath } from "../../lib/formats/store-path.ts";
import { binaryCacheServer } from "../../lib/server/binary-cache.ts";
import { listen, type Listening, parseListen } from "../../lib/server/listen.ts";
import { workerServer } from "../../lib/server/worker.ts";
import { openStore } from "../../lib/store/open.ts";
import type { PathInfo } from "../../lib/store/path-info.ts";
import type { Store } from "../../lib/store/store.ts";
import { verifyStore } from "../../lib/store/verify.ts";
import { clients } from "./nix.ts";

const SOAK = process.env["TVIX_SOAK"] === "1";
const PATHS = 24;
/** Bytes of each path. */
const SIZE = SOAK ? 45_000_000 : 400_000;
const TIME = SOAK ? 1_800_000 : 120_000;

const scratch = mkdtempSync(join(tmpdir(), "tvix-closure-"));
const key = generateKey("closure-1");
const trust = ["--option", "trusted-public-keys", formatPublicKey(toPublicKey(key))];
const closers: (() => Promise<void>)[] = [];
let count = 0;
const fresh = (): string => join(scratch, String(count++));
let source: Store;
let top: PathInfo;

beforeAll(async () => {
  source = await openStore(fresh());
  closers.push(() => source.close());
  let before: PathInfo | undefined;
  for (let i = 0; i < PATHS; i++) {
    // Half of each is in the next one as well, as with versions of one thing.
    const half = Math.floor(SIZE / 2);
    const [a, b] = [pseudoRandomBytes(half, i + 1), pseudoRandomBytes(half, i + 2)];
    const text = encodeUtf8(before === undefined ? "the first" : `/nix/store/${before.path.basename}`);
    const root = await ingestTree(source.castore, { entries: { a, b, text, below: { entries: { text } } } });
    const { digest, size } = await source.narDigest(root);
    const references = before === undefined ? [] : [before.path];
    const shown = references.map(({ basename }) => `/nix/store/${basename}`);
    const path = sourcePath({ name: `part-${i}`, narSha256: digest, references: shown });
    before = await source.pathInfos.put({ path, root, references, narSha256: digest, narSize: size, signatures: [] });
  }
  top = before as PathInfo;
}, TIME);
afterAll(async () => {
  for (const close of closers) await close();
  rmSync(scratch, { recursive: true, force: true });
});

async function serve(create: () => Server, at = "127.0.0.1:0"): Promise<string> {
  const listening: Listening = await listen([parseListen(at)], create);
  closers.push(() => listening.close(0));
  return listening.addresses[0] as string;
}

/** Names and NAR hashes of all of a store. */
async function hashes(store: Store): Promise<Record<string, string>> {
  const out: Record<string, string> = {};
  for await (const { path, narSha256, narSize } of store.list()) out[path.basename] = `${narSize} ${toHex(narSha256)}`;
  return out;
}

if (clients.length === 0) console.warn("no Nix is installed: no closure goes through one");

describe.each(clients.map((client) => [client.name, client] as const))("%s", (_, nix) => {
  test(
    "takes a closure, gives it back, and realises it: all hashes are equal",
    async () => {
      const wanted = await hashes(source);
      const bytes = Object.values(wanted).reduce((sum, text) => sum + Number.parseInt(text, 10), 0);
      expect(bytes).toBeGreaterThan(SOAK ? 2 ** 30 : 9_000_000);
      const name = `/nix/store/${top.path.basename}`;
      const cache = `http://${await serve(() => binaryCacheServer(source, { keys: [key] }))}`;

      // Down, with signatures checked: into Nix's own store.
      const chroot = fresh();
      await nix("nix", "copy", "--refresh", "--from", cache, "--to", chroot, ...trust, name);
      await nix("nix-store", "--store", chroot, "--verify", "--check-contents");

      // The same by asking for the path to be there.
      const realised = fresh();
      await nix("nix-store", "--store", realised, "--option", "substituters", cache, ...trust, "--realise", name);
      const listed = await nix("nix", "path-info", "--store", realised, "-r", name);
      expect(listed.trim().split("\n")).toHaveLength(PATHS);

      // Up again, to the cache and to the socket, each with a store of its own.
      const uploaded = await openStore(fresh());
      closers.push(() => uploaded.close());
      const up = `http://${await serve(() => binaryCacheServer(uploaded, { anonymousWrites: true }))}`;
      await nix("nix", "copy", "--from", chroot, "--to", `${up}?compression=none`, name);
      expect(await hashes(uploaded)).toEqual(wanted);
      expect((await verifyStore(uploaded)).damage).toEqual([]);
      expect((await nix("nix", "path-info", "--refresh", "--store", up, "-r", name)).trim().split("\n")).toHaveLength(
        PATHS,
      );

      const worked = await openStore(fresh());
      closers.push(() => worked.close());
      const root = fresh();
      mkdirSync(root);
      const socket = `unix://${await serve(() => workerServer(worked), fresh())}?root=${root}`;
      await nix("nix", "copy", "--no-check-sigs", "--from", chroot, "--to", socket, name);
      expect(await hashes(worked)).toEqual(wanted);
      expect((await verifyStore(worked)).damage).toEqual([]);
      expect((await nix("nix", "path-info", "--store", socket, "-r", name)).trim().split("\n")).toHaveLength(PATHS);
    },
    TIME,
  );
});
