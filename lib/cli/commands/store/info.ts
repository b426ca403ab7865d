// `tvix store info`: what the store knows about a path, or its own size and how much deduplication saves.
import { digestText } from "../../../castore/digest.ts";
import { formatContentAddress } from "../../../formats/content-address.ts";
import { formatHash, nixHash } from "../../../formats/hash.ts";
import { formatSignature } from "../../../formats/signature.ts";
import type { PathInfo } from "../../../store/path-info.ts";
import { measureStore } from "../../../store/statistics.ts";
import type { Store } from "../../../store/store.ts";
import { print } from "../../output.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Prints each path's info: as lines for people, or as one JSON object per path. */
export async function run(paths: readonly string[], flags: StoreOptions): Promise<void> {
  await withStore(flags, "read", async (store) => {
    if (paths.length === 0) return await describeStore(store, flags);
    for (const path of paths) {
      const facts = describe(await store.info(path), store.storeDir);
      await print(flags.json ? `${JSON.stringify(facts)}\n` : renderFacts(facts));
    }
  });
}

async function describeStore(store: Store, flags: StoreOptions): Promise<void> {
  const statistics = await measureStore(store);
  if (flags.json) return await print(`${JSON.stringify(statistics)}\n`);
  for (const [key, value] of Object.entries(statistics) as [string, string | number][]) {
    const label = key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    await print(`${`${label}:`.padEnd(17)} ${typeof value === "number" ? Number(value.toFixed(3)) : value}\n`);
  }
}

interface Facts {
  readonly path: string;
  readonly type: string;
  /** BLAKE3 of the file or of the directory's canonical bytes; null for a symlink. */
  readonly digest: string | null;
  readonly narHash: string;
  readonly narSize: number;
  readonly references: readonly string[];
  readonly deriver: string | null;
  readonly ca: string | null;
  readonly signatures: readonly string[];
}

function describe(info: PathInfo, storeDir: string): Facts {
  const { root } = info;
  return {
    path: info.path.absolute(storeDir),
    type: root.type,
    digest: root.type === "symlink" ? null : digestText(root.digest),
    narHash: formatHash(nixHash("sha256", info.narSha256), "sri"),
    narSize: info.narSize,
    references: info.references.map((reference) => reference.absolute(storeDir)),
    deriver: info.deriver?.absolute(storeDir) ?? null,
    ca: info.ca ? formatContentAddress(info.ca) : null,
    signatures: info.signatures.map(formatSignature),
  };
}

const LABELS: Readonly<Record<keyof Facts, string>> = {
  path: "path",
  type: "type",
  digest: "castore digest",
  narHash: "NAR hash",
  narSize: "NAR size",
  references: "references",
  deriver: "deriver",
  ca: "content address",
  signatures: "signatures",
};

function renderFacts(facts: Facts): string {
  let out = "";
  for (const [key, value] of Object.entries(facts) as [keyof Facts, Facts[keyof Facts]][]) {
    const values = Array.isArray(value) ? (value as readonly string[]) : value === null ? [] : [String(value)];
    for (const one of values) out += `${`${LABELS[key]}:`.padEnd(17)} ${one}\n`;
  }
  return out;
}
