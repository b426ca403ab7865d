// Opening a store by its address.
import { MemoryBlobService } from "../castore/blob/memory.ts";
import { ObjectBlobService } from "../castore/blob/object.ts";
import { MemoryDirectoryService } from "../castore/directory/memory.ts";
import { ObjectDirectoryService } from "../castore/directory/object.ts";
import { LocalStore, type LocalStoreOptions } from "../castore/local/store.ts";
import { DirObjectStore } from "../castore/object/dir.ts";
import type { ObjectStore } from "../castore/object/service.ts";
import { parseAddress } from "./address.ts";
import { LocalNarIndex, LocalPathInfoService } from "./local.ts";
import { MemoryNarIndex, MemoryPathInfoService } from "./memory.ts";
import { openCacheStore } from "./nix-http/store.ts";
import { ObjectNarIndex, ObjectPathInfoService } from "./object.ts";
import { Store, type StoreParts } from "./store.ts";

/** How to open a store. */
export interface OpenOptions {
  /** Only read. Default: false, unless a local store's directory cannot be written. */
  readonly readOnly?: boolean;
  /** The directory that its paths claim to be in. Default: `/nix/store`. */
  readonly storeDir?: string;
}

/**
 * Opens the store at an address (address.ts lists the forms); without one, that of `$TVIX_STORE` or the user's own.
 * @throws TvixError `ERR_STORE_ADDRESS`, or what opening that kind of store throws.
 */
export async function openStore(address?: string, options: OpenOptions = {}): Promise<Store> {
  const parsed = parseAddress(address);
  const { storeDir } = options;
  if (parsed.kind === "memory") {
    return new Store({
      address: "memory:",
      castore: { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() },
      pathInfos: new MemoryPathInfoService(),
      narIndex: new MemoryNarIndex(),
      storeDir,
      close: async () => {},
    });
  }
  if (parsed.kind === "cache") return await openCacheStore(parsed.cache, storeDir);
  if (parsed.kind === "compose") {
    const { Composition } = await import("./compose/file.ts");
    return await (await Composition.read(parsed.file)).open(parsed.name, openStore, options);
  }
  if (parsed.kind === "cached") {
    const { openCached } = await import("./compose/cached.ts");
    return await openCached(parsed, openStore, options);
  }
  if (parsed.kind === "grpc") {
    const { openGrpcStore } = await import("./grpc.ts");
    return await openGrpcStore(parsed.grpc, storeDir);
  }
  if (parsed.kind === "object") {
    return objectStore(`dir:${parsed.directory}`, await DirObjectStore.open(parsed.directory), storeDir);
  }
  if (parsed.kind === "s3") {
    const { S3ObjectStore } = await import("../castore/object/s3.ts");
    const objects = await S3ObjectStore.open(parsed.s3);
    return objectStore(parsed.s3.text, objects, storeDir, {
      received: () => objects.received,
      close: async () => objects.close(),
    });
  }
  return await openLocalStore(parsed.directory, options);
}

/** Opens the local store in a directory. @throws what {@link LocalStore.open} throws */
export async function openLocalStore(directory: string, options: OpenOptions & LocalStoreOptions = {}): Promise<Store> {
  const castore = await LocalStore.open(directory, options);
  const local = { castore, pathInfos: new LocalPathInfoService(castore), narIndex: new LocalNarIndex(castore) };
  const { storeDir } = options;
  return new Store({ address: directory, ...local, local, storeDir, close: () => castore.close() });
}

/** A store whose parts are all objects. */
function objectStore(
  address: string,
  objects: ObjectStore,
  storeDir: string | undefined,
  parts: Pick<StoreParts, "received" | "close"> = { close: async () => {} },
): Store {
  return new Store({
    address,
    castore: { blobs: new ObjectBlobService(objects), directories: new ObjectDirectoryService(objects) },
    pathInfos: new ObjectPathInfoService(objects),
    narIndex: new ObjectNarIndex(objects),
    storeDir,
    ...parts,
  });
}
