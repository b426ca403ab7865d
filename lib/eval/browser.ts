// The evaluator's public face for browsers: what index.ts has, with hash functions that need no Node.
import { provideDigests } from "../formats/digest.ts";
import { startPortableDigest } from "../formats/digest-portable.ts";

export * from "./index.ts";

provideDigests(startPortableDigest);
