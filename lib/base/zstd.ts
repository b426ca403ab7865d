// Zstandard frames on Node before 22.15, which has no encoder of its own: through WebAssembly, loaded once.

/** Makes one whole frame of bytes. */
export type ZstdEncoder = (bytes: Uint8Array) => Uint8Array;

/** Level 3, as everywhere. */
const LEVEL = 3;

let encoder: Promise<ZstdEncoder> | undefined;

/** The encoder. It is made once: the package's state is replaced by every initialisation, also under a call's feet. */
export function zstdEncoder(): Promise<ZstdEncoder> {
  encoder ??= load();
  return encoder;
}

async function load(): Promise<ZstdEncoder> {
  const library = await import("@bokuweb/zstd-wasm");
  await library.init();
  return (bytes) => library.compress(bytes, LEVEL);
}
