// A value as a tree of jobs: derivations by attribute path, each looked at when it is asked for.
import type { Derivation } from "../derivation/model.ts";
import type { ModuloHash } from "../derivation/hash-modulo.ts";
import { valueToJson } from "../eval/builtins/json.ts";
import { EvalError } from "../eval/error.ts";
import { byteStringToText } from "../eval/source.ts";
import { Attrs } from "../eval/value/attrs.ts";
import { ContextBuilder } from "../eval/value/string.ts";
import { symbol, symbolName } from "../eval/value/symbol.ts";
import { force, Thunk } from "../eval/value/thunk.ts";
import type { Value } from "../eval/value/value.ts";
import { call1 } from "../eval/vm/call.ts";
import { coerceToString, STRONG_COPY } from "../eval/vm/coerce.ts";
import { forceAttrs, forceBool, forceList, forceText } from "../eval/vm/demand.ts";
import type { JobLink } from "./aggregates.ts";
import { drvPathOf, lookInto, type Member, type Place, type WalkOptions } from "./derivation-set.ts";
import type { Session } from "./session.ts";

const NAME = symbol("name");
const SYSTEM = symbol("system");
const META = symbol("meta");
const OUTPUTS = symbol("outputs");
const AGGREGATE = symbol("_hydraAggregate");
const CONSTITUENTS = symbol("constituents");
const GLOB = symbol("_hydraGlobConstituents");
const OUT_PATH = symbol("outPath");

/** The variable that says what a machine must have; with structured attributes, the name in their text. */
const FEATURES = "requiredSystemFeatures";

/** What a job is, as text. */
export interface Job {
  readonly name: string;
  readonly system: string;
  readonly drvPath: string;
  /** The path of each output; `null` where only building will tell it. */
  readonly outputs: Readonly<Record<string, string | null>>;
  /** What a machine must have to build it. */
  readonly requiredSystemFeatures?: readonly string[];
  /** Derivations that must be built first, with the outputs that are used. */
  readonly inputDrvs?: Readonly<Record<string, readonly string[]>>;
  readonly meta?: unknown;
  /** What the function of {@link JobOptions.apply} says of it. */
  readonly extraValue?: unknown;
  /** Of an aggregate: the derivations that it is made of, … */
  readonly constituents?: readonly string[];
  /** … those that it names as jobs, and whether these names are patterns. */
  readonly namedConstituents?: readonly string[];
  readonly globConstituents?: boolean;
}

/** What there is at an attribute path. */
export type Visit =
  | { readonly kind: "job"; readonly job: Job; readonly link?: JobLink }
  /** More to visit: the names below, in order. */
  | { readonly kind: "set"; readonly names: readonly string[] }
  | { readonly kind: "nothing" };

/** What is told of jobs beyond names and paths, and how they are found. */
export interface JobOptions extends WalkOptions {
  readonly meta?: boolean;
  readonly inputDrvs?: boolean;
  /** Whether the parts of aggregates (`_hydraAggregate = true`) are told, and how to depend on each job. */
  readonly constituents?: boolean;
  /** A function of a derivation. */
  readonly apply?: Value;
}

/** A path as it is written: parts joined by dots, in quotes where they hold one. */
export function attrOfPath(path: readonly string[]): string {
  return path.map((part) => (part.includes(".") ? `"${byteStringToText(part)}"` : byteStringToText(part))).join(".");
}

/**
 * Jobs below a value. What was computed for one stays for the others; but a job itself, unless another one needs it, is
 * let go with all that belongs to it. In nixpkgs most are needed by no other: two fifths of the values at its end were
 * theirs. The others may be computed twice, which takes less than collecting around them.
 */
export class JobTree {
  readonly #session: Session;
  readonly #root: () => Value;
  readonly #options: JobOptions;
  readonly #entered = new Map<string, ReadonlyMap<string, Member>>();

