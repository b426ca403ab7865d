// Path infos: what a store knows about one store path.
//
// The store is where trees get Nix's names. A path info ties a store path to the root of its tree in the castore and
// says what Nix wants to know: the hash and size of its NAR, the paths it refers to, who made it, who vouches for it.
// This room has path-info services (`service.ts`, with backends beside it), the `Store` that joins one with a castore
// (`store.ts`, opened by address in `open.ts`), and what is done with it: import, NARs both ways, signing, copying,
// collection, verification. The castore below knows nothing of any of this; derivations and evaluation are above.
//
// The bytes of a path info are the message PathInfo of the store.v1 protocol.
import { asBytes, asNumber, asText, type ProtoField, ProtoWriter, readFields } from "../base/protobuf.ts";
import { equalBytes } from "../base/bytes.ts";
import { TvixError } from "../base/error.ts";
import { encodeUtf8 } from "../base/text.ts";
import { decodeNode, encodeNode } from "../castore/canonical.ts";
import type { Node } from "../castore/node.ts";
import { checkNode } from "../castore/node.ts";
import type { ContentAddress, ContentMethod } from "../formats/content-address.ts";
import { type HashAlgo, HASH_SIZES, nixHash } from "../formats/hash.ts";
import type { Signature } from "../formats/signature.ts";
import { compareStorePaths, StorePath } from "../formats/store-path.ts";

/** What a store knows about one store path. */
export interface PathInfo {
  readonly path: StorePath;
  /** The root of its tree in the castore. */
  readonly root: Node;
  /** Store paths that its contents mention, itself perhaps among them; sorted, each once. */
  readonly references: readonly StorePath[];
  /** SHA-256 of its NAR, 32 bytes. */
  readonly narSha256: Uint8Array;
  /** Bytes of its NAR. */
  readonly narSize: number;
  /** The derivation that made it. */
  readonly deriver?: StorePath | undefined;
  /** What makes the path follow from the contents, if it does. */
  readonly ca?: ContentAddress | undefined;
  readonly signatures: readonly Signature[];
}

/** What somebody says of a path whose tree is not here yet. */
export type PathClaim = Omit<PathInfo, "root">;

/** The methods of a content address with the numbers of the protocol. */
const CA_TYPES: readonly (readonly [ContentMethod, HashAlgo])[] = [
  ["nar", "sha256"],
  ["nar", "sha1"],
  ["nar", "sha512"],
  ["nar", "md5"],
  ["text", "sha256"],
  ["flat", "sha1"],
  ["flat", "md5"],
  ["flat", "sha256"],
  ["flat", "sha512"],
];

/** Sorts store paths and drops repeats. */
export function sortedPaths(paths: Iterable<StorePath>): StorePath[] {
  const byName = new Map([...paths].map((path) => [path.basename, path]));
  return [...byName.values()].sort(compareStorePaths);
}

/** Whether two path infos say the same, signatures aside. */
export function equalPathInfos(a: PathInfo, b: PathInfo): boolean {
  const plain = (info: PathInfo) => encodePathInfo({ ...info, signatures: [] });
  return equalBytes(plain(a), plain(b));
}

/** The bytes of a path info. */
export function encodePathInfo(info: PathInfo): Uint8Array {
  const narInfo = new ProtoWriter().number(1, info.narSize).bytes(2, info.narSha256);
  for (const { name, bytes } of info.signatures) {
    narInfo.element(3, new ProtoWriter().text(1, name).bytes(2, bytes).finish());
  }
  for (const reference of info.references) narInfo.element(4, encodeUtf8(reference.basename));
  if (info.deriver) {
    const name = info.deriver.name.replace(/\.drv$/, "");
    narInfo.element(5, new ProtoWriter().text(1, name).bytes(2, info.deriver.digest).finish());
  }
  if (info.ca) narInfo.element(6, encodeAddress(info.ca));
  const out = new ProtoWriter().element(1, encodeNode(info.root, encodeUtf8(info.path.basename)));
  for (const reference of info.references) out.element(2, reference.digest);
  return out.element(3, narInfo.finish()).finish();
}

function encodeAddress({ method, hash }: ContentAddress): Uint8Array {
  const type = CA_TYPES.findIndex(([of, algo]) => of === method && algo === hash.algo);
  if (type < 0) {
    throw new TvixError(
      "ERR_PATH_INFO_CA",
      `a store cannot record content addresses of the kind ${method} ${hash.algo}`,
    );
  }
  return new ProtoWriter().number(1, type).bytes(2, hash.digest).finish();
}

