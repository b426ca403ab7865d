// Attribute names as small integers: equal names have equal symbols within the process, and nowhere else.

/** An interned attribute name. Symbols are process-specific: whatever is stored or sent keeps names. */
export type Sym = number;

const ids = new Map<string, Sym>();
const names: string[] = [];

/** The symbol of a name (a byte string). */
export function symbol(name: string): Sym {
  let id = ids.get(name);
  if (id === undefined) {
    id = names.length;
    ids.set(name, id);
    names.push(name);
  }
  return id;
}

/** The symbol of a name when anything ever used that name; `undefined` means that no attribute set can have it. */
export function knownSymbol(name: string): Sym | undefined {
  return ids.get(name);
}

/** The name of a symbol. */
export function symbolName(id: Sym): string {
  return names[id] as string;
}

/** How many names are interned. */
export function symbolCount(): number {
  return names.length;
}
