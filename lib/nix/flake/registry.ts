// Registries: what names like `nixpkgs` stand for.
//
// Three are looked through, the nearest first: the user's (`nix/registry.json` below the configuration directory), the
// system's (`/etc/nix/registry.json`), and the one that everybody shares, which is downloaded.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { bytesToLatin1, toByteString } from "../../base/text.ts";
import { type FetchContext, type InputAttrs, inputError, textAttr, unicodeText, withAttrs } from "../fetch/input.ts";
import { fetchErrors, formatInput } from "../fetch/inputs.ts";
import { type FlakeRef, flakeRefFromAttrs, formatFlakeRef } from "./reference.ts";

/** Which registries count: all, or only that which everybody shares, so that a program means the same everywhere. */
export type RegistryUse = "all" | "shared";

interface Entry {
  readonly from: FlakeRef;
  readonly to: FlakeRef;
  /** Whether nothing but exactly `from` is meant. */
  readonly isExact: boolean;
}

/** How often one name may stand for another. */
const STEPS = 100;

/** What an indirect reference stands for; any other reference is itself. @throws EvalError `ERR_EVAL_FETCH` */
export function lookUp(ref: FlakeRef, context: FetchContext, use: RegistryUse): FlakeRef {
  let at = ref;
  const registries = registriesOf(context, use);
  for (let step = 0; at.input.get("type") === "indirect"; step++) {
    if (step === STEPS) throw inputError(`cycle detected in flake registry for '${formatFlakeRef(ref)}'`);
    const next = findEntry(registries(), at);
    if (next === undefined) throw inputError(`cannot find flake '${formatInput(at.input)}' in the flake registries`);
    at = next;
  }
  return at;
}

/** Reads the registries as far as they are looked through. */
function registriesOf(context: FetchContext, use: RegistryUse): () => Iterable<readonly Entry[]> {
  const { XDG_CONFIG_HOME } = process.env;
  const config = XDG_CONFIG_HOME && isAbsolute(XDG_CONFIG_HOME) ? XDG_CONFIG_HOME : join(homedir(), ".config");
  const files = use === "all" ? [join(config, "nix/registry.json"), "/etc/nix/registry.json"] : [];
  return function* () {
    for (const file of files) yield readRegistryFile(file);
    yield sharedRegistry(context);
  };
}

function findEntry(registries: Iterable<readonly Entry[]>, ref: FlakeRef): FlakeRef | undefined {
  for (const entries of registries) {
    for (const { from, to, isExact } of entries) {
      const found = applyEntry(from.input, to, isExact, ref);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function applyEntry(from: InputAttrs, to: FlakeRef, isExact: boolean, ref: FlakeRef): FlakeRef | undefined {
  const { input } = ref;
  if (from.get("type") !== "indirect" || from.get("id") !== input.get("id")) return undefined;
  const same = from.get("ref") === input.get("ref") && from.get("rev") === input.get("rev");
  if (isExact) return same ? withDir(to, ref) : undefined;
  if (same) return withDir(to, ref);
  if (from.has("ref") || from.has("rev")) return undefined;
  const wanted = new Map(to.input);
  // A revision that is asked for takes the place of what the registry names.
  if (input.has("ref") || input.has("rev")) {
    wanted.delete("ref");
    wanted.delete("rev");
  }
  const merged = withAttrs(wanted, { ref: textAttr(input, "ref"), rev: textAttr(input, "rev") });
  return withDir({ ...to, input: merged }, ref);
}

function withDir(to: FlakeRef, { dir }: FlakeRef): FlakeRef {
  return dir === "" ? to : { ...to, dir };
}

function readRegistryFile(file: string): readonly Entry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return parseRegistry(text, file);
}

function sharedRegistry({ fetcher }: FetchContext): readonly Entry[] {
  const url = fetcher.flakeRegistry;
  if (url === "") return [];
  const location = url.startsWith("/") ? `file://${url}` : url;
  const text = fetchErrors(
    () => {
      const { root } = fetcher.call("file", { url: location, ttl: fetcher.ttl }).tree;
      return root.type === "file" ? unicodeText(bytesToLatin1(fetcher.reader.file(root.digest))) : "";
    },
    `the flake registry '${toByteString(url)}'`,
  );
  return parseRegistry(text, url);
}

/** Reads `{"version": 2, "flakes": [{"from": …, "to": …, "exact": true}]}`. @throws EvalError */
export function parseRegistry(text: string, where: string): readonly Entry[] {
  const bad = (why: string) => inputError(`the flake registry '${toByteString(where)}' ${why}`);
  let registry: { version?: unknown; flakes?: unknown };
  try {
    registry = JSON.parse(text) as typeof registry;
  } catch {
    throw bad("is not JSON");
  }
  if (registry.version !== 2) throw bad(`has unsupported version ${String(registry.version)}`);
  if (!Array.isArray(registry.flakes)) throw bad("has no list of flakes");
  return registry.flakes.map((flake: { from?: unknown; to?: unknown; exact?: unknown }) => ({
    from: flakeRefFromAttrs(attrsOf(flake.from, bad)),
    to: flakeRefFromAttrs(attrsOf(flake.to, bad)),
    isExact: flake.exact === true,
  }));
}

function attrsOf(value: unknown, bad: (why: string) => Error): InputAttrs {
  const attrs = new Map<string, string | number | boolean>();
  for (const [name, item] of Object.entries(value ?? {})) {
    if (typeof item === "string") attrs.set(name, toByteString(item));
    else if (typeof item === "number" || typeof item === "boolean") attrs.set(name, item);
    else throw bad(`has an attribute '${name}' that is no text, number or truth value`);
  }
  return attrs;
}
