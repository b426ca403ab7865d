// What `tvix/mount` exports.
export type { MountCounts } from "../native/fuse.ts";
export {
  Mount,
  type MountBehaviour,
  mountFuse,
  type MountOptions,
  type PassthroughOptions,
  type StoreMountOptions,
  type TreeMountOptions,
} from "./mount.ts";
export { unmountFuse } from "./mountpoint.ts";
export type { MountRoots, RootOptions, StoreRootOptions, TreeRootOptions } from "./root.ts";
export type { ServingOptions } from "./serving.ts";
export { type ExportOptions, exportVirtiofs, VirtiofsExport } from "./virtiofs.ts";
