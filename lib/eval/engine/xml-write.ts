// Writing XML in the one layout that Nix uses: two spaces per level, an element per line.
import { ByteWriter } from "../../base/byte-writer.ts";

/** Names and values of attributes in turns, in the order in which they are written: that of the names. */
export type XmlAttributes = readonly string[];

const ESCAPES: Readonly<Record<string, string>> = {
  '"': "&quot;",
  "<": "&lt;",
  ">": "&gt;",
  "&": "&amp;",
  // A line feed would be read back as a space.
  "\n": "&#xA;",
};
/** For each byte, whether it is escaped. */
const IS_ESCAPED: Uint8Array = new Uint8Array(256);
for (const char of Object.keys(ESCAPES)) IS_ESCAPED[char.charCodeAt(0)] = 1;

/** Writes an XML document; all text is one char per byte and only escaped, not checked. */
export class XmlWriter extends ByteWriter {
  #depth = 0;

  constructor() {
    super(256);
    this.raw("<?xml version='1.0' encoding='utf-8'?>\n");
  }

  /** Opens an element, writes what is inside, and closes it. */
  element(name: string, attributes: XmlAttributes, inside: () => void): void {
    this.#tag(name, attributes, ">\n");
    this.#depth++;
    inside();
    this.#depth--;
    this.#indent();
    this.raw("</");
    this.raw(name);
    this.raw(">\n");
  }

  /** Writes an element without contents. */
  empty(name: string, attributes: XmlAttributes = []): void {
    this.#tag(name, attributes, " />\n");
  }

  #tag(name: string, attributes: XmlAttributes, end: string): void {
    this.#indent();
    this.raw("<");
    this.raw(name);
    for (let i = 0; i < attributes.length; i += 2) {
      this.raw(" ");
      this.raw(attributes[i] as string);
      this.raw('="');
      this.#escaped(attributes[i + 1] as string);
      this.raw('"');
    }
    this.raw(end);
  }

  #indent(): void {
    const width = 2 * this.#depth;
    this.reserve(width).fill(0x20, this.end, this.end + width);
    this.end += width;
  }

  #escaped(text: string): void {
    const start = this.end;
    this.raw(text);
    for (let i = start; i < this.end; i++) {
      if (IS_ESCAPED[this.room[i] as number] === 0) continue;
      this.end = start;
      this.raw(text.replace(/["<>&\n]/g, (char) => ESCAPES[char] as string));
      return;
    }
  }
}
