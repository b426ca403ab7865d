// Writes derivations as ATerm, the text of .drv files.

import { bytesToLatin1 } from "../base/text.ts";
import { AtermWriter, type Range } from "../formats/aterm.ts";
import { type Derivation, hasDynamicInputs, type InputDrv } from "./model.ts";

/**
 * The text of the .drv file as a byte string, one char per byte. Like Nix, it escapes the builder, the arguments and the
 * variables only: a derivation whose system has a quote in it gets Nix's hashes and a file that nobody can read back,
 * and is refused by `validateDerivation`.
 */
export function writeDerivation(derivation: Derivation): string {
  return withDerivationText(derivation, (text) => bytesToLatin1(text.file()));
}

/** The .drv file's bytes. */
export function derivationBytes(derivation: Derivation): Uint8Array {
  return withDerivationText(derivation, (text) => text.file().slice());
}

/** Writers that nobody uses: one, unless a derivation is hashed amid the hashing of another. */
const idle: AtermWriter[] = [];
/** A writer that has become larger than this is not kept. */
const KEPT_BYTES = 1 << 20;

/** Makes texts of a derivation; what `use` is given is good until it returns. */
export function withDerivationText<T>(derivation: Derivation, use: (text: DerivationText) => T): T {
  const writer = idle.pop() ?? new AtermWriter();
  try {
    return use(new DerivationText(derivation, writer));
  } finally {
    writer.clear();
    if (writer.capacity <= KEPT_BYTES) idle.push(writer);
  }
}

/**
 * A derivation of which several texts are made, that differ in the input derivations and the output paths: the file,
 * and the forms that are hashed. What they share is written once and then copied.
 */
export class DerivationText {
  readonly #derivation: Derivation;
  readonly #writer: AtermWriter;
  /** All from the sources on, but for the values of variables named like outputs. */
  readonly #rest: Range;
  readonly #holes: { readonly name: string; readonly at: number }[] = [];

  constructor(derivation: Derivation, writer: AtermWriter) {
    this.#derivation = derivation;
    this.#writer = writer;
    const { outputs, inputSrcs, system, builder, args, env } = derivation;
    const start = writer.length;
    writer.raw(",");
    writeNames(writer, inputSrcs);
    writer.raw(`,"${system}",`);
    writer.quoted(builder);
    writer.raw(",");
    writer.quotedList(args);
    writer.raw(",[");
    let before = "(";
    inOrder(env, (value, name) => {
      writer.raw(before);
      writer.quoted(name);
      writer.raw(",");
      if (outputs.has(name)) this.#holes.push({ name, at: writer.length });
      else writer.quoted(value);
      writer.raw(")");
      before = ",(";
    });
    writer.raw("])");
    this.#rest = { start, end: writer.length };
  }

  /** Writes a list of input derivations, by path or by whatever else the keys are. */
  inputs(inputs: ReadonlyMap<string, InputDrv>): Range {
    const writer = this.#writer;
    const start = writer.length;
    let before = '[("';
    inOrder(inputs, (input, key) => {
      writer.raw(before);
      writer.raw(key);
      writer.raw('",');
      writeInput(writer, input);
      writer.raw(")");
      before = ',("';
    });
    writer.raw(inputs.size === 0 ? "[]" : "]");
    return { start, end: writer.length };
  }

  /** The contents of the .drv file, until something else is written. */
  file(): Uint8Array {
    return this.write(this.inputs(this.#derivation.inputDrvs));
  }

  /**
   * The text with `inputs` in place of the derivation's own, until another one is written. The paths of outputs, in
   * their entries and in the variables named like them, are as they are in the derivation by now, or blank.
   */
  write(inputs: Range, blank = false): Uint8Array {
    const writer = this.#writer;
    const { outputs, env } = this.#derivation;
    const start = writer.length;
    writer.raw(hasDynamicInputs(this.#derivation) ? 'DrvWithVersion("xp-dyn-drv",[' : "Derive([");
    let before = "(";
    inOrder(outputs, ({ path, hashAlgo, hash }, name) => {
      writer.raw(`${before}"${name}","${blank ? "" : path}","${hashAlgo}","${hash}")`);
      before = ",(";
    });
    writer.raw("],");
    writer.again(inputs.start, inputs.end);
    let from = this.#rest.start;
    for (const { name, at } of this.#holes) {
      writer.again(from, at);
      writer.quoted(blank ? "" : (env.get(name) as string));
      from = at;
    }
    writer.again(from, this.#rest.end);
    return writer.bytes({ start, end: writer.length });
  }
}

function writeInput(writer: AtermWriter, input: InputDrv): void {
  const { dynamicOutputs } = input;
  if (dynamicOutputs === undefined || dynamicOutputs.size === 0) return writeNames(writer, input.outputs);
  writer.raw("(");
  writeNames(writer, input.outputs);
  let before = ',[("';
  inOrder(dynamicOutputs, (inner, name) => {
    writer.raw(`${before}${name}",`);
    writeInput(writer, inner);
    writer.raw(")");
    before = ',("';
  });
  writer.raw("])");
}

/** Writes a sorted list of strings that never need escaping. */
function writeNames(writer: AtermWriter, names: readonly string[]): void {
  if (names.length === 0) return writer.raw("[]");
  if (names.length === 1) return writer.raw(`["${names[0]}"]`);
  writer.raw(`["${names.toSorted(byBytes).join('","')}"]`);
}

/** Goes through a map by key, bytewise: as it is where it is in that order, as most are. */
function inOrder<T>(map: ReadonlyMap<string, T>, each: (value: T, key: string) => void): void {
  let previous = "";
  let ordered = true;
  map.forEach((_, key) => {
    if (key < previous) ordered = false;
    previous = key;
  });
  if (ordered) map.forEach(each);
  else for (const key of [...map.keys()].sort(byBytes)) each(map.get(key) as T, key);
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
