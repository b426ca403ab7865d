// What was fetched, in a session: pinned, read, written into a store, and found through the search path.
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { TvixError } from "../../../lib/base/error.ts";
import { toByteString } from "../../../lib/base/text.ts";
import { fileSystemIO } from "../../../lib/eval/node.ts";
import type { EvalSettings } from "../../../lib/eval/vm/runtime.ts";
import { forceDeep, printValue } from "../../../lib/eval/vm/print.ts";
import { Fetcher } from "../../../lib/nix/fetch/fetcher.ts";
import type { FetchFunctions } from "../../../lib/nix/fetch/thread.ts";
import { parseRegistry } from "../../../lib/nix/flake/registry.ts";
import { instantiate } from "../../../lib/nix/instantiate.ts";
import { parseSearchPathEntry } from "../../../lib/nix/search-path.ts";
import { openSession, type Session } from "../../../lib/nix/session.ts";
import { storeReader } from "../../../lib/nix/store-reader.ts";
import { openStore } from "../../../lib/store/open.ts";
import { scratch } from "../../store/fixture.ts";
import { git, settle, tarball, write } from "./fixture.ts";

const { base, fresh } = scratch("session");
const fetchers: Fetcher[] = [];
afterAll(() => Promise.all(fetchers.map((fetcher) => fetcher.close())));

function newFetcher(flakeRegistry = "", ttl = 3600): Fetcher {
  const fetcher = new Fetcher({ directory: fresh(), flakeRegistry, ttl });
  fetchers.push(fetcher);
  return fetcher;
}

const shared = newFetcher();

function session(
  settings: Partial<EvalSettings> = {},
  options: Partial<Parameters<typeof openSession>[0]> = {},
): Session {
  return openSession({ io: fileSystemIO(), fetcher: shared, settings, ...options });
}

function show({ evaluator }: Session, text: string): string {
  const value = evaluator.evaluate(toByteString(text));
  forceDeep(value);
  return printValue(value, { strict: true });
}

const errorOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof TvixError) return [error.code, error.message, ...error.notes].join("\n");
    throw error;
  }
  return "no error";
};

describe("pinned by a hash", () => {
  const SHA256 = "1r3v22qkypccqifzbww5lrn6hf1chi23m6zzkyvb8bvg457nxslq";

  test("a file or archive is not fetched again, whatever its URL and name", async () => {
    const file = join(base, "pinned");
    writeFileSync(file, "hi\n");
    writeFileSync(`${file}.tar`, await tarball({ "top/a": "x" }));
    const one = show(session(), `builtins.fetchurl { url = "file://${file}"; sha256 = "${SHA256}"; }`);
    const hash = show(session(), `(builtins.fetchTree { type = "tarball"; url = "file://${file}.tar"; }).narHash`);
    rmSync(file);
    rmSync(`${file}.tar`);
    const pure = session({ pure: true });
    expect(show(pure, `builtins.fetchurl { url = "http://127.0.0.1:9/pinned"; sha256 = "${SHA256}"; }`)).toBe(one);
    expect(
      show(pure, `builtins.readDir (fetchTarball { url = "http://127.0.0.1:9/x"; sha256 = ${hash}; name = "y"; })`),
    ).toBe('{ a = "regular"; }');
  });

  test("what the store has is not fetched at all, and may be read in pure mode", async () => {
    const store = await openStore(fresh());
    const file = join(base, "stored");
    writeFileSync(file, "hi\n");
    const info = await store.importPath(file, { name: "stored", method: "flat" });
    const other = session({ pure: true }, { reader: storeReader(store), fetcher: newFetcher() });
    const text = `builtins.fetchurl { url = "http://127.0.0.1:9/stored"; sha256 = "${SHA256}"; }`;
    expect(show(other, text)).toBe(`"${info.path.absolute()}"`);
    expect(show(other, `builtins.readFile (${text})`)).toBe('"hi\\n"');
    await store.close();
  });

  test("a wrong hash says what was found", () => {
    const file = join(base, "wrong");
    writeFileSync(file, "hi\n");
    const zeros = "0".repeat(52);
    const text = `builtins.fetchurl { url = "file://${file}"; sha256 = "${zeros}"; }`;
    const lines = [
      `hash mismatch in file downloaded from 'file://${file}'`,
      `specified: sha256:${zeros}`,
      `got:       sha256:${SHA256}`,
    ];
    expect(errorOf(() => show(session(), text))).toBe(["ERR_EVAL_HASH", ...lines].join("\n"));
  });

  test("restricted mode allows no URL", () => {
    expect(errorOf(() => show(session({ restricted: true }), 'builtins.fetchurl "file:///etc/hosts"'))).toMatch(
      /^ERR_EVAL_RESTRICTED/,
    );
  });
});

