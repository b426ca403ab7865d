// What emitted JavaScript is: the text, the tables that travel beside it, and how both are safe to make.
//
// Safety: text of the source gets into the output only through `literal` (string constants) and as numbers. Names are
// referred to by index into tables that travel beside the text as data.
//
// Places: an operation that can fail is preceded by a line break, and `lines[n]` is the offset in the Nix source of
// what stands in line n. That is how a JavaScript stack trace becomes a Nix trace at no cost while all goes well.

/** One lambda of the source. */
export interface InfoEntry {
  readonly name: string;
  readonly param: string;
  readonly formals: readonly (readonly [name: number, hasDefault: 0 | 1, at: number])[] | null;
  readonly ellipsis: boolean;
  readonly at: number;
}

/** What travels beside the text; plain data, nothing of it tied to this process. */
export interface EmittedTables {
  /** Attribute names, referred to as `y<n>`. */
  readonly names: readonly string[];
  /** Shapes of set literals as indices into `names`. */
  readonly shapes: readonly (readonly number[])[];
  /** Global names, `g<n>`. */
  readonly globals: readonly string[];
  /** How many set literals and lists of dynamic attributes there are. */
  readonly sets: number;
}

/** What travels beside the text and is seldom looked at. */
export interface EmittedDetails {
  /** By set literal, the offsets of its attributes by slot; by list of dynamic attributes, their offsets. */
  readonly positions: readonly (readonly number[])[];
  /** Lambdas, `I[n]`. */
  readonly infos: readonly InfoEntry[];
  /** By line of the text: the offset in the source, or -1. */
  readonly lines: readonly number[];
}

/** A program as JavaScript. */
export interface Emitted {
  /** An expression: a function of (runtime operations, linked tables) that answers the root's code. */
  readonly text: string;
  readonly tables: EmittedTables;
  details(): EmittedDetails;
}

const MARK = "\u0001";
const MARK_END = "\u0002";

/** A string constant as JavaScript text: the only way for text of the source into the output. */
export function literal(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The operations that the text refers to by name; javascript.ts provides them. */
export const OPERATIONS: readonly string[] = [
  "Thunk",
  "Lambda",
  "EMPTY_ATTRS",
  "delayAll",
  "force",
  "peek",
  "call1",
  "call2",
  "callMany",
  "select",
  "lookup",
  "hasAttr",
  "attrName",
  "lookupWith",
  "bool",
  "equal",
  "less",
  "add",
  "sub",
  "mul",
  "div",
  "override",
  "update",
  "concat",
  "addend",
  "interpolated",
  "interpolate",
  "appended",
  "append",
  "dynamicName",
  "addDynamic",
  "overrideSet",
  "demandPattern",
  "missingArgument",
  "checkUnexpected",
  "assertionFailed",
];

/** What stands before an operation that can fail: the line break to be, with the offset in the source. */
export function mark(at: number): string {
  return at < 0 ? "" : `${MARK}${at}${MARK_END}`;
}

/** Turns marks into line breaks and collects the offsets. */
export function resolveMarks(marked: string): { text: string; lines: number[] } {
  const lines: number[] = [];
  const parts: string[] = [];
  let offset = -1;
  for (const chunk of marked.split(MARK)) {
    const end = chunk.indexOf(MARK_END);
    if (end >= 0) offset = Number(chunk.slice(0, end));
    const text = chunk.slice(end + 1);
    parts.push(text);
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
      lines.push(offset);
      offset = -1;
    }
    lines.push(offset);
    offset = -1;
  }
  return { text: parts.join("\n"), lines };
}
