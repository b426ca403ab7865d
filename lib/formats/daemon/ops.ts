// The operation table of the daemon's protocol: each operation's number, what goes in, what comes out.

import { TvixError } from "../../base/error.ts";
import type { Signature } from "../signature.ts";
import type { StorePath } from "../store-path.ts";
import {
  bool,
  type Codec,
  choice,
  done,
  limit,
  list,
  map,
  nothing,
  optional,
  optionalPath,
  path,
  record,
  signature,
  string,
  u64,
} from "./codec.ts";
import {
  type BasicDerivation,
  type BuildMode,
  type BuildResult,
  basicDerivation,
  buildMode,
  buildResult,
  type ClientOptions,
  clientOptions,
  type DerivedPath,
  derivedPath,
  type KeyedBuildResult,
  keyedBuildResult,
  type PathInfoFields,
  pathInfo,
  type ValidPathInfo,
  validPathInfo,
} from "./values.ts";

/** An operation. */
export interface Operation<Request, Reply> {
  /** Its number on the wire. */
  readonly code: number;
  readonly request: Codec<Request>;
  /** What follows the request: a framed stream. */
  readonly upload?: "dump" | "nar" | "log" | "paths";
  readonly reply: Codec<Reply>;
  /** What follows the reply: an archive as it is. */
  readonly download?: "nar";
}

interface OfPath {
  readonly path: StorePath;
}
interface OfPaths {
  readonly paths: readonly StorePath[];
}
interface OfDerivedPaths {
  readonly paths: readonly DerivedPath[];
}

/** What a garbage collection does. */
export type GcAction = "return live" | "return dead" | "delete dead" | "delete specific";

/** The operations that clients of protocol 1.32 and later use, by their names in Nix. */
export interface Operations {
  readonly IsValidPath: Operation<OfPath, boolean>;
  readonly QueryReferrers: Operation<OfPath, readonly StorePath[]>;
  /** The upload is the contents as the method wants them: a flat file's or text's bytes, or an archive. */
  readonly AddToStore: Operation<
    {
      readonly name: string;
      /** As `formatContentMethod` writes it. */
      readonly method: string;
      readonly references: readonly StorePath[];
      readonly repair: boolean;
    },
    ValidPathInfo
  >;
  readonly BuildPaths: Operation<OfDerivedPaths & { readonly mode: BuildMode }, void>;
  readonly EnsurePath: Operation<OfPath, void>;
  readonly AddTempRoot: Operation<OfPath, void>;
  /** A path of the host, not of the store. */
  readonly AddIndirectRoot: Operation<{ readonly link: string }, void>;
  readonly FindRoots: Operation<void, ReadonlyMap<string, StorePath>>;
  readonly SetOptions: Operation<ClientOptions, void>;
  readonly CollectGarbage: Operation<
    {
      readonly action: GcAction;
      readonly pathsToDelete: readonly StorePath[];
      readonly ignoreLiveness: boolean;
      readonly maxFreed: number;
      readonly unused1: number;
      readonly unused2: number;
      readonly unused3: number;
    },
    { readonly paths: readonly string[]; readonly bytesFreed: number; readonly unused: number }
  >;
  readonly QueryAllValidPaths: Operation<void, readonly StorePath[]>;
  readonly QueryPathInfo: Operation<OfPath, PathInfoFields | undefined>;
  readonly QueryPathFromHashPart: Operation<{ readonly hashPart: string }, StorePath | undefined>;
  readonly QueryValidPaths: Operation<OfPaths & { readonly substitute: boolean }, readonly StorePath[]>;
  readonly QuerySubstitutablePaths: Operation<OfPaths, readonly StorePath[]>;
  readonly QueryValidDerivers: Operation<OfPath, readonly StorePath[]>;
  readonly OptimiseStore: Operation<void, void>;
  /** The reply is whether errors remain. */
  readonly VerifyStore: Operation<{ readonly checkContents: boolean; readonly repair: boolean }, boolean>;
  readonly BuildDerivation: Operation<
    { readonly drvPath: StorePath; readonly derivation: BasicDerivation; readonly mode: BuildMode },
    BuildResult
  >;
  readonly AddSignatures: Operation<OfPath & { readonly signatures: readonly Signature[] }, void>;
  readonly NarFromPath: Operation<OfPath, void>;
  readonly AddToStoreNar: Operation<
    { readonly info: ValidPathInfo; readonly repair: boolean; readonly dontCheckSigs: boolean },
    void
  >;
  readonly QueryMissing: Operation<
    OfDerivedPaths,
    {
      readonly willBuild: readonly StorePath[];
      readonly willSubstitute: readonly StorePath[];
      readonly unknown: readonly StorePath[];
      readonly downloadSize: number;
      readonly narSize: number;
    }
  >;
  readonly QueryDerivationOutputMap: Operation<OfPath, ReadonlyMap<string, StorePath | undefined>>;
  /** A realisation in JSON. */
  readonly RegisterDrvOutput: Operation<{ readonly realisation: string }, void>;
  /** `id` is `<derivation hash>!<output>`; the reply holds realisations in JSON. */
  readonly QueryRealisation: Operation<{ readonly id: string }, readonly string[]>;
  /** The upload is a count, then for each path its ValidPathInfo and its archive as it is. */
  readonly AddMultipleToStore: Operation<{ readonly repair: boolean; readonly dontCheckSigs: boolean }, void>;
  readonly AddBuildLog: Operation<OfPath, void>;
  readonly BuildPathsWithResults: Operation<OfDerivedPaths & { readonly mode: BuildMode }, readonly KeyedBuildResult[]>;
  readonly AddPermRoot: Operation<OfPath & { readonly link: string }, string>;
}

