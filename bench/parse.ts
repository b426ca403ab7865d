// Rows: reading Nix source, all of a nixpkgs checkout (TVIX_NIXPKGS).
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DiagnosticError } from "../lib/eval/diagnostic.ts";
import { Source } from "../lib/eval/source.ts";
import { parse } from "../lib/eval/syntax/parser.ts";
import type { BenchRow } from "./row.ts";

const nixpkgs = process.env["TVIX_NIXPKGS"];

/** MB a second that the parser is to read when it is warm. */
const REACH = 40;

let sources: Source[] = [];

function collect(): Source[] {
  return readdirSync(nixpkgs ?? "", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".nix"))
    .map((name) => join(nixpkgs ?? "", name))
    .map((path) => Source.file(path, readFileSync(path)));
}

function parseAll(): void {
  for (const source of sources) {
    try {
      parse(source);
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
    }
  }
}

/** GB of source per second of processor time. */
function throughput(): number {
  const before = process.cpuUsage();
  parseAll();
  const { user, system } = process.cpuUsage(before);
  const bytes = sources.reduce((sum, { text }) => sum + text.length, 0);
  return bytes / 1e9 / ((user + system) / 1e6);
}

export const rows: readonly BenchRow[] =
  nixpkgs === undefined || !existsSync(nixpkgs)
    ? []
    : [
        {
          name: "parse",
          work: "parsing every file of nixpkgs, warm",
          peer: `${REACH} MB/s`,
          reach: 1,
          sense: "throughput",
          prepare: () => {
            sources = collect();
            parseAll();
            return Promise.resolve();
          },
          ours: () => Promise.resolve(throughput()),
          peers: () => Promise.resolve(REACH / 1000),
          cleanup: () => {
            sources = [];
            return Promise.resolve();
          },
        },
      ];
