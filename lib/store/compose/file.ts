// Stores composed in a TOML file: each has a name, and some are made of others.
//
//   [stores.root]                 the one that is opened
//   type = "cache"
//   near = "disk"
//   far = ["office", "nixos"]     asked by priority, then in this order
//
//   [stores.disk]
//   url = "/var/lib/tvix"         any address; relative paths are relative to the file
//
//   [stores.office]
//   url = "grpc+http://office:8000"
//   read-only = true
//   priority = 10                 default: 50
//
//   [stores.nixos]
//   url = "nix+https://cache.nixos.org"
//
// The tables below say which keys each type has. Whole stores are composed, not blob, directory and path-info services
// apart: what belongs together stays together.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { TvixError, unreachable } from "../../base/error.ts";
import { parsePublicKey } from "../../formats/signature.ts";
import type { OpenOptions } from "../open.ts";
import { readSecretKey, SigningPathInfoService } from "../sign.ts";
import type { Store } from "../store.ts";
import { cachedStore } from "./cached.ts";
import { readOnlyStore } from "./read-only.ts";
import { verifiedStore } from "./verified.ts";
import { wrapStore } from "./wrap.ts";

/** Opens a store by its address: `openStore`, which this file cannot import in turn. */
export type Opener = (address: string, options: OpenOptions) => Promise<Store>;

type Kind = "text" | "texts" | "number" | "flag";

const COMMON: Readonly<Record<string, Kind>> = { type: "text", "read-only": "flag", priority: "number" };