const ofPath = record<OfPath>({ path });
const paths = list(path);
const buildRequest = record<OfDerivedPaths & { readonly mode: BuildMode }>({
  paths: list(derivedPath),
  mode: buildMode,
});
const gcActions = ["return live", "return dead", "delete dead", "delete specific"] as const;

/** The table. */
export const OPERATIONS: Operations = {
  IsValidPath: { code: 1, request: ofPath, reply: bool },
  QueryReferrers: { code: 6, request: ofPath, reply: paths },
  AddToStore: {
    code: 7,
    request: record({ name: string, method: string, references: paths, repair: bool }),
    upload: "dump",
    reply: validPathInfo,
  },
  BuildPaths: { code: 9, request: buildRequest, reply: done },
  EnsurePath: { code: 10, request: ofPath, reply: done },
  AddTempRoot: { code: 11, request: ofPath, reply: done },
  AddIndirectRoot: { code: 12, request: record({ link: string }), reply: done },
  FindRoots: { code: 14, request: nothing, reply: map(path) },
  SetOptions: { code: 19, request: clientOptions, reply: nothing },
  CollectGarbage: {
    code: 20,
    request: record({
      action: choice<GcAction>(gcActions),
      pathsToDelete: paths,
      ignoreLiveness: bool,
      maxFreed: limit,
      unused1: u64,
      unused2: u64,
      unused3: u64,
    }),
    reply: record({ paths: list(string), bytesFreed: u64, unused: u64 }),
  },
  QueryAllValidPaths: { code: 23, request: nothing, reply: paths },
  QueryPathInfo: { code: 26, request: ofPath, reply: optional(pathInfo) },
  QueryPathFromHashPart: { code: 29, request: record({ hashPart: string }), reply: optionalPath },
  QueryValidPaths: { code: 31, request: record({ paths, substitute: bool }), reply: paths },
  QuerySubstitutablePaths: { code: 32, request: record({ paths }), reply: paths },
  QueryValidDerivers: { code: 33, request: ofPath, reply: paths },
  OptimiseStore: { code: 34, request: nothing, reply: done },
  VerifyStore: { code: 35, request: record({ checkContents: bool, repair: bool }), reply: bool },
  BuildDerivation: {
    code: 36,
    request: record({ drvPath: path, derivation: basicDerivation, mode: buildMode }),
    reply: buildResult,
  },
  AddSignatures: { code: 37, request: record({ path, signatures: list(signature) }), reply: done },
  NarFromPath: { code: 38, request: ofPath, reply: nothing, download: "nar" },
  AddToStoreNar: {
    code: 39,
    request: record({ info: validPathInfo, repair: bool, dontCheckSigs: bool }),
    upload: "nar",
    reply: nothing,
  },
  QueryMissing: {
    code: 40,
    request: record({ paths: list(derivedPath) }),
    reply: record({ willBuild: paths, willSubstitute: paths, unknown: paths, downloadSize: u64, narSize: u64 }),
  },
  QueryDerivationOutputMap: { code: 41, request: ofPath, reply: map(optionalPath) },
  RegisterDrvOutput: { code: 42, request: record({ realisation: string }), reply: nothing },
  QueryRealisation: { code: 43, request: record({ id: string }), reply: list(string) },
  AddMultipleToStore: {
    code: 44,
    request: record({ repair: bool, dontCheckSigs: bool }),
    upload: "paths",
    reply: nothing,
  },
  AddBuildLog: { code: 45, request: ofPath, upload: "log", reply: done },
  BuildPathsWithResults: { code: 46, request: buildRequest, reply: list(keyedBuildResult) },
  AddPermRoot: { code: 47, request: record({ path, link: string }), reply: string },
};

const NAMES: ReadonlyMap<number, keyof Operations> = new Map(
  Object.entries(OPERATIONS).map(([name, { code }]) => [code as number, name as keyof Operations]),
);

/** What goes into an operation. */
export type RequestOf<N extends keyof Operations> = Operations[N]["request"] extends Codec<infer T> ? T : never;
/** What comes out of it. */
export type ReplyOf<N extends keyof Operations> = Operations[N]["reply"] extends Codec<infer T> ? T : never;

/** The operation with a number; throws `ERR_DAEMON_UNKNOWN_OPERATION`. */
export function operationOf(code: number): keyof Operations {
  const name = NAMES.get(code);
  if (name === undefined) {
    throw new TvixError("ERR_DAEMON_UNKNOWN_OPERATION", `operation ${code} of the daemon protocol is not supported`);
  }
  return name;
}
