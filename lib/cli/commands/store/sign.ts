// `tvix store sign`: adds signatures to paths of the store.
import { formatSignature } from "../../../formats/signature.ts";
import { readSecretKey, signPath } from "../../../store/sign.ts";
import { print } from "../../output.ts";
import { type StoreOptions, withStore } from "./session.ts";

/** Flags of `tvix store sign`. */
export interface SignFlags extends StoreOptions {
  readonly keyFile: string;
}

/** Signs each path and prints the signature that it has now under the key's name. */
export async function run(paths: readonly string[], flags: SignFlags): Promise<void> {
  const key = await readSecretKey(flags.keyFile);
  await withStore(flags, "write", async (store) => {
    for (const path of paths) {
      const info = await signPath(store, path, key);
      for (const signature of info.signatures) {
        if (signature.name === key.name) await print(`${formatSignature(signature)}\n`);
      }
    }
  });
}
