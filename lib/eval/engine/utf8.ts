// Checking that byte strings (one char per byte) are UTF-8.

/**
 * The index of the byte at which `text.slice(from, to)` stops being UTF-8, -1 if it is all valid. It is the byte that
 * cannot follow, and `to` where a sequence is cut off.
 */
export function utf8Fault(text: string, from = 0, to: number = text.length): number {
  let at = from;
  while (at < to) {
    const lead = text.charCodeAt(at);
    at++;
    if (lead < 0x80) continue;
    let rest = 0;
    // Bounds of the second byte: they exclude overlong forms, surrogates and what is beyond U+10FFFF.
    let low = 0x80;
    let high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) rest = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      rest = 2;
      if (lead === 0xe0) low = 0xa0;
      if (lead === 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      rest = 3;
      if (lead === 0xf0) low = 0x90;
      if (lead === 0xf4) high = 0x8f;
    } else return at - 1;
    for (; rest > 0; rest--) {
      if (at >= to) return to;
      const byte = text.charCodeAt(at);
      if (byte < low || byte > high) return at;
      low = 0x80;
      high = 0xbf;
      at++;
    }
  }
  return -1;
}