/** A server of the files in a directory, in a process of its own: this one stands still while it fetches. */
async function serve(directory: string): Promise<{ readonly url: string; readonly stop: () => void }> {
  const program = `
    const { createServer } = require("node:http");
    const { createReadStream } = require("node:fs");
    const server = createServer((request, response) => {
      createReadStream(${JSON.stringify(directory)} + request.url)
        .on("error", () => response.writeHead(404).end())
        .pipe(response);
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const port = await new Promise<string>((resolve) => {
    child.stdout.once("data", (text: Buffer) => resolve(text.toString().trim()));
  });
  return { url: `http://127.0.0.1:${port}`, stop: () => void child.kill() };
}

test("files and archives come from a server, in the middle of an evaluation", async () => {
  const directory = join(base, "served");
  mkdirSync(directory);
  writeFileSync(join(directory, "a.tar.gz"), gzipSync(await tarball({ "top/default.nix": "1 + 1" })));
  writeFileSync(join(directory, "file"), "contents");
  const { url, stop } = await serve(directory);
  try {
    const text = `[ (import (fetchTarball "${url}/a.tar.gz")) (builtins.readFile (builtins.fetchurl "${url}/file")) ]`;
    expect(show(session(), text)).toBe('[ 2 "contents" ]');
    const found = errorOf(() => show(session(), `builtins.fetchurl "${url}/absent"`));
    expect(found).toContain(`unable to download '${url}/absent': HTTP error 404`);
  } finally {
    stop();
  }
});

describe("without", () => {
  test("a fetcher, fetching is an error and references can be read", () => {
    const { evaluator } = openSession({ io: fileSystemIO() });
    expect(() => evaluator.evaluate('fetchTarball "file:///x"')).toThrow(/no fetchers/);
    expect(() => openSession({ io: fileSystemIO() }).flake({ input: new Map(), dir: "" })).toThrow(/fetcher/);
    expect(evaluator.evaluate('(builtins.parseFlakeRef "nixpkgs").id')).toBe("nixpkgs");
  });

  test.each([
    ["git", 'fetchGit { url = "file://@/bare"; ref = "x"; }'],
    ["hg", 'fetchMercurial "@/bare"'],
  ])("%s, the error says that it is missing", (program, text) => {
    const { PATH } = process.env;
    mkdirSync(join(base, "bare"), { recursive: true });
    const fetcher = newFetcher();
    process.env["PATH"] = base;
    try {
      const found = errorOf(() => show(session({}, { fetcher }), text.replace("@", base)));
      expect(found).toContain(`the program '${program}' was not found`);
    } finally {
      process.env["PATH"] = PATH;
    }
  });
});

