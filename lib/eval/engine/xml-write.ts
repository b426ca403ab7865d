// Writing XML in the one layout that Nix uses: two spaces per level, an element per line.

/** Attributes of an element; written in the order of their names. */
export type XmlAttributes = Readonly<Record<string, string>>;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': "&quot;",
  "<": "&lt;",
  ">": "&gt;",
  "&": "&amp;",
  // A line feed would be read back as a space.
  "\n": "&#xA;",
};

/** Collects an XML document; all text is one char per byte and only escaped, not checked. */
export class XmlWriter {
  readonly #parts: string[] = ["<?xml version='1.0' encoding='utf-8'?>\n"];
  readonly #open: string[] = [];

  /** Opens an element, writes what is inside, and closes it. */
  element(name: string, attributes: XmlAttributes, inside: () => void): void {
    this.#line(`<${name}${attributesText(attributes)}>`);
    this.#open.push(name);
    inside();
    this.#open.pop();
    this.#line(`</${name}>`);
  }

  /** Writes an element without contents. */
  empty(name: string, attributes: XmlAttributes = {}): void {
    this.#line(`<${name}${attributesText(attributes)} />`);
  }

  /** The document so far. */
  get text(): string {
    return this.#parts.join("");
  }

  #line(text: string): void {
    this.#parts.push("  ".repeat(this.#open.length), text, "\n");
  }
}

function attributesText(attributes: XmlAttributes): string {
  let out = "";
  for (const name of Object.keys(attributes).sort()) {
    out += ` ${name}="${(attributes[name] as string).replace(/["<>&\n]/g, (char) => ESCAPES[char] as string)}"`;
  }
  return out;
}
