// `fetchClosure` from a cache of ours: what it answers, what it refuses and what is written of it, as in Nix 2.34.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeUtf8 } from "../../../lib/base/text.ts";
import { nixHash } from "../../../lib/formats/hash.ts";
import { packNar, type NarNode } from "../../../lib/formats/nar/tree.ts";
import * as base32 from "../../../lib/formats/nixbase32.ts";
import { formatPublicKey, formatSecretKey, generateKey, toPublicKey } from "../../../lib/formats/signature.ts";
import { StorePath, sourcePath } from "../../../lib/formats/store-path.ts";
import { makeContentAddressed } from "../../../lib/store/content-addressed.ts";
import { checkContentAddress } from "../../../lib/store/nar/check.ts";
import { openLocalStore, openStore } from "../../../lib/store/open.ts";
import type { PathInfo } from "../../../lib/store/path-info.ts";
import { putPaths } from "../../../lib/store/put.ts";
import type { Store } from "../../../lib/store/store.ts";
import { type Outcome, PROGRAM, tvix } from "../../cli/tvix.ts";
import { HAS_ORACLE, ORACLE } from "./oracle.ts";

const base = StorePath.parse("iji4ids4fczbby40ymj6jyfdhgbghyww-base");
/** Refers to `base` and to itself. */
const selfie = StorePath.parse("bmlmz6xz3qcnixb9y43k4p4py6kdz9cy-selfie");
// What `nix store make-content-addressed` of Nix 2.34.8 makes of them.
const newBase = StorePath.parse("rphn4lwi1ilhyw9nrc0j9jb1rabzwq5w-base");
const newSelfie = StorePath.parse("x9h67qc0wwgn1vmhm21gkw7hkx94b82y-selfie");
// Nix 2.8 hashes the places of references to itself too.
const oldSelfie = StorePath.parse("rq4xy84jh56v59bgci258a2xn1qcm6mq-selfie");
const oldHash = "0ka1n45w7v503i4d0nxpd42wn7palfsizd4ashivay9lbknigxsz";

const directory = mkdtempSync(join(tmpdir(), "tvix-fetch-closure-"));
const key = generateKey("closures-1");
const keyText = formatPublicKey(toPublicKey(key));
let server: ChildProcess;
let url: string;

const file = (text: string): NarNode => {
  const contents = encodeUtf8(text);
  return { type: "regular", executable: false, size: contents.length, contents };
};
const selfieTree = (own: StorePath, other: StorePath): NarNode => {
  const text = `${own.absolute()} ${other.absolute()} ${own.absolute()}\nxx${own.absolute()}\n`;
  return { type: "directory", entries: [{ name: encodeUtf8("f"), node: file(text) }] };
};

async function put(store: Store, path: StorePath, tree: NarNode, rest: Partial<PathInfo>): Promise<PathInfo> {
  const { root, narSha256, narSize } = await store.ingestNar([packNar(tree)]);
  const info: PathInfo = { path, root, references: [], narSha256, narSize, signatures: [], ...rest };
  await putPaths(store, [info]);
  return info;
}