test("what was fetched is written into the store with the derivations that use it", async () => {
  const store = await openStore(fresh());
  writeFileSync(join(base, "a.tar"), await tarball({ "top/run*": "run", "top/link": "->run" }));
  writeFileSync(join(base, "file"), "contents");
  const repository = join(base, "repository");
  write(repository, { tracked: "yes", untracked: "no", "dir/x": "x" });
  git(repository, "init", "-q");
  git(repository, "add", "tracked", "dir");
  const { evaluator, world } = session({}, { writable: true });
  const text = `let
    a = fetchTarball "file://${base}/a.tar"; b = builtins.fetchurl "file://${base}/file"; c = fetchGit ${repository};
  in [ (derivation { name = "d"; system = "s"; builder = "b"; inherit a b c; }).drvPath "\${a}" "\${b}" "\${c}" ]`;
  const [drvPath, ...sources] = (evaluator.evaluate(text) as unknown[]).map((value) => {
    forceDeep(value as never);
    return printValue(value as never, { strict: true }).slice(1, -1);
  });
  const summary = await instantiate(world, store, [drvPath as string]);
  expect(summary).toEqual({ derivations: 1, written: 1, sources: 3 });
  const [a = "", b = "", c = ""] = sources;
  expect(new TextDecoder().decode(await store.readFile(b))).toBe("contents");
  expect((await store.info(b)).ca?.method).toBe("flat");
  const names = async (path: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const entry of store.ls(path))
      found.push(entry.path.map((name) => new TextDecoder().decode(name)).join("/"));
    return found;
  };
  expect(await names(a)).toEqual(["", "link", "run"]);
  expect(await names(c)).toEqual(["", "dir", "dir/x", "tracked"]);
  // Once it is there it is not written again.
  expect(await instantiate(world, store, [drvPath as string])).toEqual({ derivations: 1, written: 0, sources: 0 });
  await store.close();
});

describe("the search path", () => {
  const searchPath = (...entries: string[]): { searchPath: EvalSettings["searchPath"] } => ({
    searchPath: entries.map(parseSearchPathEntry),
  });

  test("takes archives and flakes", async () => {
    writeFileSync(join(base, "pkgs.tar"), await tarball({ "top/default.nix": "1 + 1", "top/lib/x.nix": "3" }));
    write(join(base, "flake"), { "default.nix": "4" });
    settle(join(base, "flake"));
    const found = session(searchPath(`pkgs=file://${base}/pkgs.tar`, `f=flake:path:${base}/flake`));
    expect(show(found, "[ (import <pkgs>) (import <pkgs/lib/x.nix>) (import <f>) ]")).toBe("[ 2 3 4 ]");
    expect(show(found, `import (builtins.findFile [ { path = "file://${base}/pkgs.tar"; } ] "lib/x.nix")`)).toBe("3");
  });

  test("goes on, with a warning, where an archive cannot be had", () => {
    const warnings: string[] = [];
    const found = session(searchPath(`x=file://${base}/absent.tar`, `x=${base}`), {
      onMessage: (_kind, text) => warnings.push(text),
    });
    expect(show(found, "builtins.pathExists <x>")).toBe("true");
    expect(warnings).toEqual([expect.stringMatching(/cannot be downloaded, ignoring/)]);
    expect(found.world.hasFetched).toBe(true);
  });
});

/** A fetcher that answers from a table and notes what is asked. */
class Told extends Fetcher {
  readonly asked: string[] = [];
  readonly #answers: Readonly<Record<string, string>>;

  constructor(answers: Readonly<Record<string, string>>) {
    super({ directory: fresh(), flakeRegistry: "" });
    fetchers.push(this);
    this.#answers = answers;
  }

  override call<K extends keyof FetchFunctions>(
    name: K,
    argument: Parameters<FetchFunctions[K]>[0],
  ): Awaited<ReturnType<FetchFunctions[K]>> {
    const url = (argument as { url?: string }).url;
    const local = url === undefined ? undefined : this.#answers[url];
    if (url === undefined) return super.call(name, argument);
    this.asked.push(`${name} ${url}`);
    if (local === undefined) throw new TvixError("ERR_FETCH_STATUS", `there is no ${url}`);
    return super.call(name, { ...(argument as object), url: `file://${local}` } as typeof argument);
  }
}

