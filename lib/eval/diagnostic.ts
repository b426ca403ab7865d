// A message about source text, as data, and how it is shown to people: snippets, labels, notes, the trace.
//
// Sources are byte strings; messages are text. Whoever puts a name or value from a program into a message decodes it
// first (`byteStringToText`).

import { byteStringToText, type Source } from "./source.ts";
import { TvixError } from "../base/error.ts";

/** A piece of source text and what to say about it. Offsets are bytes, `end` exclusive. */
export interface Label {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
  /** A few words, or empty to only mark the place. */
  readonly text: string;
}

/** One step on the way to an error: "while calling …", "while evaluating the attribute …". */
export interface TraceFrame {
  readonly text: string;
  readonly label?: Label;
}

/** What went wrong or deserves a look. The first label is the main one. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  /** `ERR_…` or `WARN_…`, for programs. */
  readonly code: string;
  /** One sentence, as text (not bytes); its wording follows Nix's where Nix has one. */
  readonly message: string;
  readonly labels: readonly Label[];
  readonly notes?: readonly string[];
  /** What to do about it. */
  readonly help?: string;
  /** Outermost step last. */
  readonly trace?: readonly TraceFrame[];
}

/** A {@link Diagnostic} thrown. */
export class DiagnosticError extends TvixError {
  readonly diagnostic: Diagnostic;

  constructor(diagnostic: Diagnostic) {
    super(diagnostic.code, diagnostic.message, { notes: diagnostic.notes ?? [] });
    this.name = "DiagnosticError";
    this.diagnostic = diagnostic;
  }
}

/** Decorates text, as with a colour. */
export type Paint = (text: string) => string;

/** How the parts of a rendered message are coloured; each gets text and gives it back decorated. */
export interface Styler {
  readonly error: Paint;
  readonly warning: Paint;
  readonly message: Paint;
  readonly gutter: Paint;
  readonly mark: Paint;
  readonly help: Paint;
}

const same: Paint = (text) => text;

/** Leaves text as it is. */
export const PLAIN_STYLE: Styler = {
  error: same,
  warning: same,
  message: same,
  gutter: same,
  mark: same,
  help: same,
};

const escape =
  (codes: string): Paint =>
  (text) =>
    `\u001b[${codes}m${text}\u001b[0m`;

/** ANSI colours, for terminals. */
export const ANSI_STYLE: Styler = {
  error: escape("31;1"),
  warning: escape("35;1"),
  message: escape("1"),
  gutter: escape("34;1"),
  mark: escape("31;1"),
  help: escape("32"),
};

/** How a message is laid out. */
export interface RenderOptions {
  readonly style?: Styler;
  /** Show at most this many trace frames (the innermost ones); all when absent. */
  readonly traceLimit?: number;
}

/** A diagnostic as text of several lines, without a line break at the end. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions = {}): string {
  const style = options.style ?? PLAIN_STYLE;
  const paint = diagnostic.severity === "error" ? style.error : style.warning;
  const lines = [`${paint(`${diagnostic.severity}:`)} ${style.message(diagnostic.message)}`];
  for (const group of groupLabels(diagnostic.labels)) lines.push(...snippet(group, style, paint));
  for (const note of diagnostic.notes ?? []) lines.push(`  ${style.gutter("=")} note: ${note}`);
  if (diagnostic.help !== undefined) lines.push(`  ${style.help("=")} help: ${diagnostic.help}`);
  lines.push(...renderTrace(diagnostic.trace ?? [], options.traceLimit ?? Number.POSITIVE_INFINITY, style));
  return lines.join("\n");
}

/** Labels by source, in the order of first mention; within a source by position. */
function groupLabels(labels: readonly Label[]): Label[][] {
  const groups = new Map<Source, Label[]>();
  for (const label of labels) {
    const group = groups.get(label.source);
    if (group) group.push(label);
    else groups.set(label.source, [label]);
  }
  return [...groups.values()];
}

/** `file:line:column` as Nix writes it. */
export function locate(label: Label): string {
  const { line, column } = label.source.position(label.start);
  return `${byteStringToText(label.source.name)}:${line}:${column}`;
}

function snippet(labels: readonly Label[], style: Styler, paint: Paint): string[] {
  const main = labels[0] as Label;
  const ordered = [...labels].sort((a, b) => a.start - b.start);
  const last = ordered.at(-1) as Label;
  const width = String(last.source.position(last.start).line).length;
  const bar = `${" ".repeat(width + 1)}${style.gutter("|")}`;
  const lines = [`${" ".repeat(width)}${style.gutter("-->")} ${locate(main)}`, bar];
  let previous = 0;
  let from = 0;
  for (const label of ordered) {
    const { line } = label.source.position(label.start);
    if (previous !== 0 && line > previous + 1) lines.push(style.gutter("..."));
    if (line !== previous) {
      from = windowStart(lineOf(main) === line ? main : label);
      const shown = clip(label.source.line(line), from);
      lines.push(`${style.gutter(String(line).padStart(width))} ${style.gutter("|")} ${shown}`);
    }
    previous = line;
    const mark = label === main ? paint : style.gutter;
    lines.push(`${bar} ${underline(label, line, from, mark)}`);
  }
  return lines;
}