beforeAll(async () => {
  const store = await openLocalStore(join(directory, "served"));
  await put(store, base, file("base\n"), {});
  await put(store, selfie, selfieTree(selfie, base), { references: [selfie, base] });
  await makeContentAddressed(store, store, selfie);
  await store.close();
  writeFileSync(join(directory, "key"), formatSecretKey(key));
  const args = ["cache", "serve", "--listen", "127.0.0.1:0", "--store", join(directory, "served")];
  server = spawn(process.execPath, [PROGRAM, ...args, "--key-file", join(directory, "key")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [said] = (await once(server.stderr as NodeJS.ReadableStream, "data")) as [Buffer];
  url = `http://${/127\.0\.0\.1:\d+/.exec(said.toString())?.[0]}`;
});

afterAll(() => {
  server.kill();
  rmSync(directory, { recursive: true, force: true });
});

const SIGNED = { keys: true };
/** An argument of `fetchClosure`, and what its path or the last words of its error are. `@` is the cache. */
const CASES: readonly (readonly [text: string, expected: string, options?: { keys?: boolean }])[] = [
  [`{ fromStore = "@"; fromPath = "${newSelfie.absolute()}"; }`, newSelfie.absolute()],
  [`{ fromStore = "@"; fromPath = ${newBase.absolute()}; inputAddressed = false; }`, newBase.absolute()],
  [`{ fromStore = "@/"; fromPath = "${selfie.absolute()}"; inputAddressed = true; }`, selfie.absolute(), SIGNED],
  [`{ fromStore = "@"; fromPath = "${selfie.absolute()}"; toPath = "${newSelfie.absolute()}"; }`, newSelfie.absolute()],
  [`{ fromStore = "@"; fromPath = "${base.absolute()}"; toPath = ${newBase.absolute()}; }`, newBase.absolute()],
  [
    `{ fromStore = "@"; fromPath = "${selfie.absolute()}"; toPath = ""; }`,
    `rewriting '${selfie.absolute()}' to content-addressed form yielded '${newSelfie.absolute()}'`,
  ],
  [
    `{ fromStore = "@"; fromPath = "${selfie.absolute()}"; toPath = "${oldSelfie.absolute()}"; }`,
    `rewriting '${selfie.absolute()}' to content-addressed form yielded '${newSelfie.absolute()}', while '${oldSelfie.absolute()}' was expected`,
  ],
  [
    `{ fromStore = "@"; fromPath = "${selfie.absolute()}"; }`,
    `The 'fromPath' value '${selfie.absolute()}' is input-addressed, but 'inputAddressed' is set to 'false' (default).`,
    SIGNED,
  ],
  [
    `{ fromStore = "@"; fromPath = "${newBase.absolute()}"; inputAddressed = true; }`,
    `The store object referred to by 'fromPath' at '${newBase.absolute()}' is not input-addressed, but 'inputAddressed' is set to 'true'.`,
  ],
  [`1`, "expected a set but found an integer: 1"],
  [`{ }`, "attribute 'fromPath' is missing in call to 'fetchClosure'"],
  [`{ fromPath = "${base.absolute()}"; }`, "attribute 'fromStore' is missing in call to 'fetchClosure'"],
  [`{ fromPath = "x"; }`, "path 'x' is not in the Nix store"],
  [`{ fromPath = "${base.absolute()}/x"; }`, `path '${base.absolute()}/x' is not in the Nix store`],
  [`{ fromPath = "/nix/store/0-a"; }`, "path '/nix/store/0-a' is not in the Nix store"],
  [`{ fromPath = /tmp/x; }`, "path '/tmp/x' is not in the Nix store"],
  [`{ fromPath = "${base.absolute()}"; toPath = "x"; }`, "path 'x' is not in the Nix store"],
  [`{ fromPath = "${base.absolute()}"; fromStore = 1; }`, "expected a string but found an integer: 1"],
  [`{ fromPath = "${base.absolute()}"; inputAddressed = 1; }`, "expected a Boolean but found an integer: 1"],
  [`{ fromPath = "${base.absolute()}"; fromStore = "x"; }`, "Cannot parse Nix store 'x'"],
  [
    `{ fromPath = "${base.absolute()}"; fromStore = "file:///x"; }`,
    "'fetchClosure' only supports http:// and https:// stores",
  ],
  [
    `{ fromPath = "${base.absolute()}"; fromStore = "HTTPS://x"; }`,
    "'fetchClosure' only supports http:// and https:// stores",
  ],
  [
    `{ fromPath = "${base.absolute()}"; fromStore = "https://x/?a=b"; }`,
    "'fetchClosure' does not support URL query parameters (in 'https://x/?a=b')",
  ],
  [`{ some = 1; }`, "attribute 'some' isn't supported in call to 'fetchClosure'"],
  [
    `{ fromPath = "${base.absolute()}"; inputAddressed = true; toPath = ""; }`,
    "attribute 'inputAddressed' is set to true, but 'toPath' is also set. Please remove one of them",
  ],
];

let caches = 0;
/** Evaluates with caches of its own, as if for the first time. */
function evaluate(text: string, keys: boolean, ...more: string[]): Outcome {
  const args = ["--extra-experimental-features", "fetch-closure", "-E", text.replaceAll("@", url), ...more];
  if (keys) args.push("--trusted-public-keys", keyText);
  return tvix(["eval", ...args], { env: { XDG_CACHE_HOME: join(directory, `cache-${caches++}`) } });
}

describe("fetchClosure", () => {
  test.each(CASES.map(([text, expected, { keys = false } = {}]) => ({ text, expected, keys })))("$text", (one) => {
    const { text, expected, keys } = one;
    const { stdout, stderr } = evaluate(`builtins.fetchClosure ${text}`, keys, "--raw");
    if (expected.startsWith("/nix/store/")) expect([stdout, stderr]).toEqual([expected, ""]);
    else expect(stderr.split("\n")[0]).toBe(`error: ${expected}`);
  });

  test.runIf(HAS_ORACLE)("Nix says the same", { timeout: 300_000 }, () => {
    const script = CASES.map(([text, , { keys = false } = {}], i) => {
      writeFileSync(join(directory, `${i}.nix`), `builtins.fetchClosure ${text.replaceAll("@", url)}`);
      const options = `--store ${directory}/nix-${i} ${keys ? `--option trusted-public-keys ${keyText}` : ""}`;
      return `nix-instantiate --eval --read-write-mode --extra-experimental-features fetch-closure ${options} ${directory}/${i}.nix 2>&1 | grep -v '^ *$' > ${directory}/${i}.out`;
    });
    writeFileSync(join(directory, "ask.sh"), script.join("\n"));
    spawnSync(ORACLE[0] as string, [...ORACLE.slice(1), "bash", join(directory, "ask.sh")], { cwd: directory });
    const said = spawnSync(
      "sh",
      ["-c", `for i in $(seq 0 ${CASES.length - 1}); do tr '\\n' ' ' < $i.out; echo; done`],
      {
        cwd: directory,
      },
    );
    const answers = said.stdout
      .toString()
      .replace(/\u001b\[[0-9;]*m/g, "")
      .split("\n");
    for (const [i, [text, expected]] of CASES.entries()) {
      const wanted = expected.startsWith("/nix/store/") ? `"${expected}" ` : `error: ${expected}`;
      expect(answers[i], text).toContain(wanted);
    }
  });

  test("what is input-addressed must be signed, and what comes of it can be read", () => {
    const text = `builtins.fetchClosure { fromStore = "@"; fromPath = "${selfie.absolute()}"; inputAddressed = true; }`;
    const { status, stderr } = evaluate(text, false);
    expect([status, stderr.split("\n")[0]]).toEqual([
      1,
      expect.stringContaining(`error: no trusted key has signed ${selfie.absolute()}`),
    ]);
    const read = `let s = ${text}; in [ (builtins.readFile "\${s}/f") (builtins.attrNames (builtins.getContext "\${s}/f")) ]`;
    const { stdout } = evaluate(read, true, "--strict", "--json");
    const own = selfie.absolute();
    expect(JSON.parse(stdout)).toEqual([`${own} ${base.absolute()} ${own}\nxx${own}\n`, [own]]);
  });

  test("is there only with its feature", () => {
    const ask = (...args: string[]): string => tvix(["eval", ...args, "-E", "builtins ? fetchClosure"]).stdout;
    expect([ask(), ask("--extra-experimental-features", "fetch-closure")]).toEqual(["false\n", "true\n"]);
  });

  test("what was fetched is not fetched again, and trusted again", () => {
    const env = { XDG_CACHE_HOME: join(directory, "kept") };
    const ask = (cache: string, path: StorePath, ...args: string[]): Outcome => {
      const text = `builtins.fetchClosure { fromStore = "${cache}"; fromPath = "${path.absolute()}"; inputAddressed = ${path === selfie}; }`;
      return tvix(["eval", "--raw", "--extra-experimental-features", "fetch-closure", ...args, "-E", text], { env });
    };
    const trusting = ["--trusted-public-keys", keyText];
    for (const cache of [url, "http://127.0.0.1:1"]) {
      expect(ask(cache, selfie, ...trusting).stdout).toBe(selfie.absolute());
      expect(ask(cache, newSelfie).stdout).toBe(newSelfie.absolute());
    }
    expect(ask(url, selfie).stderr).toContain("no trusted key has signed");
  });

  test("is written with what uses it", () => {
    const store = join(directory, "written");
    const text = `derivation { name = "user"; system = "s"; builder = "b"; x = builtins.fetchClosure { fromStore = "${url}"; fromPath = "${selfie.absolute()}"; inputAddressed = true; }; }`;
    const args = ["--extra-experimental-features", "fetch-closure", "--trusted-public-keys", keyText, "-E", text];
    const drv = tvix(["instantiate", "--add-root", "it", ...args], { store }).stdout.trim();
    tvix(["store", "gc"], { store });
    expect(tvix(["store", "info", "--json", drv], { store }).stdout).toContain(selfie.basename);
    for (const path of [base, selfie]) {
      const info = tvix(["store", "info", "--json", path.absolute()], { store }).stdout;
      expect(info).toContain("closures-1:");
    }
  });
});

describe("contents that refer to themselves", () => {
  test("prove their path, by the hash of today's Nix and of older ones", async () => {
    const store = await openStore("memory:");
    await put(store, newBase, file("base\n"), {});
    const references = [newBase, oldSelfie];
    const ca = { method: "nar", hash: nixHash("sha256", base32.decode(oldHash)) } as const;
    const old = await put(store, oldSelfie, selfieTree(oldSelfie, newBase), { references, ca });
    await checkContentAddress(store.castore, old);
    const own = sourcePath({
      name: "selfie",
      narSha256: ca.hash.digest,
      references: [newBase.absolute()],
      selfReferencing: true,
    });
    expect(own.basename).toBe(oldSelfie.basename);
    const other = await put(store, oldSelfie, selfieTree(oldSelfie, base), { references, ca });
    await expect(checkContentAddress(store.castore, other)).rejects.toThrow("do not give its path");
    await store.close();
  });
});