  /** @param root computes the value; called when it is first needed, and again if it failed */
  constructor(session: Session, root: () => Value, options: JobOptions) {
    this.#session = session;
    this.#root = root;
    this.#options = options;
  }

  /** Looks at a path (byte strings). @throws EvalError when what is there cannot be evaluated */
  visit(path: readonly string[]): Visit {
    return this.#session.evaluator.guard(() => {
      const place = this.#place(path);
      if (place.kind === "derivation") return this.#visitJob(place.value);
      return place.kind === "members" ? { kind: "set", names: [...place.members.keys()] } : place;
    });
  }

  #place(path: readonly string[]): Place {
    const key = path.join("\0");
    const known = this.#entered.get(key);
    if (known !== undefined) return { kind: "members", members: known };
    const member = path.length === 0 ? { value: this.#root(), entered: true } : this.#member(path);
    const place: Place = member === undefined ? { kind: "nothing" } : this.#look(member);
    if (place.kind === "members") this.#entered.set(key, place.members);
    return place;
  }

  #look({ value, entered }: Member): Place {
    if (!(value instanceof Thunk)) return lookInto({ value, entered }, this.#options);
    const twin = value.twin();
    const place = lookInto({ value: twin, entered }, this.#options);
    if (place.kind !== "derivation") value.adopt(twin);
    return place;
  }

  #member(path: readonly string[]): Member | undefined {
    const parent = this.#place(path.slice(0, -1));
    return parent.kind === "members" ? parent.members.get(path.at(-1) as string) : undefined;
  }

  #visitJob(value: Attrs): Visit {
    const job = this.#job(value);
    const link = this.#options.constituents ? this.#link(drvPathOf(value), job) : undefined;
    return link === undefined ? { kind: "job", job } : { kind: "job", job, link };
  }

  /** What it takes to depend on a job; nothing where its derivation is not known. */
  #link(
    drvPath: string,
    { namedConstituents: named = [], globConstituents: isGlob = false }: Job,
  ): JobLink | undefined {
    const { known } = this.#session;
    const derivation = known.outline(drvPath);
    const modulo = known.lookup(drvPath);
    const text = known.text(drvPath);
    if (derivation === undefined || modulo === undefined) return undefined;
    const [output = "out"] = [...derivation.outputs.keys()].sort();
    const link = { drvPath, output, modulo };
    if (named.length === 0 || text === undefined) return link;
    const inputs = Array.from(derivation.inputDrvs.keys(), (path) => [path, known.lookup(path) as ModuloHash] as const);
    return { ...link, draft: { named, isGlob, text, inputs: Object.fromEntries(inputs) } };
  }

  #job(value: Attrs): Job {
    const drvPath = drvPathOf(value);
    const { meta, inputDrvs, constituents, apply } = this.#options;
    const { evaluator } = this.#session;
    return {
      name: textAt(value, NAME) ?? "",
      system: textAt(value, SYSTEM) ?? "unknown",
      drvPath: byteStringToText(drvPath),
      outputs: outputsOf(value, evaluator.settings.storeDir),
      ...this.#requirements(drvPath),
      ...(inputDrvs ? { inputDrvs: this.#inputDrvs(drvPath) } : {}),
      ...(meta ? { meta: this.#meta(value) } : {}),
      ...(constituents && isAggregate(value) ? this.#constituents(value) : {}),
      ...(apply === undefined ? {} : { extraValue: this.#json(call1(apply, value)) }),
    };
  }

  #json(value: Value): unknown {
    return JSON.parse(byteStringToText(valueToJson(this.#session.evaluator, value, new ContextBuilder())));
  }

  /** Constituents are derivations, or names of jobs. */
  #constituents(value: Attrs): Pick<Job, "constituents" | "namedConstituents" | "globConstituents"> {
    const { evaluator, known } = this.#session;
    const constituents = new Set<string>();
    const namedConstituents: string[] = [];
    const parts = value.get(CONSTITUENTS);
    if (parts === undefined) {
      throw new EvalError("ERR_EVAL_ARGUMENT", "derivation must have a 'constituents' attribute");
    }
    for (const item of forceList(parts, "the attribute 'constituents'")) {
      const context = new ContextBuilder();
      const text = coerceToString(evaluator, item, STRONG_COPY, context);
      for (const element of context.context) {
        const part = known.element(element);
        if (part.kind === "output") constituents.add(byteStringToText(part.drv));
      }
      if (typeof force(item) === "string") namedConstituents.push(byteStringToText(text));
    }
    const glob = value.get(GLOB);
    return {
      constituents: [...constituents],
      namedConstituents,
      globConstituents: glob !== undefined && forceBool(glob, "the attribute '_hydraGlobConstituents'"),
    };
  }

  #requirements(drvPath: string): { requiredSystemFeatures?: readonly string[] } {
    const { known } = this.#session;
    // Few have any, and reading the files of all to learn it would be felt.
    if (known.text(drvPath)?.includes(FEATURES) === false) return {};
    const derivation = known.derivation(drvPath);
    const features = derivation === undefined ? [] : requiredSystemFeatures(derivation);
    return features.length === 0 ? {} : { requiredSystemFeatures: features };
  }

  #inputDrvs(drvPath: string): Record<string, readonly string[]> {
    const inputs = this.#session.known.outline(drvPath)?.inputDrvs ?? [];
    return Object.fromEntries(Array.from(inputs, ([path, { outputs }]) => [byteStringToText(path), outputs]));
  }

  /** `meta` as JSON; without what has no JSON form or cannot be evaluated. */
  #meta(value: Attrs): unknown {
    const set = force(value.get(META) ?? null);
    if (!(set instanceof Attrs)) return null;
    const { shape, values } = set.flatten();
    const out: Record<string, unknown> = {};
    for (const [i, key] of shape.keys.entries()) {
      try {
        out[byteStringToText(symbolName(key))] = this.#json(values[i] as Value);
      } catch {
        // The job is one without this part.
      }
    }
    return out;
  }
}

function isAggregate(value: Attrs): boolean {
  const flag = value.get(AGGREGATE);
  return flag !== undefined && forceBool(flag, "the attribute '_hydraAggregate'");
}

function requiredSystemFeatures({ env }: Derivation): readonly string[] {
  const json = env.get("__json");
  if (json === undefined) return byteStringToText(env.get(FEATURES) ?? "").match(/\S+/g) ?? [];
  const { requiredSystemFeatures: features } = JSON.parse(byteStringToText(json)) as Record<string, unknown>;
  return Array.isArray(features) ? features.filter((feature) => typeof feature === "string") : [];
}

function textAt(set: Attrs, key: number): string | undefined {
  const value = set.get(key);
  return value === undefined
    ? undefined
    : byteStringToText(forceText(value, `the '${symbolName(key)}' attribute of a derivation`));
}

/** The paths of the outputs that a derivation names; those that it does not tell are left out. */
function outputsOf(value: Attrs, storeDir: string): Record<string, string | null> {
  const named = value.get(OUTPUTS);
  const outputs: Record<string, string | null> = {};
  const known = (path: string): string | null => (path.startsWith(`${storeDir}/`) ? path : null);
  if (named === undefined) {
    const path = textAt(value, OUT_PATH);
    return path === undefined ? outputs : { out: known(path) };
  }
  for (const item of forceList(named, "the 'outputs' attribute of a derivation")) {
    const name = forceText(item, "the name of an output of a derivation");
    const output = value.get(symbol(name));
    if (output === undefined) continue;
    const path = textAt(forceAttrs(output, `the output '${name}' of a derivation`), OUT_PATH);
    if (path !== undefined) outputs[byteStringToText(name)] = known(path);
  }
  return outputs;
}
