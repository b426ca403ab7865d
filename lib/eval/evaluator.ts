// The evaluator: ties source text, compiled units, built-in functions and the outside world together.
//
// An Evaluator owns what must not be shared between evaluations with different settings: the built-in functions
// (bound to it), the values of imported files, and its access to the outside. Values of one evaluator must not be
// mixed with those of another.

import { BUILTIN_CONSTANTS, BUILTIN_FAMILIES, GLOBAL_NAMES } from "./builtins/index.ts";
import type { Builtin, BuiltinConstant, BuiltinTable } from "./builtins/define.ts";
import { lint } from "./compile/lint.ts";
import { lower, UndefinedVariable } from "./compile/lower.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { type ErrorPlace, EvalError } from "./error.ts";
import type { EvalIO } from "./io.ts";
import type { Program } from "./ir/program.ts";
import type { Observer, UnitOrigin } from "./observer.ts";
import { DERIVATION_SOURCE } from "./prelude/derivation.ts";
import { Source, SourceOrigin } from "./source.ts";
import { parse, type Parsed } from "./syntax/parser.ts";
import { type Attrs, attrsFromMap, EMPTY_ATTRS } from "./value/attrs.ts";
import { PrimOp } from "./value/function.ts";
import { type ContextString, NO_CONTEXT, type StringContext } from "./value/string.ts";
import { type Sym, symbol, symbolName } from "./value/symbol.ts";
import { force, Thunk } from "./value/thunk.ts";
import type { Value, Whnf } from "./value/value.ts";
import { compileClosures, KEPT_FUNCTIONS } from "./vm/closures.ts";
import { canonicalPath } from "./text/path.ts";
import type { EvalSettings, Runtime, SearchPathEntry } from "./vm/runtime.ts";
import { placesPassed } from "./vm/script-trace.ts";
import { Unit } from "./vm/unit.ts";

/** Turns a program into code that evaluates it; the back ends implement this. */
export interface Backend {
  /**
   * `program` makes the intermediate form when the back end needs it: it may have the code already. Of a late program,
   * delayed values are made when they are asked for: see {@link LowerOptions.late}.
   */
  load(unit: Unit, program: (late: boolean) => Program, purpose: "file" | "expression"): () => Whnf;
}

/** Copies paths into a store and builds what strings refer to; the embedder's half of the runtime. */
export interface StoreAccess {
  /** Copies a path and answers its store path as a string that refers to it. */
  copyPath(path: string): ContextString;
  /** Makes what the context refers to readable; throws `ERR_EVAL_BUILD` when it cannot. */
  realise(context: StringContext): void;
  /** What the text of a file in the store refers to. */
  fileContext?(path: string, text: string): StringContext;
  /** Whether a path may be read in pure and restricted mode, because evaluation itself has put it into the store. */
  allows?(path: string): boolean;
  /** Makes an entry of the search path that is not a plain path (a URL) one; `undefined` when it cannot be had. */
  resolveEntry?(entry: string): string | undefined;
}

/** Options of {@link Evaluator}; everything has a default that touches nothing outside. */
export interface EvaluatorOptions {
  readonly io?: EvalIO;
  readonly settings?: Partial<EvalSettings>;
  readonly store?: StoreAccess;
  /** Further built-in functions; those of an equal name replace ours. */
  readonly builtins?: BuiltinTable;
  readonly constants?: readonly BuiltinConstant[];
  /** Further built-in values written in Nix: a name and the text of an expression. */
  readonly prelude?: Readonly<Record<string, string>>;
  /** Names, beyond Nix's own, that need no `builtins.` in front. */
  readonly globals?: readonly string[];
  /** Files that exist for `<nix/name>` only: name and text. */
  readonly coreFiles?: Readonly<Record<string, string>>;
  /** In pure and restricted mode: paths that may be read, with everything below. */
  readonly allowedPaths?: readonly string[];
  readonly backend?: Backend;
  readonly observer?: Observer;
  /** Shows a trace or warning (text of one char per byte); by default nothing is shown. */
  readonly onMessage?: (kind: "trace" | "warning", text: string) => void;
  /** Receives what deserves a look in each source that is compiled, such as a `with` that binds nothing. */
  readonly onDiagnostic?: (diagnostic: Diagnostic) => void;
}

const PRELUDE: Readonly<Record<string, string>> = { derivation: DERIVATION_SOURCE };

const NO_FEATURES: EvalSettings["features"] = new Set();

const CORE_DIRECTORY = "/__corepkgs__";
const SYMLINK_LIMIT = 100;

/** A back end that needs nothing: closures. Of this many functions what was compiled is kept when they first run. */
export function closureBackend(keptFunctions: number = KEPT_FUNCTIONS): Backend {
  const budget = { left: keptFunctions };
  return {
    load: (unit, program) => compileClosures(program(true).root, unit, { budget, again: () => program(true) }),
  };
}

