// Evaluating the Nix language: from source text to values, with all I/O behind one interface.
//
// The room reads in this order. source.ts and diagnostic.ts say where something is and show it to people; syntax/ makes
// a tree of a text. What follows turns the tree into a program of resolved names and runs it. Everything in here works
// on byte strings: JS strings with one char (0…255) per byte, because Nix strings, names and files are bytes. Text is
// decoded only where people see it. This file: a piece of source text, and lines and columns in it.

import { bytesToLatin1, decodeUtf8, latin1ToBytes } from "../base/text.ts";

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** A place in a source as people count: both from 1, the column in bytes (as Nix counts). */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where a source came from. */
export const SourceOrigin = {
  /** A file; the name is its absolute path. */
  File: 0,
  /** An expression given as a string; shown as `«string»`. */
  String: 1,
  /** Standard input; shown as `«stdin»`. */
  Stdin: 2,
  /** What is behind a built-in function written in Nix; shown as `«name»`. */
  BuiltIn: 3,
} as const;
export type SourceOrigin = (typeof SourceOrigin)[keyof typeof SourceOrigin];

/** A source text with its name. Offsets into it are byte offsets; lines are found when first asked for. */
export class Source {
  readonly origin: SourceOrigin;
  /** The path for a file, `«string»` or `«stdin»` else; a byte string. */
  readonly name: string;
  /** The directory that relative paths in the text start from: absolute, canonical, a byte string. */
  readonly directory: string;
  /** The text as a byte string. */
  readonly text: string;
  private lines: Uint32Array | undefined;

  private constructor(origin: SourceOrigin, name: string, directory: string, text: string) {
    this.origin = origin;
    this.name = name;
    this.directory = directory;
    this.text = text;
  }

  /** The content of the file at an absolute path (a byte string). */
  static file(path: string, content: Uint8Array | string): Source {
    const slash = path.lastIndexOf("/");
    return new Source(SourceOrigin.File, path, slash <= 0 ? "/" : path.slice(0, slash), toByteString(content));
  }

  /** An expression from elsewhere; `text` is ordinary JS text unless it is given as bytes. */
  static string(text: Uint8Array | string, directory = "/"): Source {
    const bytes = typeof text === "string" ? textToByteString(text) : toByteString(text);
    return new Source(SourceOrigin.String, "\xc2\xabstring\xc2\xbb", directory, bytes);
  }

  /** The text behind a built-in function that is written in Nix. */
  static builtIn(name: string, text: string): Source {
    return new Source(SourceOrigin.BuiltIn, `\xc2\xab${name}\xc2\xbb`, "/", textToByteString(text));
  }

  /** What was read from standard input. */
  static stdin(content: Uint8Array | string, directory = "/"): Source {
    return new Source(SourceOrigin.Stdin, "\xc2\xabstdin\xc2\xbb", directory, toByteString(content));
  }

  /** Line and column of an offset (0 … text length). */
  position(offset: number): Position {
    const starts = this.lineStarts();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] as number) + 1 };
  }

  /** How many lines there are, at least 1. */
  get lineCount(): number {
    return this.lineStarts().length;
  }

  /** The bytes of a line (from 1) without its line break; empty outside of the text. */
  line(line: number): string {
    const starts = this.lineStarts();
    const start = starts[line - 1];
    if (start === undefined) return "";
    let end = starts[line] ?? this.text.length;
    while (end > start && isLineBreak(this.text.charCodeAt(end - 1))) end--;
    return this.text.slice(start, end);
  }

  /** The offset at which each line starts. A line ends with `\n`, `\r\n` or `\r`. */
  private lineStarts(): Uint32Array {
    this.lines ??= Uint32Array.from(findLineStarts(this.text));
    return this.lines;
  }
}

function findLineStarts(text: string): number[] {
  const starts = [0];
  if (!text.includes("\r")) {
    // The engine's search is many times faster than a loop over chars.
    for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
    return starts;
  }
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === LINE_FEED || (char === CARRIAGE_RETURN && text.charCodeAt(i + 1) !== LINE_FEED)) starts.push(i + 1);
  }
  return starts;
}

function isLineBreak(char: number): boolean {
  return char === LINE_FEED || char === CARRIAGE_RETURN;
}

function toByteString(content: Uint8Array | string): string {
  return typeof content === "string" ? content : bytesToLatin1(content);
}

/** JS text as the byte string of its UTF-8 encoding. */
export function textToByteString(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return bytesToLatin1(new TextEncoder().encode(text));
  }
  return text;
}

/** A byte string as text for people: UTF-8 where it is, else each byte above 127 as `\xNN`. */
export function byteStringToText(bytes: string): string {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes.charCodeAt(i) > 127) return decodeUtf8(latin1ToBytes(bytes)) ?? escapeHigh(bytes);
  }
  return bytes;
}

function escapeHigh(bytes: string): string {
  return bytes.replace(/[\u0080-\u00ff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}
