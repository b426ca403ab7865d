// Flake references: what is written is read back, and whatever is read is a reference or a typed error.
import { fc } from "../../property.ts";
import { expect, test } from "vitest";
import { TvixError } from "../../../lib/base/error.ts";
import { formatUrl, parseUrl, percentDecode, percentEncode } from "../../../lib/nix/fetch/url.ts";
import {
  equalFlakeRefs,
  type FlakeRef,
  flakeRefAttrs,
  flakeRefFromAttrs,
  formatFlakeRef,
  parseFlakeRef,
} from "../../../lib/nix/flake/reference.ts";

const bytes = (options: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.array(fc.integer({ min: 1, max: 255 }), options).map((codes) => String.fromCharCode(...codes));
const rev = fc.stringMatching(/^[0-9a-f]{40}$/);
const ref = fc.stringMatching(/^[a-z][a-z0-9]{0,8}([./+-][a-z0-9]{1,5})?$/).filter((name) => !name.endsWith(".lock"));
const dir = fc.option(bytes({ minLength: 1, maxLength: 10 }), { nil: undefined });
const id = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_-]{0,10}$/);
const url = fc
  .stringMatching(/^https:\/\/[a-z]{1,8}\.org(\/[a-z0-9._~%-]{0,6}){0,3}$/)
  .filter((text) => !/%/.test(text));
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const narHash = maybe(fc.constant(`sha256-${"+/aB".repeat(10)}AAA=`));

const attrs = fc.oneof(
  fc.record({
    type: fc.constant("path"),
    path: bytes().map((path) => `/${path}`),
    narHash,
    revCount: maybe(fc.nat()),
    dir,
  }),
  fc.record({
    type: fc.constant("git"),
    url,
    ref: maybe(ref),
    rev: maybe(rev),
    shallow: maybe(fc.constant(true)),
    dir,
  }),
  fc.record({ type: fc.constant("tarball"), url, narHash, dir }),
  fc.record({ type: fc.constant("hg"), url, ref: maybe(ref), dir }),
  fc.record({ type: fc.constant("indirect"), id, ref: maybe(ref), dir }),
  fc.record({ type: fc.constantFrom("github", "gitlab", "sourcehut"), owner: id, repo: id, rev: maybe(rev), dir }),
);

function refOf(set: object): FlakeRef {
  return flakeRefFromAttrs(new Map(Object.entries(set).filter(([, value]) => value !== undefined)));
}

test("what is written is read back", () => {
  fc.assert(
    fc.property(attrs, (set) => {
      // A path is read with its doubled slashes made single, as Nix does.
      fc.pre(!("path" in set && set.path.includes("//")));
      const reference = refOf(set);
      const text = formatFlakeRef(reference);
      const again = parseFlakeRef(text);
      expect(Object.fromEntries(flakeRefAttrs(again))).toEqual(Object.fromEntries(flakeRefAttrs(reference)));
      expect(equalFlakeRefs(again, reference)).toBe(true);
      expect(formatFlakeRef(again)).toBe(text);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["a/@", "in flake URL 'flake:a/@', '@' is not a commit hash or branch/tag name"],
  ["a/b/c", "in flake URL 'flake:a/b/c', 'c' is not a commit hash"],
])("'%s' has the form of a name in the registries and is none", (text, message) => {
  expect(() => parseFlakeRef(text)).toThrow(expect.objectContaining({ code: "ERR_EVAL_FETCH", message }));
});

test("any text is a reference, which is written and read again the same, or a typed error", () => {
  const prefix = fc.constantFrom(
    "",
    "path:",
    "git+https://",
    "github:",
    "flake:",
    "https://",
    "hg+file:",
    "file+",
    "gitlab:",
    "/",
    "sourcehut:a/",
  );
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom("/", "?", "#", "&", "=", "%", "%2F", "..", "a", "rev=", "dir=", "@", ":"),
      bytes({ maxLength: 3 }),
    ),
  );
  fc.assert(
    fc.property(prefix, pieces, (start, rest) => {
      let reference: FlakeRef;
      try {
        reference = parseFlakeRef(start + rest.join(""), { relative: true });
      } catch (error) {
        expect(error).toBeInstanceOf(TvixError);
        return;
      }
      expect(typeof formatOrFail(reference)).toBe("string");
    }),
    { numRuns: 3000 },
  );
});

/** A revision that is none is only found out when it is written. */
function formatOrFail(reference: FlakeRef): string {
  try {
    return formatFlakeRef(reference);
  } catch (error) {
    if (error instanceof TvixError) return error.code;
    throw error;
  }
}

test("percent signs", () => {
  fc.assert(
    fc.property(bytes(), fc.constantFrom<"" | "/" | "/?">("", "/", "/?"), (text, kept) => {
      expect(percentDecode(percentEncode(text, kept))).toBe(text);
      expect(percentEncode(text, kept)).toMatch(/^[A-Za-z0-9\-._~:@/?%]*$/);
    }),
  );
});

test.each([
  "https://user:pw@example.org:8080/a%20b?x=1#f",
  "http://[::1]:80/",
  "file:///a/b",
  "path:./a",
  "git+ssh://git@example.org/a",
  "x:",
])("%s is a URL", (text) => {
  const parsed = parseUrl(text);
  expect(parsed && formatUrl(parsed)).toBe(text);
});

test.each([
  "",
  "/a",
  "a",
  "1a:b",
  "https://a b/",
  "https://a/%zz",
  "https://a:port/",
  "file://host/a",
  "https://a?\u00ff",
  "a b:c",
])("%j is none", (text) => {
  expect(parseUrl(text)).toBeUndefined();
});
