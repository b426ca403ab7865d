// Sets of bytes, and the named classes and characters that a bracket expression may mention.

/** A set of bytes: 256 bits in eight words. Treated as immutable once it is part of a pattern. */
export type ByteSet = Uint32Array;

/** The empty set, freshly made. */
export function emptySet(): ByteSet {
  return new Uint32Array(8);
}

/** The set of one byte. */
export function singleton(byte: number): ByteSet {
  const set = emptySet();
  addByte(set, byte);
  return set;
}

/** Adds a byte in place. */
export function addByte(set: ByteSet, byte: number): void {
  set[byte >> 5] = (set[byte >> 5] as number) | (1 << (byte & 31));
}

/** Adds all of `other` in place. */
export function addSet(set: ByteSet, other: ByteSet): void {
  for (let i = 0; i < 8; i++) set[i] = (set[i] as number) | (other[i] as number);
}

/** Whether the byte is in the set. */
export function hasByte(set: ByteSet, byte: number): boolean {
  return (((set[byte >> 5] as number) >>> (byte & 31)) & 1) === 1;
}

/** Whether no byte is in the set. */
export function isEmptySet(set: ByteSet): boolean {
  return set.every((word) => word === 0);
}

/** Whether all bytes of strings are in the set: NUL is not one. */
export function isFullSet(set: ByteSet): boolean {
  return set.every((word, i) => word >>> 0 === (i === 0 ? 0xfffffffe : 0xffffffff) || word >>> 0 === 0xffffffff);
}

/** Whether the sets share a byte. */
export function intersects(a: ByteSet, b: ByteSet): boolean {
  for (let i = 0; i < 8; i++) if (((a[i] as number) & (b[i] as number)) !== 0) return true;
  return false;
}

/** All bytes not in the set. */
export function complement(set: ByteSet): ByteSet {
  return set.map((word) => ~word);
}

/** The bytes of a set as inclusive ranges, ascending. */
export function rangesOf(set: ByteSet): readonly (readonly [number, number])[] {
  const ranges: [number, number][] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (!hasByte(set, byte)) continue;
    const first = byte;
    while (byte < 255 && hasByte(set, byte + 1)) byte++;
    ranges.push([first, byte]);
  }
  return ranges;
}

function bytesWhere(holds: (byte: number) => boolean): ByteSet {
  const set = emptySet();
  for (let byte = 0; byte < 256; byte++) if (holds(byte)) addByte(set, byte);
  return set;
}

const isUpper = (b: number): boolean => b >= 0x41 && b <= 0x5a;
const isLower = (b: number): boolean => b >= 0x61 && b <= 0x7a;
const isAlpha = (b: number): boolean => isUpper(b) || isLower(b);
const isDigit = (b: number): boolean => b >= 0x30 && b <= 0x39;
const isAlnum = (b: number): boolean => isAlpha(b) || isDigit(b);
const isGraph = (b: number): boolean => b > 0x20 && b < 0x7f;
const isSpace = (b: number): boolean => b === 0x20 || (b >= 0x09 && b <= 0x0d);

/** Classes of the C locale; libstdc++ also knows the three Perl letters by these names. */
const CLASSES: ReadonlyMap<string, ByteSet> = new Map([
  ["d", bytesWhere(isDigit)],
  ["w", bytesWhere((b) => isAlnum(b) || b === 0x5f)],
  ["s", bytesWhere(isSpace)],
  ["alnum", bytesWhere(isAlnum)],
  ["alpha", bytesWhere(isAlpha)],
  ["blank", bytesWhere((b) => b === 0x20 || b === 0x09)],
  ["cntrl", bytesWhere((b) => b < 0x20 || b === 0x7f)],
  ["digit", bytesWhere(isDigit)],
  ["graph", bytesWhere(isGraph)],
  ["lower", bytesWhere(isLower)],
  ["print", bytesWhere((b) => b === 0x20 || isGraph(b))],
  ["punct", bytesWhere((b) => isGraph(b) && !isAlnum(b))],
  ["space", bytesWhere(isSpace)],
  ["upper", bytesWhere(isUpper)],
  ["xdigit", bytesWhere((b) => isDigit(b) || (b >= 0x41 && b <= 0x46) || (b >= 0x61 && b <= 0x66))],
]);

/** The POSIX names of the 128 ASCII characters, in order. */
const COLLATING_NAMES: readonly string[] = [
  ..."NUL SOH STX ETX EOT ENQ ACK alert backspace tab newline vertical-tab form-feed carriage-return SO SI".split(" "),
  ..."DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC IS4 IS3 IS2 IS1".split(" "),
  ..."space exclamation-mark quotation-mark number-sign dollar-sign percent-sign ampersand apostrophe".split(" "),
  ..."left-parenthesis right-parenthesis asterisk plus-sign comma hyphen period slash".split(" "),
  ..."zero one two three four five six seven eight nine".split(" "),
  ..."colon semicolon less-than-sign equals-sign greater-than-sign question-mark commercial-at".split(" "),
  ..."A B C D E F G H I J K L M N O P Q R S T U V W X Y Z".split(" "),
  ..."left-square-bracket backslash right-square-bracket circumflex underscore grave-accent".split(" "),
  ..."a b c d e f g h i j k l m n o p q r s t u v w x y z".split(" "),
  ..."left-curly-bracket vertical-line right-curly-bracket tilde DEL".split(" "),
];

/** The bytes of `[:name:]`, case of the name ignored; `undefined` for an unknown name. */
export function classNamed(name: string): ByteSet | undefined {
  return CLASSES.get(name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
}

/** The byte of `[.name.]`; `undefined` for an unknown name (punctuation is known by its long names only). */
export function collatingElement(name: string): number | undefined {
  const byte = COLLATING_NAMES.indexOf(name);
  return byte === -1 ? undefined : byte;
}

/** The bytes of `[=x=]`: in the C locale, the letter in both cases, or just the character. */
export function equivalents(byte: number): ByteSet {
  const set = singleton(byte);
  if (isAlpha(byte)) addByte(set, byte ^ 0x20);
  return set;
}

/** Position of a byte in range order: `char` is signed where Nix is built, so bytes from 0x80 come before NUL. */
function rangeOrder(byte: number): number {
  return byte < 0x80 ? byte : byte - 256;
}

/** The bytes of `from-to`; `undefined` when the ends are in the wrong order. */
export function byteRange(from: number, to: number): ByteSet | undefined {
  const low = rangeOrder(from);
  const high = rangeOrder(to);
  if (low > high) return undefined;
  return bytesWhere((byte) => low <= rangeOrder(byte) && rangeOrder(byte) <= high);
}