/** Closures for all who do not say otherwise. */
export const CLOSURE_BACKEND: Backend = closureBackend();

/** Closures that take notes, for {@link Evaluator.explain}. */
const EXPLAINING_BACKEND: Backend = {
  load: (unit, program) => compileClosures(program(true).root, unit, { explaining: true }),
};

const NO_IO: EvalIO = {
  fileType: () => undefined,
  readFile: (path) => {
    throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
  },
  readDirectory: (path) => {
    throw new EvalError("ERR_EVAL_IO", `path '${path}' does not exist`);
  },
  isExecutable: () => false,
  readLink: (path) => path,
  realPath: (path) => path,
  variable: () => undefined,
  time: () => 0,
};

/** Evaluates Nix expressions. */
export class Evaluator implements Runtime {
  readonly io: EvalIO;
  readonly settings: EvalSettings;
  readonly observer: Observer | null;
  readonly memory: WeakMap<object, unknown> = new WeakMap();
  readonly builtins: Attrs;
  exact = false;
  private readonly globals: Map<string, Value>;
  private readonly options: EvaluatorOptions;
  private readonly backend: Backend;
  private readonly files = new Map<string, Thunk>();
  /** What was loaded, for as long as errors may come out of its code: see script-trace.ts. */
  private readonly units: Unit[] = [];
  private readonly copies = new Map<string, ContextString>();
  private readonly entries = new Map<string, string | undefined>();
  private readonly checked = new Set<string>();
  private allowedRoots: readonly string[] | undefined;

  constructor(options: EvaluatorOptions = {}) {
    this.options = options;
    this.io = options.io ?? NO_IO;
    this.observer = options.observer ?? null;
    this.backend = options.backend ?? CLOSURE_BACKEND;
    this.settings = {
      pure: false,
      restricted: false,
      system: "x86_64-linux",
      storeDir: "/nix/store",
      nixVersion: "2.34.8",
      searchPath: [],
      traceVerbose: false,
      abortOnWarn: false,
      features: NO_FEATURES,
      ...options.settings,
    };
    const { builtins, globals } = this.bindBuiltins();
    this.builtins = builtins;
    this.globals = globals;
  }

  private bindBuiltins(): { builtins: Attrs; globals: Map<string, Value> } {
    const set = new Map<Sym, Value>();
    for (const family of [...BUILTIN_FAMILIES, this.options.builtins ?? []]) {
      for (const builtin of family) set.set(symbol(builtin.name), new PrimOp(this.counting(builtin), this));
    }
    for (const constant of [...BUILTIN_CONSTANTS, ...(this.options.constants ?? [])]) {
      const value = constant.value(this);
      if (value !== undefined) set.set(symbol(constant.name), value);
    }
    for (const [name, text] of Object.entries({ ...PRELUDE, ...this.options.prelude })) {
      set.set(symbol(name), new Thunk(() => this.run(Source.builtIn(name, text), "expression"), null));
    }
    const names = [...set.keys()].map(symbolName);
    const self = new Thunk(() => this.builtins, null);
    set.set(symbol("builtins"), self);
    const builtins = attrsFromMap(set);
    const globals = new Map<string, Value>();
    const unprefixed = new Set([...GLOBAL_NAMES, ...(this.options.globals ?? [])]);
    for (const name of [...names, "builtins"]) {
      const value = set.get(symbol(name)) as Value;
      if (unprefixed.has(name)) globals.set(name, value);
      else globals.set(`__${name}`, value);
    }
    return { builtins, globals };
  }

  /** The function itself, or one that also counts its calls when the observer wants that. */
  private counting(builtin: Builtin): Builtin {
    const counts = this.observer?.counts;
    if (counts === undefined) return builtin;
    return {
      ...builtin,
      run: (rt, a, b, c) => {
        counts.builtinCalls++;
        return builtin.run(rt, a, b, c);
      },
    };
  }

  /** Evaluates a source to weak head normal form. */
  evaluate(source: Source | string): Whnf {
    const text = typeof source === "string" ? Source.string(source) : source;
    this.exact = true;
    return this.guard(() => this.run(text, "expression"));
  }

  /** The value of a file (or of the default.nix of a directory), evaluated once. */
  evaluateFile(path: string): Whnf {
    return this.guard(() => this.importFile(canonicalPath(path)));
  }

