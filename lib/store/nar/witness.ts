// What a NAR comes to, taken down while its tree goes by: hashes, size and references without reading anything back.
import { type DigestAlgo, type Digester, startDigest } from "../../formats/digest.ts";
import type { NarEvent } from "../../formats/nar/wire.ts";
import { NarWriter } from "../../formats/nar/writer.ts";
import type { StorePath } from "../../formats/store-path.ts";
import { ReferenceScanner } from "../references.ts";

/** What of a tree is hashed for its content address: its NAR, or the bytes of the single file that it is. */
export type HashedPart = "nar" | "flat" | "text";

/** Options of {@link NarWitness}. */
export interface NarWitnessOptions {
  /** Default `nar`. `flat` and `text` take the file as one that is not executable. */
  readonly method?: HashedPart;
  /** Algorithm of the content address. Default sha256. */
  readonly algo?: DigestAlgo;
  /** Store paths to look for. Default none. */
  readonly candidates?: readonly StorePath[];
}

/** What was seen of a tree. */
export interface Seen {
  readonly narSha256: Uint8Array;
  readonly narSize: number;
  /** By method and algorithm. */
  readonly contentHash: Uint8Array;
  /** Those of the candidates whose hash parts occur in the NAR, sorted. */
  readonly references: readonly StorePath[];
}

/** Takes the events of one tree. */
export class NarWitness {
  readonly #method: HashedPart;
  readonly #nar = startDigest("sha256");
  /** That of the content address, where it is not the NAR's SHA-256. */
  readonly #other: Digester | undefined;
  readonly #scanner: ReferenceScanner;
  readonly #writer: NarWriter;

  constructor({ method = "nar", algo = "sha256", candidates = [] }: NarWitnessOptions = {}) {
    this.#method = method;
    this.#other = method === "nar" && algo === "sha256" ? undefined : startDigest(algo);
    this.#scanner = new ReferenceScanner(candidates);
    this.#writer = new NarWriter((bytes) => {
      this.#nar.update(bytes);
      this.#scanner.push(bytes);
      if (method === "nar") this.#other?.update(bytes);
    });
  }

  /** The next event; its bytes may be used again afterwards. @throws TvixError `ERR_NAR_…` for what makes no tree */
  take(event: NarEvent): void {
    const isFile = this.#method !== "nar";
    if (isFile && event.type === "contents") this.#other?.update(event.bytes);
    this.#writer.write(isFile && event.type === "regular" ? { ...event, executable: false } : event);
  }

  /** @throws TvixError `ERR_NAR_EVENT_ORDER` when the tree is not complete */
  finish(): Seen {
    this.#writer.end();
    const narSha256 = this.#nar.finish();
    const contentHash = this.#other?.finish() ?? narSha256;
    return { narSha256, narSize: this.#writer.offset, contentHash, references: this.#scanner.found };
  }
}

/** What a file comes to whose bytes come piece by piece; it is not executable. */
export async function witnessFile(
  size: number,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: NarWitnessOptions = {},
): Promise<Seen> {
  const witness = new NarWitness(options);
  witness.take({ type: "regular", name: undefined, executable: false, size });
  for await (const bytes of pieces) witness.take({ type: "contents", bytes });
  return witness.finish();
}
