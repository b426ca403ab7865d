// The formats for browsers: what index.ts has, with hash functions that need no Node.
import { provideDigests } from "./digest.ts";
import { startPortableDigest } from "./digest-portable.ts";

export * from "./index.ts";

provideDigests(startPortableDigest);