  /** Runs what may evaluate; a stack that is too deep becomes an evaluation error. */
  guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const failure = isStackOverflow(error) ? stackOverflow(error) : error;
      // Later the code may be gone, and with it what its places are.
      if (failure instanceof EvalError) failure.passed ??= placesPassed(failure);
      throw failure;
    }
  }

  /**
   * Says more of an error that `work` raised: does the work once more, with code that takes notes and without showing
   * messages. Answers the error to be shown, which is the first one when the second attempt ends otherwise.
   */
  explain(error: unknown, work: (evaluator: Evaluator) => void): unknown {
    if (!(error instanceof EvalError) || error.code === "ERR_EVAL_STACK_OVERFLOW") return error;
    const { onMessage: _message, onDiagnostic: _diagnostic, observer: _observer, ...options } = this.options;
    try {
      const evaluator = new Evaluator({ ...options, backend: EXPLAINING_BACKEND });
      evaluator.guard(() => work(evaluator));
    } catch (again) {
      if (again instanceof EvalError && again.code === error.code && again.message === error.message) return again;
    }
    return error;
  }

  /**
   * Compiles a source to its intermediate form, from its tree where that is there already; the tree stays as it is.
   * `again` says that its warnings have been told.
   */
  compile(
    source: Source,
    options: { exact?: boolean; late?: boolean; ambient?: Attrs; parsed?: Parsed; again?: boolean } = {},
  ): Program {
    const lints = this.options.onDiagnostic !== undefined && source.origin !== SourceOrigin.BuiltIn;
    const late = options.late ?? false;
    const parsed = options.parsed ?? this.parse(source, late && !lints);
    if (lints && !options.again) {
      for (const warning of this.lint(parsed, source)) this.options.onDiagnostic?.(warning);
    }
    const ambient = options.ambient ?? EMPTY_ATTRS;
    try {
      return lower(parsed.expr, {
        globals: this.globals,
        ambient: { has: (name) => ambient !== EMPTY_ATTRS && ambient.has(symbol(name)) },
        text: source.text,
        exact: options.exact ?? false,
        late,
      });
    } catch (error) {
      if (error instanceof UndefinedVariable) error.place = { source, offset: error.at } satisfies ErrorPlace;
      throw error;
    }
  }

  /** What deserves a look in a source; the program is not run. */
  warnings(source: Source): readonly Diagnostic[] {
    return this.lint(this.parse(source), source);
  }

  /** The tree of a source, in the language of the settings. */
  parse(source: Source, defer = false): Parsed {
    return parse(source, { pipeOperators: this.settings.features.has("pipe-operators"), defer });
  }

  private lint({ expr, warnings }: Parsed, source: Source): readonly Diagnostic[] {
    return [...warnings, ...lint(expr, source, this.globals)];
  }

  private run(source: Source, purpose: "file" | "expression"): Whnf {
    const unit = new Unit(this, source, this.globals);
    this.units.push(unit);
    const start = this.observer === null ? 0 : performance.now();
    let origin: UnitOrigin = "cache";
    let again = false;
    const code = this.backend.load(
      unit,
      (late) => {
        origin = "source";
        const program = this.compile(source, {
          exact: purpose === "expression",
          late: late && purpose === "file",
          again,
        });
        again = true;
        return program;
      },
      purpose,
    );
    this.observer?.unit?.(source.name, source.text.length, performance.now() - start, origin);
    return code();
  }

  importFile(path: string): Whnf {
    const file = this.resolveImport(path);
    this.observer?.imported?.(file);
    let value = this.files.get(file);
    if (value === undefined) {
      value = new Thunk(() => this.run(this.readSource(file), "file"), null);
      this.files.set(file, value);
    }
    return force(value);
  }

  importScoped(scope: Attrs, path: string): Whnf {
    const source = this.readSource(this.resolveImport(path));
    return this.runScoped(source, scope, this.backend === EXPLAINING_BACKEND)();
  }

  private runScoped(source: Source, scope: Attrs, explaining: boolean): () => Whnf {
    const unit = new Unit(this, source, this.globals, scope);
    return compileClosures(this.compile(source, { ambient: scope, late: true }).root, unit, { explaining });
  }

  /** Compiles a source in which the names of `scope` are visible; the result evaluates it, with notes for errors. */
  prepare(source: Source, scope: Attrs): () => Whnf {
    const run = this.runScoped(source, scope, true);
    return () => this.guard(run);
  }

  /** Forgets the values of files and what was copied of them, so that files that have changed are read again. */
  forgetFiles(): void {
    this.files.clear();
    this.units.length = 0;
    this.copies.clear();
    this.entries.clear();
    this.checked.clear();
    this.allowedRoots = undefined;
  }

  /** The names that need no binding. */
  globalNames(): Iterable<string> {
    return this.globals.keys();
  }

  /** The source that importing a path means. */
  sourceOf(path: string): Source {
    return this.readSource(this.resolveImport(canonicalPath(path)));
  }

  private readSource(file: string): Source {
    if (file.startsWith(`${CORE_DIRECTORY}/`)) {
      const text = this.options.coreFiles?.[file.slice(CORE_DIRECTORY.length + 1)];
      if (text !== undefined) return Source.file(file, text);
    }
    return Source.file(file, this.io.readFile(file));
  }

  /** The file that importing a path means: symlinks at its end followed, directories replaced by their default.nix. */
  private resolveImport(path: string): string {
    if (path.startsWith(`${CORE_DIRECTORY}/`)) return path;
    let file = this.readable(path);
    let type = this.io.fileType(file);
    for (let i = 0; type === "symlink" && i < SYMLINK_LIMIT; i++) {
      const target = this.io.readLink(file);
      file = canonicalPath(target.startsWith("/") ? target : `${file.slice(0, file.lastIndexOf("/") + 1)}${target}`);
      type = this.io.fileType(this.readable(file));
    }
    return type === "directory" ? canonicalPath(`${file}/default.nix`) : file;
  }

  copyPath(path: string): ContextString {
    let copied = this.copies.get(path);
    if (copied === undefined) {
      const { store } = this.options;
      if (store === undefined) {
        throw new EvalError("ERR_EVAL_STORE", `cannot copy '${path}' to the store: this evaluator has no store`);
      }
      copied = store.copyPath(this.readable(path, false));
      this.copies.set(path, copied);
    }
    return copied;
  }

  realise(context: StringContext): void {
    if (this.options.store !== undefined) this.options.store.realise(context);
    else {
      const built = [...context].find((element) => !element.startsWith("/"));
      if (built === undefined) return;
      throw new EvalError("ERR_EVAL_BUILD", `cannot build '${built}': this evaluator has no store`);
    }
  }

  fileContext(path: string, text: string): StringContext {
    return this.options.store?.fileContext?.(path, text) ?? NO_CONTEXT;
  }

  readable(path: string, follows = true): string {
    const { pure, restricted } = this.settings;
    if (!pure && !restricted) return path;
    const key = `${follows ? "=" : "-"}${path}`;
    if (this.checked.has(key)) return path;
    this.demandAllowed(path);
    // What is allowed may hold symlinks to what is not.
    const [parent, name] = [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/"))];
    const real = follows ? this.io.realPath(path) : canonicalPath(this.io.realPath(parent || "/") + name);
    if (real !== path) this.demandAllowed(real);
    this.checked.add(key);
    return path;
  }

  private demandAllowed(path: string): void {
    this.allowedRoots ??= this.rootsAllowed();
    if (this.allowedRoots.some((root) => path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`)))
      return;
    if (this.options.store?.allows?.(path) === true) return;
    const mode = this.settings.pure ? "pure evaluation mode (use '--impure' to override)" : "restricted mode";
    throw new EvalError("ERR_EVAL_RESTRICTED", `access to absolute path '${path}' is forbidden in ${mode}`);
  }

  /** What may be read in pure and restricted mode, under its own name and where that leads. */
  private rootsAllowed(): readonly string[] {
    const { pure, searchPath } = this.settings;
    const named = [...(this.options.allowedPaths ?? []), ...(pure ? [] : searchPath.map((entry) => entry.path))];
    return [...named, ...named.filter((path) => path.startsWith("/")).map((path) => this.io.realPath(path))];
  }

  findFile(entries: readonly SearchPathEntry[], name: string): string {
    for (const { prefix, path } of entries) {
      let rest: string;
      if (prefix === "") rest = `/${name}`;
      else if (name === prefix) rest = "";
      else if (name.startsWith(`${prefix}/`)) rest = name.slice(prefix.length);
      else continue;
      const root = this.resolveEntry(path);
      if (root === undefined) continue;
      const candidate = canonicalPath(root + rest);
      if (this.io.fileType(candidate) !== undefined) return this.readable(candidate, false);
    }
    if (name.startsWith("nix/") && this.options.coreFiles?.[name.slice(4)] !== undefined) {
      return `${CORE_DIRECTORY}/${name.slice(4)}`;
    }
    const advice = this.settings.pure
      ? `cannot look up '<${name}>' in pure evaluation mode (use '--impure' to override)`
      : `file '${name}' was not found in the Nix search path (add it using $NIX_PATH or -I)`;
    throw new EvalError("ERR_EVAL_SEARCH_PATH", advice);
  }

  private resolveEntry(path: string): string | undefined {
    if (path.startsWith("/")) return path;
    if (!this.entries.has(path)) this.entries.set(path, this.options.store?.resolveEntry?.(path));
    return this.entries.get(path);
  }

  message(kind: "trace" | "warning", text: string): void {
    this.options.onMessage?.(kind, text);
  }
}

function isStackOverflow(error: unknown): error is RangeError {
  return error instanceof RangeError && error.message.includes("call stack");
}

function stackOverflow(cause: RangeError): EvalError {
  return new EvalError("ERR_EVAL_STACK_OVERFLOW", "stack overflow; max-call-depth exceeded", {
    cause,
    notes: ["calls are nested too deeply; a function may be calling itself without end"],
  });
}