const MAX_WIDTH = 160;

/** What is shown before a label of a line that does not fit. */
const LEAD = 60;
const CUT = "… ";

function lineOf({ source, start }: Label): number {
  return source.position(start).line;
}

/** From which byte of its line a label's snippet is shown. */
function windowStart({ source, start }: Label): number {
  const { column } = source.position(start);
  return column <= MAX_WIDTH ? 0 : boundary(source.line(source.position(start).line), column - 1 - LEAD);
}

/** The first place from `at` on that is not inside a char of several bytes. */
function boundary(line: string, at: number): number {
  while (at < line.length && (line.charCodeAt(at) & 0xc0) === 0x80) at++;
  return at;
}

/** A line made fit to show: tabs as spaces, control characters visible, cut when very long. */
function clip(line: string, from: number): string {
  const end = boundary(line, from + MAX_WIDTH);
  return `${from > 0 ? CUT : ""}${printable(line.slice(from, end))}${line.length > end ? " …" : ""}`;
}

function printable(bytes: string): string {
  return byteStringToText(bytes.replaceAll("\t", "    ")).replace(/[\u0000-\u001f\u007f]/g, "\ufffd");
}

/** The carets below a line. A label over several lines is marked up to the end of its first. */
function underline(label: Label, line: number, from: number, paint: Paint): string {
  const { column } = label.source.position(label.start);
  const text = label.source.line(line);
  const offset = Math.max(0, Math.min(column - 1 - from, MAX_WIDTH));
  const pad = printable(text.slice(from, from + offset)).length + (from > 0 ? CUT.length : 0);
  const covered = text.slice(column - 1, column - 1 + (label.end - label.start));
  const length = Math.max(1, Math.min(printable(covered).length, MAX_WIDTH - offset + 1));
  const words = label.text === "" ? "" : ` ${label.text}`;
  return " ".repeat(pad) + paint("^".repeat(length) + words);
}

function renderTrace(trace: readonly TraceFrame[], limit: number, style: Styler): string[] {
  const lines: string[] = [];
  let shown = 0;
  while (shown < trace.length && lines.length < limit) {
    const frame = trace[shown] as TraceFrame;
    let same = 1;
    while (isSameFrame(frame, trace[shown + same])) same++;
    const place = frame.label ? ` ${style.gutter(`(${locate(frame.label)})`)}` : "";
    lines.push(`  ${style.gutter("…")} ${frame.text}${place}${same > 1 ? `, ${same} times` : ""}`);
    shown += same;
  }
  if (trace.length > shown) lines.push(`  ${style.gutter("…")} and ${trace.length - shown} more`);
  return lines;
}

function isSameFrame(a: TraceFrame, b: TraceFrame | undefined): boolean {
  return (
    b !== undefined && a.text === b.text && a.label?.source === b.label?.source && a.label?.start === b.label?.start
  );
}

/**
 * The names that `name` may be a misspelling of, best first, at most `limit`. A name is near when the number of
 * insertions, deletions, replacements and swaps of neighbours is at most a third of its length (and at least one).
 */
export function suggestNames(name: string, candidates: Iterable<string>, limit = 3): string[] {
  const allowed = Math.max(1, Math.floor(name.length / 3));
  const found: { name: string; distance: number }[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > allowed || candidate === name) continue;
    const distance = editDistance(name, candidate, allowed);
    if (distance <= allowed) found.push({ name: candidate, distance });
  }
  const surplus = (other: string): number => Math.abs(other.length - name.length);
  found.sort((a, b) => a.distance - b.distance || surplus(a.name) - surplus(b.name) || (a.name < b.name ? -1 : 1));
  return found.slice(0, limit).map((entry) => entry.name);
}

/** Damerau–Levenshtein distance (adjacent swaps count one), or a number above `bound` once it must exceed it. */
export function editDistance(a: string, b: string, bound: number): number {
  let older: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const equal = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      let cost = Math.min(
        (previous[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (previous[j - 1] as number) + (equal ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (older[j - 2] as number) + 1);
      row.push(cost);
      if (cost < best) best = cost;
    }
    if (best > bound) return best;
    older = previous;
    previous = row;
  }
  return previous[b.length] as number;
}

/** "did you mean …?" for a list of {@link suggestNames}, or undefined when it is empty. */
export function didYouMean(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const quoted = names.map((name) => `'${name}'`);
  if (quoted.length === 1) return `did you mean ${quoted[0]}?`;
  return `did you mean one of ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}?`;
}
