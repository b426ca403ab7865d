// What fetching expressions evaluate to, compared with what Nix 2.34 answered (recorded in test/data/nix/fetch.json),
// and with what it answers today where there is one (oracle.ts). `TVIX_RECORD=1` records its answers anew.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TvixError } from "../../../lib/base/error.ts";
import { fromByteString, toByteString } from "../../../lib/base/text.ts";
import { fileSystemIO } from "../../../lib/eval/node.ts";
import { forceDeep, printValue } from "../../../lib/eval/vm/print.ts";
import { Fetcher } from "../../../lib/nix/fetch/fetcher.ts";
import { openSession } from "../../../lib/nix/session.ts";
import { CASES, type FetchCase, MERCURIAL_CASES, PURE_CASES } from "./cases.ts";
import { git, HAS_MERCURIAL, makeFixture } from "./fixture.ts";
import { askFetches, HAS_ORACLE } from "./oracle.ts";

const GOLDEN = new URL("../../data/nix/fetch.json", import.meta.url);
const recorded = JSON.parse(readFileSync(GOLDEN, "utf8")) as Record<string, string | null>;

const base = mkdtempSync(join(tmpdir(), "tvix-fetch-"));
const fetcher = new Fetcher({ directory: join(base, "cache"), flakeRegistry: "" });
const facts = new Map<string, string>();

if (!HAS_MERCURIAL) console.warn("SKIPPED: hg is not installed; nothing is fetched from Mercurial repositories");

beforeAll(async () => {
  await makeFixture(base);
  facts.set("rev", git(join(base, "git"), "rev-parse", "HEAD"));
  facts.set("flakeRev", git(join(base, "flakes/git"), "rev-parse", "HEAD"));
  facts.set("narHash", JSON.parse(evaluate('(builtins.fetchTree "path:@/tree").narHash', false) ?? "null") as string);
});

afterAll(async () => {
  await fetcher.close();
  rmSync(base, { recursive: true, force: true });
});

/** The expression for the fixture of this run. */
function complete(text: string): string {
  return text.replace(/@(\w+)@/g, (_, name: string) => facts.get(name) ?? "").replaceAll("@/", `${base}/`);
}

/** The value as Nix prints it; null where evaluating fails. */
function evaluate(text: string, pure: boolean): string | null {
  const { evaluator } = openSession({ io: fileSystemIO(), fetcher, settings: { pure } });
  try {
    const value = evaluator.evaluate(toByteString(complete(text)));
    forceDeep(value);
    return fromByteString(printValue(value, { strict: true })) as string;
  } catch (error) {
    if (error instanceof TvixError) return null;
    throw error;
  }
}

const keyOf = ({ text, pure }: FetchCase): string => (pure ? `pure: ${text}` : text);
const all = [...CASES, ...PURE_CASES, ...(HAS_MERCURIAL ? MERCURIAL_CASES : [])];

describe("as Nix 2.34 evaluates", () => {
  test.each(all.map((one) => [keyOf(one), one] as const))("%s", (key, { text, pure }) => {
    expect(recorded).toHaveProperty([key]);
    expect(evaluate(text, pure)).toBe(recorded[key]);
  });

  test("nothing is recorded that is not asked", () => {
    const asked = new Set([...CASES, ...PURE_CASES, ...MERCURIAL_CASES].map(keyOf));
    expect(Object.keys(recorded).filter((key) => !asked.has(key))).toEqual([]);
  });
});

describe.skipIf(!HAS_ORACLE)("Nix today", () => {
  test("answers what is recorded", { timeout: 300_000 }, () => {
    const answers = askFetches(all.map(({ text, pure }) => ({ text: complete(text), pure })));
    const now = Object.fromEntries(all.map((one, i) => [keyOf(one), answers[i] ?? null]));
    if (process.env["TVIX_RECORD"] === "1") writeFileSync(GOLDEN, `${JSON.stringify(now, null, 1)}\n`);
    else expect(now).toEqual(Object.fromEntries(all.map((one) => [keyOf(one), recorded[keyOf(one)]])));
  });
});
