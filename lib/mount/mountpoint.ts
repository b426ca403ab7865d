// Mountpoints: whether a directory is fit for a mount, mounts that killed processes left behind, and unmounting.
import { access, constants, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { TvixError } from "../base/error.ts";
import { settled } from "../native/failure.ts";
import { fuse } from "../native/fuse.ts";

/** Milliseconds that a mount has to say that it is alive. */
const PATIENCE = 3000;
/** Dead mounts can lie on top of each other; more than this and something is wrong. */
const MAX_DEAD = 16;

/**
 * Makes sure that something can be mounted on a directory, removing dead mounts of ours from it; its real path.
 * @throws TvixError `ERR_MOUNT_DEVICE`, `ERR_MOUNT_POINT`, `ERR_MOUNT_BUSY`
 */
export async function prepareMountpoint(path: string): Promise<string> {
  await requireDevice();
  const real = await realMountpoint(path);
  for (let i = 0; isOurs(real); i++) {
    if ((await health(real)) !== "dead" || i === MAX_DEAD) {
      throw new TvixError("ERR_MOUNT_BUSY", `${real} is mounted by tvix already`, {
        notes: [`tvix-mount --unmount ${real}`],
      });
    }
    await detachMount(real);
  }
  const found = await stat(real).catch((cause: NodeJS.ErrnoException) => {
    throw new TvixError("ERR_MOUNT_POINT", `nothing can be mounted on ${real}: ${cause.code}`, { cause });
  });
  if (found.isDirectory()) return real;
  throw new TvixError("ERR_MOUNT_POINT", `nothing can be mounted on ${real}: it is not a directory`);
}

/**
 * Unmounts what `tvix-mount` or {@link mountFuse} mounted on a directory, alive or dead, whichever process serves it.
 * Programs that have files of it open may finish.
 * @throws TvixError `ERR_MOUNT_NONE` when there is no mount of ours, `ERR_MOUNT_UNMOUNT` when it is not allowed
 */
export async function unmountFuse(path: string): Promise<void> {
  const real = await realMountpoint(path);
  if (!isOurs(real)) throw new TvixError("ERR_MOUNT_NONE", `nothing of tvix is mounted on ${real}`);
  await detachMount(real);
}

/** @throws TvixError `ERR_MOUNT_UNMOUNT` */
export async function detachMount(real: string): Promise<void> {
  await settled(fuse().detach(Buffer.from(real)));
}

function isOurs(real: string): boolean {
  return fuse().deviceAt(Buffer.from(real)) !== "";
}

/** The path without symlinks, found without touching what is mounted on it. */
async function realMountpoint(path: string): Promise<string> {
  const absolute = resolve(path);
  const parent = await realpath(dirname(absolute)).catch((cause: NodeJS.ErrnoException) => {
    throw new TvixError("ERR_MOUNT_POINT", `nothing can be mounted on ${absolute}: ${cause.code}`, { cause });
  });
  const direct = join(parent, basename(absolute));
  if (isOurs(direct)) return direct;
  return await realpath(direct).catch(() => direct);
}

async function health(real: string): Promise<"alive" | "dead" | "silent"> {
  const asked = stat(real).then(
    () => "alive" as const,
    (error: NodeJS.ErrnoException) => (error.code === "ENOTCONN" ? ("dead" as const) : ("alive" as const)),
  );
  const late = new Promise<"silent">((done) => {
    setTimeout(done, PATIENCE, "silent").unref();
  });
  return await Promise.race([asked, late]);
}

/** @throws TvixError `ERR_MOUNT_DEVICE` saying how to get it. */
async function requireDevice(): Promise<void> {
  try {
    await access("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new TvixError("ERR_MOUNT_DEVICE", `/dev/fuse ${missing ? "does not exist" : "may not be used"}`, {
      cause,
      notes: missing
        ? [
            "load the kernel's module: modprobe fuse",
            "in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN",
          ]
        : ["mount as root, or let the user read and write /dev/fuse"],
    });
  }
}