/**
 * Reads the bytes of a path info and checks all of it.
 * @throws TvixError `ERR_PATH_INFO` saying what is wrong, or the error of the part that is.
 */
export function decodePathInfo(bytes: Uint8Array): PathInfo {
  let node: Uint8Array | undefined;
  let narInfo: Uint8Array | undefined;
  const references: Uint8Array[] = [];
  for (const field of readFields(bytes)) {
    if (field.field === 1) node = asBytes(field);
    else if (field.field === 2) references.push(asBytes(field));
    else if (field.field === 3) narInfo = asBytes(field);
  }
  if (node === undefined) throw pathInfoError("it has no node");
  if (narInfo === undefined) throw pathInfoError("it has no narinfo");
  const { name, node: root } = decodeNode(node);
  const info = { path: parseBasename(name), root, ...decodeNarInfo(narInfo) };
  if (references.length !== info.references.length) {
    throw pathInfoError(`it has ${references.length} references and ${info.references.length} names for them`);
  }
  for (const [i, digest] of references.entries()) {
    if (!equalBytes(digest, (info.references[i] as StorePath).digest)) {
      throw pathInfoError(`reference ${i} does not have the hash that its name has`);
    }
  }
  return checkPathInfo({ ...info, references: sortedPaths(info.references) });
}

function decodeNarInfo(bytes: Uint8Array): Omit<PathInfo, "path" | "root"> {
  let narSize = 0;
  let narSha256: Uint8Array = new Uint8Array(0);
  let deriver: StorePath | undefined;
  let ca: ContentAddress | undefined;
  const signatures: Signature[] = [];
  const references: StorePath[] = [];
  const take: Record<number, (field: ProtoField) => void> = {
    1: (field) => (narSize = asNumber(field)),
    2: (field) => (narSha256 = asBytes(field).slice()),
    3: (field) => signatures.push(decodeSignature(asBytes(field))),
    4: (field) => references.push(StorePath.parse(asText(field))),
    5: (field) => (deriver = decodeDeriver(asBytes(field))),
    6: (field) => (ca = decodeAddress(asBytes(field))),
  };
  for (const field of readFields(bytes)) take[field.field]?.(field);
  return { narSize, narSha256, deriver, ca, signatures, references };
}

function decodeSignature(bytes: Uint8Array): Signature {
  const { 1: name, 2: data } = fieldsOf(bytes);
  return { name: name ? asText(name) : "", bytes: data ? asBytes(data).slice() : new Uint8Array(0) };
}

function decodeDeriver(bytes: Uint8Array): StorePath {
  const { 1: name, 2: digest } = fieldsOf(bytes);
  if (!name || !digest) throw pathInfoError("its deriver is incomplete");
  return StorePath.of(asBytes(digest), `${asText(name)}.drv`);
}

function decodeAddress(bytes: Uint8Array): ContentAddress {
  const { 1: type, 2: digest } = fieldsOf(bytes);
  const known = CA_TYPES[type ? asNumber(type) : 0];
  if (!known) throw pathInfoError("its content address is of an unknown kind");
  return { method: known[0], hash: nixHash(known[1], digest ? asBytes(digest).slice() : new Uint8Array(0)) };
}

function fieldsOf(bytes: Uint8Array): Partial<Record<number, ProtoField>> {
  return Object.fromEntries([...readFields(bytes)].map((field) => [field.field, field]));
}

function parseBasename(name: Uint8Array): StorePath {
  if (name.length === 0) throw pathInfoError("its node has no name");
  return StorePath.parse(Buffer.from(name).toString("latin1"));
}

/**
 * Checks a path info made elsewhere.
 * @throws TvixError `ERR_PATH_INFO`, or what {@link checkNode} throws.
 */
export function checkPathInfo(info: PathInfo): PathInfo {
  checkNode(info.root);
  if (info.narSha256.length !== HASH_SIZES.sha256) {
    throw pathInfoError(`its NAR hash has ${info.narSha256.length} bytes instead of ${HASH_SIZES.sha256}`);
  }
  if (!Number.isSafeInteger(info.narSize) || info.narSize <= 0) throw pathInfoError("its NAR size is not positive");
  for (const { name, bytes } of info.signatures) {
    if (bytes.length !== 64) throw pathInfoError(`signature "${name}" has ${bytes.length} bytes instead of 64`);
  }
  if (info.deriver && !info.deriver.isDerivation()) throw pathInfoError("its deriver is not a derivation");
  return info;
}

function pathInfoError(why: string): TvixError {
  return new TvixError("ERR_PATH_INFO", `not a valid path info: ${why}`);
}
