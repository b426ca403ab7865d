// Which bytes may stand where: one table of flags, indexed by byte.

/** `[a-zA-Z_]`: starts an identifier. */
export const NAME_START = 1;
/** `[a-zA-Z0-9_'-]`: continues an identifier. */
export const NAME_PART = 2;
/** `[a-zA-Z0-9._+-]`: a path segment. */
export const PATH_PART = 4;
/** `[a-zA-Z0-9+.-]`: a URI scheme after its first letter. */
export const SCHEME_PART = 8;
/** `[a-zA-Z0-9%/?:@&=+$,_.!~*'-]`: a URI after the colon. */
export const URI_PART = 16;
/** `[0-9]`. */
export const DIGIT = 32;
/** Space, tab, line feed, carriage return. */
export const SPACE = 64;

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS = "0123456789";

/** The flags of each byte. One entry more than there are bytes, so that index 256 can stand for the end of the text. */
export const CHAR_FLAGS: Uint8Array = flags();

function flags(): Uint8Array {
  const table = new Uint8Array(257);
  const mark = (chars: string, flag: number): void => {
    for (let i = 0; i < chars.length; i++) {
      const code = chars.charCodeAt(i);
      table[code] = (table[code] as number) | flag;
    }
  };
  mark(LETTERS + "_", NAME_START);
  mark(LETTERS + DIGITS + "_'-", NAME_PART);
  mark(LETTERS + DIGITS + "._+-", PATH_PART);
  mark(LETTERS + DIGITS + "+.-", SCHEME_PART);
  mark(LETTERS + DIGITS + "%/?:@&=+$,_.!~*'-", URI_PART);
  mark(DIGITS, DIGIT);
  mark(" \t\n\r", SPACE);
  return table;
}
