// TOML documents: chosen ones beside random arrangements of headers and keys that may collide.
import { readFileSync } from "node:fs";
import { random } from "../engine/regex-cases.ts";

/** Documents that each show one rule, one char per byte. */
const chosen = JSON.parse(readFileSync(new URL("toml-texts.json", import.meta.url), "utf8")) as string[];

/** A document of a few lines over three names, so that tables meet in every way. */
function randomDocument(below: (n: number) => number): string {
  const name = (): string => "abc"[below(3)] as string;
  const key = (): string => Array.from({ length: 1 + below(3) }, name).join(".");
  const values = ["1", "{}", "{a=1}", "[]", "[{}]", '"s"', "{a.b=1}"];
  const lines: string[] = [];
  for (let count = 1 + below(6); count > 0; count--) {
    const kind = below(5);
    if (kind < 2) lines.push(`${key()}=${values[below(values.length)]}`);
    else lines.push(kind === 4 ? `[[${key()}]]` : `[${key()}]`);
  }
  return lines.join("\n");
}

/** All documents. */
export function tomlDocuments(): string[] {
  const below = random(7);
  return [...chosen, ...Array.from({ length: 250 }, () => randomDocument(below))];
}
