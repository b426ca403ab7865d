// `--constituents`: aggregates wait until all jobs are known, then they are rewritten, written where asked, and told.
import { latin1ToBytes } from "../../../base/text.ts";
import { byteStringToText } from "../../../eval/source.ts";
import { fileSystemIO } from "../../../eval/io/files.ts";
import type { CompleteDerivation } from "../../../derivation/output-paths.ts";
import { STORE_DIR } from "../../../formats/store-path.ts";
import { type JobResult, type Resolved, resolveAggregates } from "../../../nix/aggregates.ts";
import { instantiate } from "../../../nix/instantiate.ts";
import type { Job } from "../../../nix/jobs.ts";
import { storeReader } from "../../../nix/store-reader.ts";
import { World } from "../../../nix/world.ts";
import type { Store } from "../../../store/store.ts";
import { withStore } from "../store/session.ts";
import type { JobLine, JobsFlags } from "./flags.ts";
import { keep } from "./roots.ts";

/** A line, as far as aggregates need to know it. */
type Line = { readonly attr: string } & Partial<Omit<Job, "name">> & { readonly error?: string };

/** The aggregates of one run. */
export class Aggregates {
  readonly #results = new Map<string, JobResult>();
  /** Lines of aggregates that name jobs, by attribute path. */
  readonly #held = new Map<string, Line>();

  /** The lines that can be told at once; those of aggregates that name jobs are held back. */
  *pass(results: Iterable<JobLine>): Generator<string> {
    for (const { line, link } of results) {
      const parsed = JSON.parse(line) as Line;
      if (parsed.error !== undefined) this.#results.set(parsed.attr, { error: parsed.error });
      else if (link !== undefined) this.#results.set(parsed.attr, link);
      if (link?.draft === undefined) yield line;
      else this.#held.set(parsed.attr, parsed);
    }
  }

  /** The lines that were held back, with what the aggregates have become. */
  async conclude(flags: JobsFlags): Promise<string[]> {
    const resolved = resolveAggregates(this.#results);
    const rewritten = [...resolved.values()].flatMap((one) => ("complete" in one ? [one.complete] : []));
    if (rewritten.length > 0 && (flags.instantiate || flags.gcRootsDir !== undefined)) {
      await withStore(flags, "write", (store) => write(store, rewritten, flags));
    }
    return Array.from(this.#held, ([attr, line]) => JSON.stringify(rewrite(line, resolved.get(attr) as Resolved)));
  }
}

function rewrite(held: Line, resolved: Resolved): object {
  const { namedConstituents, ...line } = held;
  void namedConstituents;
  if ("error" in resolved) return { ...line, error: resolved.error };
  const { derivation, path } = resolved.complete;
  const constituents = new Set(line.constituents);
  for (const child of resolved.constituents) constituents.add(byteStringToText(child));
  return {
    ...line,
    drvPath: byteStringToText(path.absolute()),
    outputs: Object.fromEntries(
      Object.keys(line.outputs ?? {}).map((name) => [name, derivation.outputs.get(name)?.path || null]),
    ),
    ...(line.inputDrvs === undefined
      ? {}
      : {
          inputDrvs: Object.fromEntries(Array.from(derivation.inputDrvs, ([input, { outputs }]) => [input, outputs])),
        }),
    constituents: [...constituents],
  };
}

/** Writes what came of aggregates. What they refer to has been written by those who evaluated it. */
async function write(store: Store, rewritten: readonly CompleteDerivation[], flags: JobsFlags): Promise<void> {
  const reader = store.local === undefined ? undefined : storeReader(store);
  const world = new World({ host: fileSystemIO(), storeDir: STORE_DIR, reader });
  const paths = inputsFirst(rewritten).map((complete) =>
    world.known.add({ ...complete, file: latin1ToBytes(complete.text) }),
  );
  const settled = new Set<string>();
  for (const { derivation } of rewritten) {
    for (const input of [...derivation.inputSrcs, ...derivation.inputDrvs.keys()]) settled.add(input);
  }
  for (const path of paths) settled.delete(path);
  await instantiate(world, store, paths, { roots: keep(flags, paths), settled });
}

/** Aggregates may be made of aggregates. */
function inputsFirst(derivations: readonly CompleteDerivation[]): CompleteDerivation[] {
  const byPath = new Map(derivations.map((complete) => [complete.path.absolute(STORE_DIR), complete]));
  const ordered = new Set<CompleteDerivation>();
  const add = (complete: CompleteDerivation): void => {
    if (ordered.has(complete)) return;
    for (const input of complete.derivation.inputDrvs.keys()) {
      const other = byPath.get(input);
      if (other !== undefined) add(other);
    }
    ordered.add(complete);
  };
  for (const complete of derivations) add(complete);
  return [...ordered];
}
