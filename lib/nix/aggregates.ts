// Aggregates: jobs that are made of other jobs, which they name; rewritten so that they need those built.
//
// An aggregate (`_hydraAggregate = true`) may name its constituents as jobs of the same set. Which derivations these
// are is known only when all jobs have been evaluated, each maybe by another process. So whoever evaluates a job hands
// on what others need to depend on it (`JobLink`), and for an aggregate also its file; here the constituents are added
// to its inputs, and its output paths and its own path follow.
import { completeDerivation, type CompleteDerivation, type PathOptions } from "../derivation/output-paths.ts";
import { type Derivation, outputKind } from "../derivation/model.ts";
import type { ModuloHash } from "../derivation/hash-modulo.ts";
import { parseDerivation } from "../derivation/parse.ts";
import { StorePath } from "../formats/store-path.ts";
import { globMatcher } from "./glob.ts";

/** What it takes to depend on a job. Paths are byte strings. */
export interface JobLink {
  readonly drvPath: string;
  /** The output that stands for all: the first by name. */
  readonly output: string;
  readonly modulo: ModuloHash;
  /** Of an aggregate that names jobs: what it takes to rewrite it. */
  readonly draft?: Draft;
}

/** An aggregate before its constituents are known. */
export interface Draft {
  /** The names of jobs, or patterns for them. */
  readonly named: readonly string[];
  readonly isGlob: boolean;
  /** The contents of the .drv file. */
  readonly text: string;
  /** The modulo hashes of its inputs, by path. */
  readonly inputs: Readonly<Record<string, ModuloHash>>;
}

/** What came of a job: the way to depend on it, or why nothing can. */
export type JobResult = JobLink | { readonly error: string };

/** An aggregate whose names are resolved: rewritten, or an error that names the constituents at fault. */
export type Resolved =
  | { readonly complete: CompleteDerivation; readonly constituents: readonly string[] }
  | { readonly error: string };

/** Aggregates of aggregates of … at most. */
const DEEPEST = 500;

/** Resolves all aggregates among `jobs`, by their names, in the order of the map. */
export function resolveAggregates(
  jobs: ReadonlyMap<string, JobResult>,
  options: PathOptions = {},
): ReadonlyMap<string, Resolved> {
  const resolver = new Resolver(jobs, options);
  const resolved = new Map<string, Resolved>();
  for (const [name, job] of jobs) if ("draft" in job) resolved.set(name, resolver.resolve(name, job));
  return resolved;
}

/** The derivation as it was before its output paths were known: with other inputs nobody may be able to tell them. */
function withoutPaths(derivation: Derivation): Derivation {
  const outputs = new Map(derivation.outputs);
  const env = new Map(derivation.env);
  for (const [name, output] of derivation.outputs) {
    if (outputKind(output) !== "input-addressed") continue;
    outputs.set(name, { ...output, path: "" });
    env.set(name, "");
  }
  return { ...derivation, outputs, env };
}

class Resolver {
  readonly #jobs: ReadonlyMap<string, JobResult>;
  readonly #options: PathOptions;
  readonly #done = new Map<string, Resolved>();
  /** What is being resolved, outermost first. */
  readonly #path: string[] = [];

  constructor(jobs: ReadonlyMap<string, JobResult>, options: PathOptions) {
    this.#jobs = jobs;
    this.#options = options;
  }

  resolve(name: string, job: JobLink): Resolved {
    const known = this.#done.get(name);
    if (known !== undefined) return known;
    const start = this.#path.indexOf(name);
    if (start >= 0) return this.#cycle(start);
    if (this.#path.length === DEEPEST) return { error: "aggregates of aggregates are nested too deeply" };
    this.#path.push(name);
    const resolved = this.#rewrite(name, job, job.draft as Draft);
    this.#path.pop();
    // What is part of a cycle was told so meanwhile.
    const cycle = this.#done.get(name);
    if (cycle === undefined) this.#done.set(name, resolved);
    return cycle ?? resolved;
  }

  /** Everything from `start` on leads back there. */
  #cycle(start: number): Resolved {
    const names = this.#path.slice(start);
    const around = names.length === 1 ? [...names, ...names] : names;
    const resolved = { error: `Dependency cycle: ${around.join(" <-> ")}` };
    for (const name of names) if (!this.#done.has(name)) this.#done.set(name, resolved);
    return resolved;
  }

  #rewrite(name: string, { drvPath }: JobLink, draft: Draft): Resolved {
    const found = new Map<string, JobLink>();
    const broken = new Map<string, string>();
    for (const wanted of draft.named) {
      const names = this.#namesFor(wanted, name, draft.isGlob);
      for (const child of names) {
        const link = this.#link(child);
        if ("error" in link) broken.set(child, link.error);
        else found.set(child, link);
      }
      if (names.length === 0) {
        broken.set(wanted, draft.isGlob ? "constituent glob pattern had no matches" : "does not exist");
      }
    }
    if (broken.size > 0)
      return { error: Array.from(broken, ([child, error]) => `${child}: ${error.trimEnd()}\n`).join("") };
    return this.#dependOn(drvPath, draft, [...found.values()]);
  }

  /** A name means the job of that name; a pattern that is none, all that fit but the aggregate itself. */
  #namesFor(wanted: string, self: string, isGlob: boolean): string[] {
    if (this.#jobs.has(wanted)) return [wanted];
    if (!isGlob) return [];
    const fits = globMatcher(wanted);
    return [...this.#jobs.keys()].filter((name) => name !== self && fits(name));
  }

  /** A job as others depend on it: an aggregate in its new form. */
  #link(name: string): JobResult {
    const job = this.#jobs.get(name) as JobResult;
    if (!("draft" in job)) return job;
    const resolved = this.resolve(name, job);
    // One line: what several are made of would be told in each of them otherwise, and again in those made of them.
    if ("error" in resolved) return { error: resolved.error.split("\n", 1)[0] as string };
    const { path, modulo } = resolved.complete;
    return { ...job, drvPath: path.absolute(this.#options.storeDir), modulo };
  }

  #dependOn(drvPath: string, draft: Draft, children: readonly JobLink[]): Resolved {
    const { name } = StorePath.parseAbsolute(drvPath, this.#options.storeDir);
    const derivation = withoutPaths(parseDerivation(draft.text, name.slice(0, -".drv".length)));
    const inputDrvs = new Map(derivation.inputDrvs);
    const hashes = new Map(Object.entries(draft.inputs));
    for (const child of children) {
      const { outputs, ...rest } = inputDrvs.get(child.drvPath) ?? { outputs: [] };
      inputDrvs.set(child.drvPath, { ...rest, outputs: [...new Set([...outputs, child.output])] });
      hashes.set(child.drvPath, child.modulo);
    }
    const complete = completeDerivation({ ...derivation, inputDrvs }, (path) => hashes.get(path), this.#options);
    return { complete, constituents: children.map((child) => child.drvPath) };
  }
}