/** Keys by type; the first of each is required, and those in `NEEDED`. */
const KEYS = {
  url: { url: "text" },
  cache: { near: "text", far: "texts", fetch: "text", writes: "text" },
  signing: { store: "text", "key-file": "text" },
  verified: { store: "text", "trusted-keys": "texts" },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Kind>>>>;

type Type = keyof typeof KEYS;

const NEEDED: ReadonlySet<string> = new Set(["url", "near", "far", "store", "key-file", "trusted-keys"]);
const CHOICES: Readonly<Record<string, readonly string[]>> = { fetch: ["lazy", "whole"], writes: ["near", "through"] };
const PRIORITY = 50;

/** A store as the file describes it, checked. */
interface Described {
  readonly name: string;
  readonly type: Type;
  readonly values: Readonly<Record<string, unknown>>;
}

/** A composition that was read and found sound: every name leads somewhere, none in a circle. */
export class Composition {
  readonly file: string;
  readonly #stores: ReadonlyMap<string, Described>;

  private constructor(file: string, stores: ReadonlyMap<string, Described>) {
    this.file = file;
    this.#stores = stores;
  }

  /** Reads a file. @throws TvixError `ERR_COMPOSE_FILE`, or what {@link parse} throws */
  static async read(file: string): Promise<Composition> {
    try {
      return Composition.parse(await readFile(file, "utf8"), file);
    } catch (cause) {
      if (cause instanceof TvixError) throw cause;
      throw new TvixError("ERR_COMPOSE_FILE", `the composition ${file} cannot be read`, { cause });
    }
  }

  /**
   * Reads the text of a file.
   * @throws TvixError `ERR_COMPOSE_SYNTAX`, `ERR_COMPOSE_KEY`, `ERR_COMPOSE_VALUE`, `ERR_COMPOSE_NAME`,
   *   `ERR_COMPOSE_CYCLE`, each with the place in the file
   */
  static parse(text: string, file: string): Composition {
    const at = new Places(text, file);
    const top = parseToml(text, file);
    for (const key of Object.keys(top)) {
      if (key !== "stores") throw at.error("ERR_COMPOSE_KEY", [key], `"${key}" is not known; there is only "stores"`);
    }
    const stores = new Map<string, Described>();
    for (const [name, table] of Object.entries(asTable(top["stores"] ?? {}, at, ["stores"]))) {
      stores.set(name, describe(name, asTable(table, at, ["stores", name]), at));
    }
    if (stores.size === 0) throw at.error("ERR_COMPOSE_VALUE", [], "it describes no store");
    for (const { name, key, to } of references(stores)) {
      if (!stores.has(to)) throw at.error("ERR_COMPOSE_NAME", ["stores", name, key], `there is no store "${to}"`);
    }
    const circle = findCircle(stores);
    if (circle)
      throw at.error("ERR_COMPOSE_CYCLE", ["stores", circle[0] as string], `${circle.join(" → ")} is a circle`);
    return new Composition(file, stores);
  }

  get names(): readonly string[] {
    return [...this.#stores.keys()];
  }

  /**
   * Opens one store and those it is made of, each once. Closing it closes them.
   * @throws TvixError `ERR_COMPOSE_NAME`, or what opening one of them throws, with its name in a note
   */
  async open(name: string, opener: Opener, options: OpenOptions = {}): Promise<Store> {
    if (!this.#stores.has(name)) {
      throw new TvixError("ERR_COMPOSE_NAME", `${this.file} describes no store "${name}"`, {
        notes: [`it describes ${this.names.join(", ")}`],
      });
    }
    const opened = new Map<string, Promise<Store>>();
    const leaves: Store[] = [];
    const { readOnly: _, ...others } = options;
    const open = (each: string): Promise<Store> => {
      // Who only reads a cache still has what is read kept near: only the store that was asked for is held to it.
      const given = each === name ? options : others;
      const known = opened.get(each) ?? this.#make(this.#stores.get(each) as Described, open, opener, given, leaves);
      opened.set(each, known);
      return known;
    };
    const close = async (): Promise<void> => {
      for (const leaf of leaves.splice(0)) await leaf.close();
    };
    try {
      return wrapStore(await open(name), { address: `compose:${this.file}#${name}`, close });
    } catch (error) {
      await Promise.allSettled(opened.values());
      await close();
      throw error;
    }
  }

  async #make(
    { name, type, values }: Described,
    open: (name: string) => Promise<Store>,
    opener: Opener,
    options: OpenOptions,
    leaves: Store[],
  ): Promise<Store> {
    const readOnly = values["read-only"] === true || options.readOnly === true;
    const made = await this.#makeType(name, type, values, open, async (address) => {
      const leaf = await opener(address, { ...options, ...(readOnly && { readOnly }) });
      leaves.push(leaf);
      return leaf;
    });
    // A local store that was opened for reading refuses writes by itself.
    return readOnly && made.local === undefined ? readOnlyStore(made) : made;
  }

  async #makeType(
    name: string,
    type: Type,
    values: Described["values"],
    open: (name: string) => Promise<Store>,
    leaf: (address: string) => Promise<Store>,
  ): Promise<Store> {
    switch (type) {
      case "url":
        return await leaf(this.#relative(values["url"] as string)).catch((cause: unknown) => {
          if (!(cause instanceof TvixError)) throw cause;
          const notes = [`this is the store "${name}" of ${this.file}`, ...cause.notes];
          throw new TvixError(cause.code, cause.message, { cause, notes });
        });
      case "cache": {
        const far = this.#byPriority(values["far"] as readonly string[]);
        return cachedStore(await open(values["near"] as string), await Promise.all(far.map(open)), values);
      }
      case "signing": {
        const inner = await open(values["store"] as string);
        const key = await readSecretKey(resolve(dirname(this.file), values["key-file"] as string));
        return wrapStore(inner, { pathInfos: new SigningPathInfoService(inner.pathInfos, key, inner.storeDir) });
      }
      case "verified": {
        const keys = (values["trusted-keys"] as readonly string[]).map(parsePublicKey);
        return verifiedStore(await open(values["store"] as string), keys);
      }
      default:
        return unreachable(type);
    }
  }

  /** Lower is asked first; among equals, the order of the file. */
  #byPriority(names: readonly string[]): string[] {
    const priority = (name: string) => (this.#stores.get(name)?.values["priority"] as number | undefined) ?? PRIORITY;
    return [...names].sort((a, b) => priority(a) - priority(b));
  }

  #relative(address: string): string {
    return /^\.{1,2}(\/|$)/.test(address) ? resolve(dirname(this.file), address) : address;
  }
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const why = cause.message.split("\n")[0]?.replace("Invalid TOML document: ", "");
    throw new TvixError("ERR_COMPOSE_SYNTAX", `${file}:${cause.line}:${cause.column}: ${why}`, { cause });
  }
}

function asTable(value: unknown, at: Places, path: readonly string[]): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    return value as Record<string, unknown>;
  }
  throw at.error("ERR_COMPOSE_VALUE", path, `"${path.join(".")}" is not a table`);
}

