// The boundary between text and bytes: UTF-8, one-char-per-byte strings, and bytes made safe to show.

const encoder = new TextEncoder();
/** Node's own, which are absent in browsers: there the loops below do the same work. */
const { latin1Slice, latin1Write } = (globalThis.Buffer?.prototype ?? {}) as {
  latin1Slice?: () => string;
  latin1Write?: (text: string, at: number, length: number) => number;
};
/** Up to this length a loop writes a text faster than a call out of the engine. */
const SHORT = 24;
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encodes as UTF-8 (lone surrogates become U+FFFD). */
export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes UTF-8, keeping a byte order mark; `undefined` when the bytes are not valid UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** One char (0…255) per byte: the form in which byte strings serve as keys and as Nix strings. */
export function bytesToLatin1(bytes: Uint8Array): string {
  if (latin1Slice !== undefined) return latin1Slice.call(bytes);
  let out = "";
  for (let at = 0; at < bytes.length; at += 8192) out += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return out;
}

/** The inverse of {@link bytesToLatin1}; each char must be at most 255. */
export function latin1ToBytes(text: string): Uint8Array {
  const { length } = text;
  const out = new Uint8Array(length);
  writeLatin1(out, 0, text, length);
  return out;
}

/** Writes a byte string of a known length at a place that has room for it: asking strings of many kinds takes time. */
export function writeLatin1(bytes: Uint8Array, at: number, text: string, length: number): void {
  if (length > SHORT && latin1Write !== undefined) latin1Write.call(bytes, text, at, length);
  else for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** Text as the byte string of its UTF-8. */
export function toByteString(text: string): string {
  return bytesToLatin1(encodeUtf8(text));
}

/** A byte string as text; `undefined` when it is not UTF-8. */
export function fromByteString(bytes: string): string | undefined {
  return decodeUtf8(latin1ToBytes(bytes));
}

/** Bytes as text for a message: UTF-8 where valid, control characters and other bytes as `\xNN`. */
export function displayBytes(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, escapeChar);
  return bytesToLatin1(bytes).replace(/[^\u0020-\u007e]/g, escapeChar);
}

function escapeChar(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
