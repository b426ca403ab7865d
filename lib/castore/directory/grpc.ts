// Directories of a gRPC server; each is hashed, and a closure checked to be complete and connected, before it is used.
import type { Directory } from "../directory.ts";
import { equalBytes } from "../../base/bytes.ts";
import { type Digest, digestKey } from "../digest.ts";
import { corrupt } from "../blob/range.ts";
import { type GrpcEndpoint, isNotFound, wrongCount } from "../grpc/endpoint.ts";
import {
  BULK_DIGESTS,
  checkStored,
  DIRECTORIES,
  fromDirectoryMessage,
  toDirectoryMessage,
  TransferService,
} from "../grpc/services.ts";
import { mapBounded } from "../object/service.ts";
import { LeavesToRoot, leavesFirst, missingDirectory, RootToLeaves } from "./closure.ts";
import type { DirectoryService } from "./service.ts";

const WIDTH = 16;
/** Time for the server to take in a closure, in milliseconds. */
const LONG = 600_000;
/** Directories sent at once to the transfer service. */
const BULK_DIRECTORIES = 1024;

/** Directories of a server. */
export class GrpcDirectoryService implements DirectoryService {
  readonly #endpoint: GrpcEndpoint;

  constructor(endpoint: GrpcEndpoint) {
    this.#endpoint = endpoint;
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    const found: boolean[] = [];
    for (let at = 0; at < digests.length; at += BULK_DIGESTS) {
      found.push(...(await this.#hasGroup(digests.slice(at, at + BULK_DIGESTS))));
    }
    return found;
  }

  async #hasGroup(group: readonly Digest[]): Promise<boolean[]> {
    const answer = await this.#endpoint.callIfThere(TransferService, "Has", (client, options) =>
      client.has({ directories: [...group] }, options),
    );
    if (!answer) return await mapBounded(group, WIDTH, async (digest) => (await this.get(digest)) !== undefined);
    const { directories } = answer;
    if (directories.length !== group.length) throw wrongCount("Has", group.length, directories.length);
    return group.map((_, i) => directories[i] === 1);
  }

  async get(digest: Digest): Promise<Directory | undefined> {
    let found: Directory | undefined;
    for await (const directory of this.#messages(digest, false)) {
      if (found) throw corrupt(digest, "the server sent several directories for it");
      if (!equalBytes(directory.digest(), digest)) throw corrupt(digest, "the server sent another directory");
      found = directory;
    }
    return found;
  }

  /** What the server sends for a digest; nothing when it says that the directory is not there. */
  async *#messages(digest: Digest, recursive: boolean): AsyncGenerator<Directory> {
    const request = { byWhat: { case: "digest" as const, value: digest as Uint8Array }, recursive };
    const messages = this.#endpoint.stream(DIRECTORIES, "DirectoryService.Get", (client, signal, desc) =>
      decoded(client.get(request, { signal }), desc),
    );
    try {
      yield* messages;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async put(directories: readonly Directory[]): Promise<Digest[]> {
    for (let at = 0; at < directories.length; at += BULK_DIRECTORIES) {
      await this.#putGroup(directories.slice(at, at + BULK_DIRECTORIES));
    }
    return directories.map((directory) => directory.digest());
  }

  async #putGroup(group: readonly Directory[]): Promise<void> {
    const answer = await this.#endpoint.callIfThere(TransferService, "PutDirectories", (client, options) =>
      client.putDirectories({ directories: group.map((directory) => directory.encode()) }, options),
    );
    if (!answer) return await this.#putAsClosures(group);
    if (answer.digests.length !== group.length) {
      throw wrongCount("PutDirectories", group.length, answer.digests.length);
    }
    for (const [i, directory] of group.entries()) checkStored(directory.digest(), answer.digests[i] as Uint8Array);
  }

  /** The protocol takes closures alone: what is below and not given comes from the server itself. */
  async #putAsClosures(group: readonly Directory[]): Promise<void> {
    const known = new Map(group.map((directory) => [digestKey(directory.digest()), directory]));
    for (const directory of group) {
      for (const child of directory.directories()) {
        if (known.has(digestKey(child.digest))) continue;
        let found = false;
        for await (const below of this.getClosure(child.digest)) {
          known.set(digestKey(below.digest()), below);
          found = true;
        }
        if (!found) throw missingDirectory(child.digest);
      }
    }
    const referenced = new Set([...known.values()].flatMap((one) => [...one.directories()].map(keyOf)));
    const roots = group.filter((directory) => !referenced.has(digestKey(directory.digest())));
    const all = [...known.values()];
    for (const root of roots) await this.putClosure(leavesFirst(all, root.digest()));
  }

  async *getClosure(root: Digest): AsyncGenerator<Directory> {
    const order = new RootToLeaves(root);
    for await (const directory of this.#messages(root, true)) {
      order.add(directory);
      yield directory;
    }
    order.finish();
  }

  async putClosure(directories: Iterable<Directory> | AsyncIterable<Directory>): Promise<Digest> {
    const order = new LeavesToRoot("either");
    const fresh: Directory[] = [];
    for await (const directory of directories) if (order.add(directory)) fresh.push(directory);
    const root = order.finish().digest();
    const { rootDigest } = await this.#endpoint.call(
      DIRECTORIES,
      "DirectoryService.Put",
      (client, options, { method }) => client.put(encoded(fresh, method.put.input), options),
      { timeout: LONG },
    );
    checkStored(root, rootDigest);
    return root;
  }
}

type Desc = typeof DIRECTORIES.snix;
type Message = Parameters<typeof fromDirectoryMessage<Desc["method"]["get"]["output"]>>[1];

async function* decoded(messages: AsyncIterable<Message>, { method }: Desc): AsyncGenerator<Directory> {
  for await (const message of messages) yield fromDirectoryMessage(method.get.output, message);
}

async function* encoded(
  directories: readonly Directory[],
  schema: Desc["method"]["put"]["input"],
): AsyncGenerator<Message> {
  for (const directory of directories) yield toDirectoryMessage(schema, directory);
}

const keyOf = (child: { digest: Digest }): string => digestKey(child.digest);
