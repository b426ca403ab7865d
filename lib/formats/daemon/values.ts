// The compound values of the daemon's protocol.

import { TvixError } from "../../base/error.ts";
import type { ContentAddress } from "../content-address.ts";
import type { NixHash } from "../hash.ts";
import type { Signature } from "../signature.ts";
import { StorePath } from "../store-path.ts";
import {
  bool,
  type Codec,
  choice,
  contentAddress,
  list,
  map,
  narHash,
  optional,
  optionalPath,
  path,
  record,
  signature,
  since,
  string,
  u64,
} from "./codec.ts";

/** What a store knows about a path. Times are in seconds since 1970. */
export interface PathInfoFields {
  readonly deriver?: StorePath | undefined;
  readonly narHash: NixHash;
  readonly references: readonly StorePath[];
  readonly registrationTime: number;
  readonly narSize: number;
  /** Whether it was built here, so that it needs no signature. */
  readonly ultimate: boolean;
  readonly signatures: readonly Signature[];
  readonly ca?: ContentAddress | undefined;
}

/** The same with the path itself. */
export interface ValidPathInfo extends PathInfoFields {
  readonly path: StorePath;
}

const pathInfoFields = {
  deriver: optionalPath,
  narHash,
  references: list(path),
  registrationTime: u64,
  narSize: u64,
  ultimate: bool,
  signatures: list(signature),
  ca: contentAddress,
} as const;

export const pathInfo: Codec<PathInfoFields> = record<PathInfoFields>(pathInfoFields);
export const validPathInfo: Codec<ValidPathInfo> = record<ValidPathInfo>({ path, ...pathInfoFields });

/** Something to be made valid: a path itself, or outputs of a derivation by name (`"*"` for all). */
export interface DerivedPath {
  readonly path: StorePath;
  readonly outputs?: "*" | readonly string[];
}

/** On the wire `path`, `drv!*` or `drv!out,dev`. */
export const derivedPath: Codec<DerivedPath> = {
  read: async (reader, { storeDir }) => {
    const text = await reader.string();
    const mark = text.indexOf("!");
    if (mark < 0) return { path: StorePath.parseAbsolute(text, storeDir) };
    const of = StorePath.parseAbsolute(text.slice(0, mark), storeDir);
    const names = text.slice(mark + 1);
    if (names === "*") return { path: of, outputs: "*" };
    const outputs = names.split(",");
    if (outputs.includes("")) throw new TvixError("ERR_DAEMON_VALUE", `'${text.slice(0, 300)}' names no output`);
    return { path: of, outputs };
  },
  write: (writer, value, { storeDir }) => {
    const of = value.path.absolute(storeDir);
    if (value.outputs === undefined) writer.string(of);
    else writer.string(`${of}!${value.outputs === "*" ? "*" : value.outputs.join(",")}`);
  },
};

/** How to build: as needed, to repair, or to check that the result is the same again. */
export type BuildMode = "normal" | "repair" | "check";
export const buildMode: Codec<BuildMode> = choice<BuildMode>(["normal", "repair", "check"]);

/** How a build ended. */
export type BuildStatus = (typeof BUILD_STATUS)[number];
const BUILD_STATUS = [
  "built",
  "substituted",
  "already valid",
  "permanent failure",
  "input rejected",
  "output rejected",
  "transient failure",
  "cached failure",
  "timed out",
  "misc failure",
  "dependency failed",
  "log limit exceeded",
  "not deterministic",
  "resolves to already valid",
  "no substituters",
] as const;

/** A build's result. Times are in seconds since 1970, processor times in microseconds. */
export interface BuildResult {
  readonly status: BuildStatus;
  readonly error: string;
  readonly timesBuilt: number;
  readonly isNonDeterministic: boolean;
  readonly startTime: number;
  readonly stopTime: number;
  readonly cpuUser?: number | undefined;
  readonly cpuSystem?: number | undefined;
  /** Realisations in JSON by `<derivation hash>!<output>`. */
  readonly builtOutputs: ReadonlyMap<string, string>;
}

export const buildResult: Codec<BuildResult> = record<BuildResult>({
  status: choice(BUILD_STATUS),
  error: string,
  timesBuilt: u64,
  isNonDeterministic: bool,
  startTime: u64,
  stopTime: u64,
  cpuUser: since(37, optional(u64), undefined),
  cpuSystem: since(37, optional(u64), undefined),
  builtOutputs: map(string),
});

/** A result and what it is of. */
export interface KeyedBuildResult {
  readonly path: DerivedPath;
  readonly result: BuildResult;
}
export const keyedBuildResult: Codec<KeyedBuildResult> = record<KeyedBuildResult>({
  path: derivedPath,
  result: buildResult,
});

/** An output of a derivation, as in its file. */
export interface BasicOutput {
  readonly path: string;
  readonly hashAlgo: string;
  readonly hash: string;
}

/** A derivation whose inputs are paths only. */
export interface BasicDerivation {
  readonly outputs: ReadonlyMap<string, BasicOutput>;
  readonly inputSrcs: readonly StorePath[];
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
}

export const basicDerivation: Codec<BasicDerivation> = record<BasicDerivation>({
  outputs: map(record<BasicOutput>({ path: string, hashAlgo: string, hash: string })),
  inputSrcs: list(path),
  system: string,
  builder: string,
  args: list(string),
  env: map(string),
});

/** A client's settings for the connection; seconds for the longest silence. */
export interface ClientOptions {
  readonly keepFailed: boolean;
  readonly keepGoing: boolean;
  readonly tryFallback: boolean;
  readonly verbosity: number;
  readonly maxBuildJobs: number;
  readonly maxSilentTime: number;
  readonly unusedBuildHook: number;
  readonly verboseBuild: number;
  readonly unusedLogType: number;
  readonly unusedPrintTrace: number;
  readonly buildCores: number;
  readonly useSubstitutes: boolean;
  readonly overrides: ReadonlyMap<string, string>;
}

export const clientOptions: Codec<ClientOptions> = record<ClientOptions>({
  keepFailed: bool,
  keepGoing: bool,
  tryFallback: bool,
  verbosity: u64,
  maxBuildJobs: u64,
  maxSilentTime: u64,
  unusedBuildHook: u64,
  verboseBuild: u64,
  unusedLogType: u64,
  unusedPrintTrace: u64,
  buildCores: u64,
  useSubstitutes: bool,
  overrides: map(string),
});
