// `tvix store doctor`: looks stores over, one line a check, and says what to do about what is wrong.
import { parseAddress } from "../../../store/address.ts";
import { Composition } from "../../../store/compose/file.ts";
import { examineStore, type Finding } from "../../../store/doctor.ts";
import { openStore } from "../../../store/open.ts";
import { EXIT, paint } from "../../render/error.ts";
import { print } from "../../output.ts";
import type { StoreOptions } from "./session.ts";

const MARKS: Readonly<Record<Finding["outcome"], string>> = { good: "✓", no: "–", bad: "✗" };

/** Checks the store, and of a composition every store that it describes. Exits with 1 when anything is wrong. */
export async function run(flags: StoreOptions): Promise<void> {
  let bad = 0;
  for await (const finding of examineAll(flags.store)) {
    if (finding.outcome === "bad") bad++;
    await print(flags.json ? `${JSON.stringify(finding)}\n` : render(finding));
  }
  if (bad > 0) process.exitCode = EXIT.failed;
  if (!flags.json) await print(bad === 0 ? "all is well\n" : `${bad} checks failed\n`);
}

async function* examineAll(address: string | undefined): AsyncGenerator<Finding> {
  const parsed = parseAddress(address);
  if (parsed.kind !== "compose") {
    yield* examineStore(address ?? "the default store", () => openStore(address));
    return;
  }
  const composition = await Composition.read(parsed.file);
  for (const name of composition.names) yield* examineStore(name, () => composition.open(name, openStore));
}

function render({ store, check, outcome, detail, advice, milliseconds }: Finding): string {
  const mark = outcome === "bad" ? paint("red", MARKS.bad) : MARKS[outcome];
  const lines = [`${mark} ${store}: ${check}: ${detail} (${milliseconds.toFixed(0)} ms)`];
  for (const one of advice) lines.push(`    → ${one}`);
  return `${lines.join("\n")}\n`;
}
