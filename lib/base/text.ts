// The boundary between text and bytes: UTF-8, one-char-per-byte strings, and bytes made safe to show.

const encoder = new TextEncoder();
/** Absent in browsers, where the loops below do the same work. */
const NodeBuffer: typeof Buffer | undefined = globalThis.Buffer;
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
  if (NodeBuffer) return NodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  let out = "";
  for (let at = 0; at < bytes.length; at += 8192) out += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return out;
}

/** The inverse of {@link bytesToLatin1}; each char must be at most 255. */
export function latin1ToBytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  if (NodeBuffer && text.length > 32) {
    NodeBuffer.from(out.buffer).write(text, "latin1");
    return out;
  }
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
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
