// A store that is believed only as far as trusted keys, or the contents themselves, vouch for what it says.
import { TvixError } from "../../base/error.ts";
import { bytesToLatin1 } from "../../base/text.ts";
import type { PublicKey } from "../../formats/signature.ts";
import { checkContentAddress, checkNar } from "../nar/check.ts";
import { narDigest } from "../nar/render.ts";
import type { PathInfo } from "../path-info.ts";
import { trustOf } from "../sign.ts";
import type { Store, Substituter } from "../store.ts";
import { wrapStore } from "./wrap.ts";

/** Paths found good are remembered, so that a tree is read once; this many. */
const REMEMBERED = 100_000;

/**
 * Gives only paths that one of `keys` has signed or that follow from their contents. Signatures are over the hash of
 * the NAR, so before a path is given for the first time its whole tree is read.
 */
export function verifiedStore(inner: Store, keys: readonly PublicKey[]): Store {
  /** By hash of the path: the NAR hash it was found good with. */
  const good = new Map<string, string>();
  const verify = async (info: PathInfo): Promise<PathInfo> => {
    const key = bytesToLatin1(info.path.digest);
    if (good.get(key) === bytesToLatin1(info.narSha256)) return info;
    const trust = trustOf(info, keys, inner.storeDir);
    if (!trust.trusted) {
      const path = info.path.absolute(inner.storeDir);
      throw new TvixError("ERR_STORE_UNTRUSTED", `no trusted key has signed ${path} in ${inner.address}`, {
        notes: [`trusted are: ${keys.map(({ name }) => name).join(", ") || "none"}`],
      });
    }
    const nar = await narDigest(inner.castore, info.root);
    checkNar(info, nar.digest, nar.size);
    if (trust.by === "content") await checkContentAddress(inner.castore, info);
    if (good.size === REMEMBERED) good.clear();
    good.set(key, bytesToLatin1(info.narSha256));
    return info;
  };
  const { substituter } = inner;
  const strict: Substituter | undefined = substituter && {
    look: (hash) => substituter.look(hash),
    substitute: (to, paths, options) => substituter.substitute(to, paths, { ...options, trustedKeys: keys }),
  };
  return wrapStore(inner, {
    substituter: strict,
    pathInfos: {
      get: async (hash) => {
        const info = await inner.pathInfos.get(hash);
        return info && (await verify(info));
      },
      put: (info) => inner.pathInfos.put(info),
      list: async function* () {
        for await (const info of inner.pathInfos.list()) yield await verify(info);
      },
    },
  });
}