function describe(name: string, table: Record<string, unknown>, at: Places): Described {
  const fail = (code: string, key: string, why: string): never => {
    throw at.error(code, ["stores", name, key], why);
  };
  const given = table["type"] ?? ("url" in table ? "url" : undefined);
  if (given === undefined) return fail("ERR_COMPOSE_KEY", "type", `the store "${name}" has neither a url nor a type`);
  const types = Object.keys(KEYS).join(", ");
  if (typeof given !== "string" || !Object.hasOwn(KEYS, given)) {
    return fail("ERR_COMPOSE_VALUE", "type", `${JSON.stringify(given)} is no type of store; there are ${types}`);
  }
  const type = given as Type;
  const known: Readonly<Record<string, Kind>> = { ...COMMON, ...KEYS[type] };
  for (const [key, value] of Object.entries(table)) {
    const kind = Object.hasOwn(known, key) ? known[key] : undefined;
    if (kind === undefined) {
      return fail(
        "ERR_COMPOSE_KEY",
        key,
        `a store of type ${type} has no "${key}"; it has ${Object.keys(known).join(", ")}`,
      );
    }
    if (!isOfKind(value, kind)) return fail("ERR_COMPOSE_VALUE", key, `"${key}" is not a ${kind}`);
    const choices = CHOICES[key];
    if (choices && !choices.includes(value as string)) {
      return fail("ERR_COMPOSE_VALUE", key, `"${key}" is ${choices.join(" or ")}, not "${String(value)}"`);
    }
  }
  for (const key of Object.keys(KEYS[type])) {
    if (NEEDED.has(key) && !(key in table)) return fail("ERR_COMPOSE_KEY", "", `the store "${name}" has no "${key}"`);
  }
  return { name, type, values: table };
}

function isOfKind(value: unknown, kind: Kind): boolean {
  if (kind === "texts") return Array.isArray(value) && value.every((each) => typeof each === "string");
  if (kind === "number") return Number.isSafeInteger(value);
  return typeof value === (kind === "text" ? "string" : "boolean");
}

/** Which stores are named by which. */
function* references(stores: ReadonlyMap<string, Described>): Generator<{ name: string; key: string; to: string }> {
  for (const { name, values } of stores.values()) {
    for (const key of ["near", "far", "store"]) {
      for (const to of [values[key] ?? []].flat()) yield { name, key, to: to as string };
    }
  }
}

/** The names along a circle, the first again at the end. */
function findCircle(stores: ReadonlyMap<string, Described>): string[] | undefined {
  const edges = [...references(stores)];
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const { to } of edges.filter((edge) => edge.name === name)) {
      const circle = visit(to, [...path, name]);
      if (circle) return circle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of stores.keys()) {
    const circle = visit(name, []);
    if (circle) return circle;
  }
  return undefined;
}

/** Where things are in the text: the parser does not say, so headers and keys are looked for line by line. */
class Places {
  readonly #lines: readonly string[];
  readonly #file: string;

  constructor(text: string, file: string) {
    this.#lines = text.split("\n");
    this.#file = file;
  }

  /** An error at a table or key; at the nearest thing around it that has a line of its own. */
  error(code: string, path: readonly string[], why: string): TvixError {
    return new TvixError(code, `${this.#file}:${this.#line(path)}: ${why}`);
  }

  #line(path: readonly string[]): number {
    let table = "";
    let best = { depth: 0, line: 1 };
    for (const [i, line] of this.#lines.entries()) {
      const header = /^\s*\[+([^\]]+)\]/.exec(line)?.[1];
      const key = /^\s*([^#=[]+?)\s*=/.exec(line)?.[1];
      if (header !== undefined) table = plain(header);
      else if (key === undefined) continue;
      const here = [table, key === undefined ? "" : plain(key)].filter(Boolean).join(".");
      for (let depth = path.length; depth > best.depth; depth--) {
        if (here === path.slice(0, depth).join(".")) best = { depth, line: i + 1 };
      }
    }
    return best.line;
  }
}

/** A dotted name without quotes and blanks. */
function plain(name: string): string {
  return name
    .split(".")
    .map((part) => part.trim().replace(/^(["'])(.*)\1$/, "$2"))
    .join(".");
}
