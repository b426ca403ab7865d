// `npm run bench -- [NAME…] [--json] [--samples N] [--node PATH]`: runs rows interleaved with their peers and prints medians.
//
// Every row of bench/ compares a piece of our work with somebody else's in the same run: one sample of ours, one of
// theirs, in turns, so that a noisy machine disturbs both alike. The table shows medians and their ratio; `--json`
// prints one line a row instead: name, ours, peer, ratio, reach, pass. Where a row says what starting the programs
// costs, `beyond` is both sides without it and their ratio. `--node` names another Node to run our programs with.
import { styleText } from "node:util";
import { TvixError } from "../lib/base/error.ts";
import type { BenchRow } from "./row.ts";

/** Where rows live; a file is loaded only when one of its rows may be wanted. */
const files: Readonly<Record<string, () => Promise<{ readonly rows: readonly BenchRow[] }>>> = {
  hash: () => import("./hash.ts"),
  chunk: () => import("./chunk.ts"),
  store: () => import("./store.ts"),
  castore: () => import("./castore.ts"),
  parse: () => import("./parse.ts"),
  eval: () => import("./eval.ts"),
  "server-http": () => import("./server-http.ts"),
  nixpkgs: () => import("./nixpkgs.ts"),
  grpc: () => import("./grpc.ts"),
  s3: () => import("./s3.ts"),
  mount: () => import("./mount.ts"),
};

interface Outcome {
  readonly name: string;
  readonly work: string;
  readonly against: string;
  readonly ours: number;
  readonly peer: number;
  readonly unit: "s" | "GB" | "GB/s";
  readonly ratio: number;
  readonly beyond?: { readonly ours: number; readonly peer: number; readonly ratio: number };
  readonly reach: number | null;
  readonly pass: boolean | null;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const UNITS = { time: "s", size: "GB", throughput: "GB/s" } as const;

async function measure(row: BenchRow, samples: number): Promise<Outcome> {
  const ours: number[] = [];
  const peers: number[] = [];
  const starts: { ours: number; peer: number }[] = [];
  await row.prepare?.();
  try {
    for (let i = 0; i < samples; i++) {
      ours.push(await row.ours());
      peers.push(await row.peers());
      if (row.starts !== undefined) starts.push(await row.starts());
    }
  } finally {
    await row.cleanup?.();
  }
  const [our, peer] = [median(ours), median(peers)];
  const ratio = our / peer;
  const pass = row.reach === null ? null : row.sense === "throughput" ? ratio >= row.reach : ratio <= row.reach;
  const unit = UNITS[row.sense];
  const figures = { ours: our, peer, unit, ratio, reach: row.reach, pass };
  const outcome = { name: row.name, work: row.work, against: row.peer, ...figures };
  return starts.length === 0 ? outcome : { ...outcome, beyond: beyondStart(our, peer, starts) };
}

/** What is left when each program's own start is taken off. */
function beyondStart(
  our: number,
  peer: number,
  starts: readonly { ours: number; peer: number }[],
): NonNullable<Outcome["beyond"]> {
  const ours = our - median(starts.map((start) => start.ours));
  const theirs = peer - median(starts.map((start) => start.peer));
  return { ours, peer: theirs, ratio: ours / theirs };
}

const columns = ["name", "work", "peer", "ours", "theirs", "ratio", "reach"] as const;
const widths = [16, 52, 40, 11, 11, 7, 8] as const;

function line(cells: readonly string[]): string {
  return cells.map((cell, i) => (i >= 3 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(" ");
}

function render(outcome: Outcome, sense: BenchRow["sense"]): string {
  const figure = (value: number): string => `${value.toPrecision(3)} ${outcome.unit}`;
  const reach = outcome.reach === null ? "report" : `${sense === "throughput" ? "≥" : "≤"} ${outcome.reach}`;
  const { beyond } = outcome;
  const text = `${line([
    outcome.name,
    outcome.work,
    outcome.against,
    figure(outcome.ours),
    figure(outcome.peer),
    outcome.ratio.toFixed(2),
    reach,
  ])}${beyond ? `  beyond the start ${figure(beyond.ours)} / ${figure(beyond.peer)} = ${beyond.ratio.toFixed(2)}` : ""}`;
  if (!process.stdout.isTTY || outcome.pass === null) return `${text}${outcome.pass === false ? "  MISSED" : ""}`;
  return styleText(outcome.pass ? "green" : "red", text);
}

async function main(args: readonly string[]): Promise<void> {
  const json = args.includes("--json");
  const at = args.indexOf("--samples");
  const samples = at < 0 ? 5 : Number(args[at + 1]);
  if (!Number.isInteger(samples) || samples < 1) {
    throw new TvixError("ERR_BENCH_USAGE", "--samples wants a whole number from 1");
  }
  const nodeAt = args.indexOf("--node");
  // Rows read it when they are loaded.
  if (nodeAt >= 0) process.env["TVIX_NODE"] = args[nodeAt + 1];
  const valued = [at, nodeAt].filter((i) => i >= 0).map((i) => i + 1);
  const names = args.filter((arg, i) => !arg.startsWith("--") && !valued.includes(i));
  const rows = (await Promise.all(Object.values(files).map(async (load) => (await load()).rows))).flat();
  const unknown = names.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) {
    const known = rows.map((row) => row.name).join(", ");
    throw new TvixError("ERR_BENCH_USAGE", `no row ${unknown.join(", ")}; there are: ${known}`);
  }
  if (!json) console.log(line(columns));
  let missed = 0;
  for (const row of rows) {
    if (names.length > 0 && !names.includes(row.name)) continue;
    const outcome = await measure(row, samples);
    if (outcome.pass === false) missed++;
    const { work: _work, against: _against, ...figures } = outcome;
    console.log(json ? JSON.stringify(figures) : render(outcome, row.sense));
  }
  process.exitCode = missed === 0 ? 0 : 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof TvixError ? `error: ${error.message}` : error);
  process.exitCode = 2;
}
