// What programs, files and servers have to say, made fit for standard error: it may move no cursor and rename no window.
//
// As in Nix, colours stay where standard error is a terminal; every other escape sequence and control character goes.
import { bytesToLatin1, decodeUtf8, encodeUtf8, latin1ToBytes } from "../../base/text.ts";

const STDERR = 2;

/** What must not be shown, tabs and line feeds aside; in bytes, the second half of C1 controls has C2 before it. */
const SUSPECT = /[\0-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]/;

/** Escape sequences: CSI, OSC, the other strings, two-character ones; then control characters alone. */
const CONTROL =
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\)?|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x9c|\x1b\\)?|\x1b[ -/]*[0-~]?|[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

const COLOUR = /^\x1b\[[0-9;:]*m$/;

/** Text without control characters but tab, line feed and, on a terminal, colours. */
export function fitForTerminal(text: string, colours: boolean = isTerminal()): string {
  return text.replace(CONTROL, (found) => (colours && COLOUR.test(found) ? found : ""));
}

/** The same for text as UTF-8; bytes in which nothing is found stay as they are. */
export function fitBytesForTerminal(bytes: Uint8Array): Uint8Array {
  const chars = bytesToLatin1(bytes);
  if (!SUSPECT.test(chars)) return bytes;
  const text = decodeUtf8(bytes);
  return text === undefined ? latin1ToBytes(fitForTerminal(chars)) : encodeUtf8(fitForTerminal(text));
}

function isTerminal(): boolean {
  return process.getBuiltinModule("node:tty").isatty(STDERR);
}
