// EvalIO that notes everything asked of another one, so that an evaluation can be known to still hold, or be traced.

import type { EvalIO } from "../io.ts";

/** The operations of EvalIO. */
export type IoOperation = Exclude<keyof EvalIO, "isHost">;

/** One question and its answer; a failure is an answer too. */
export interface IoRecord {
  readonly operation: IoOperation;
  /** The path or the name of the variable; empty for the time. */
  readonly subject: string;
  readonly answer: { readonly value: unknown } | { readonly error: string };
}

/** Passes everything on to `io` and tells `note` of each question with its answer, and `before` ahead of asking. */
export function recordingIO(
  io: EvalIO,
  note: (record: IoRecord) => void,
  before?: (operation: IoOperation, subject: string) => void,
): EvalIO {
  const wrap =
    <T>(operation: IoOperation, ask: (subject: string) => T) =>
    (subject: string): T => {
      before?.(operation, subject);
      let value: T;
      try {
        value = ask(subject);
      } catch (error) {
        note({ operation, subject, answer: { error: error instanceof Error ? error.message : String(error) } });
        throw error;
      }
      note({ operation, subject, answer: { value } });
      return value;
    };
  const time = wrap("time", () => io.time());
  return {
    isHost: io.isHost === true,
    fileType: wrap("fileType", (path) => io.fileType(path)),
    readFile: wrap("readFile", (path) => io.readFile(path)),
    isExecutable: wrap("isExecutable", (path) => io.isExecutable(path)),
    readDirectory: wrap("readDirectory", (path) => io.readDirectory(path)),
    readLink: wrap("readLink", (path) => io.readLink(path)),
    realPath: wrap("realPath", (path) => io.realPath(path)),
    variable: wrap("variable", (name) => io.variable(name)),
    time: () => time(""),
  };
}