describe("forges", () => {
  const rev = "c0ffee".repeat(6).padEnd(40, "0");
  const archive = join(base, "forge.tar");
  const answer = join(base, "answer.json");

  test.each([
    [
      `github:o/r/v1`,
      "https://api.github.com/repos/o/r/commits/v1",
      `{"sha":"${rev}"}`,
      `https://github.com/o/r/archive/${rev}.tar.gz`,
    ],
    [
      "github:o/r?host=git.example.org",
      "https://git.example.org/api/v3/repos/o/r/commits/HEAD",
      `{"sha":"${rev}"}`,
      `https://git.example.org/api/v3/repos/o/r/tarball/${rev}`,
    ],
    [
      "gitlab:a%2Fb/r/x",
      "https://gitlab.com/api/v4/projects/a%2Fb%2Fr/repository/commits?ref_name=x&per_page=1",
      `[{"id":"${rev}"}]`,
      `https://gitlab.com/api/v4/projects/a%2Fb%2Fr/repository/archive.tar.gz?sha=${rev}`,
    ],
  ])("%s", async (reference, question, json, download) => {
    writeFileSync(archive, await tarball({ "r-x/file": "x" }));
    writeFileSync(answer, json);
    const told = new Told({ [question]: answer, [download]: archive });
    const got = show(
      session({}, { fetcher: told }),
      `let t = builtins.fetchTree "${reference}"; in [ t.rev t.lastModified (builtins.readDir t) ]`,
    );
    expect(got).toBe(`[ "${rev}" 1000000000 { file = "regular"; } ]`);
    expect(told.asked).toEqual([`file ${question}`, `tarball ${download}`]);
  });

  test("a locked one is fetched without asking, in pure mode too", async () => {
    writeFileSync(archive, await tarball({ "r-x/file": "x" }));
    const download = `https://git.sr.ht/~u/r/archive/${rev}.tar.gz`;
    const told = new Told({ [download]: archive });
    show(session({ pure: true }, { fetcher: told }), `builtins.fetchTree "sourcehut:~u/r/${rev}"`);
    expect(told.asked).toEqual([`tarball ${download}`]);
  });

  test("an answer that is none", () => {
    writeFileSync(answer, "<html>");
    const told = new Told({ "https://api.github.com/repos/o/r/commits/HEAD": answer });
    expect(errorOf(() => show(session({}, { fetcher: told }), 'builtins.fetchTree "github:o/r"'))).toMatch(/not JSON/);
  });
});

describe("registries", () => {
  const registry = join(base, "registry.json");
  const to = { type: "path", path: join(base, "tree") };
  write(join(base, "tree"), { "flake.nix": '{ outputs = _: { v = "found"; }; }' });
  writeFileSync(
    registry,
    JSON.stringify({
      version: 2,
      flakes: [
        { from: { type: "indirect", id: "mine" }, to },
        { from: { type: "indirect", id: "alias" }, to: { type: "indirect", id: "mine" } },
        { from: { type: "indirect", id: "loop" }, to: { type: "indirect", id: "loop" } },
        { from: { type: "indirect", id: "repo" }, to: { type: "git", url: `file://${base}/none`, ref: "main" } },
      ],
    }),
  );
  const named = (text: string): string => show(session({}, { fetcher: newFetcher(registry) }), text);

  test("say what a name is, by way of other names", () => {
    expect(named('(builtins.getFlake "alias").v')).toBe('"found"');
    expect(
      named('builtins.attrNames (builtins.readDir (builtins.fetchTree { type = "indirect"; id = "mine"; }))'),
    ).toBe('[ "flake.nix" ]');
  });

  test("a revision that is asked for replaces the one they name", () => {
    expect(errorOf(() => named('builtins.fetchTree "flake:repo/other"'))).toMatch(/ERR_EVAL_FETCH/);
  });

  test.each([
    ["loop", /cycle/],
    ["absent", /cannot find flake 'flake:absent' in the flake registries/],
  ])("%s", (id, message) => {
    expect(errorOf(() => named(`builtins.getFlake "${id}"`))).toMatch(message);
  });

  test.each([
    ["{", /not JSON/],
    ['{"version": 1}', /unsupported version 1/],
    ['{"version": 2}', /no list/],
    ['{"version": 2, "flakes": [{"from": {"type": []}}]}', /'type'/],
  ])("a registry that is none: %s", (text, message) => {
    expect(() => parseRegistry(text, "/registry.json")).toThrow(message);
  });
});
