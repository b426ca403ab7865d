// Rows: our binary cache over HTTP against nginx serving the same bytes as files, and filling a store from it against Nix.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TvixError } from "../lib/base/error.ts";
import { pseudoRandomBytes } from "../lib/castore/testing.ts";
import { timeProcess } from "./process.ts";
import type { BenchRow } from "./row.ts";

const cli = join(import.meta.dirname, "../dist/cli/tvix.cjs");
const nginx = process.env["TVIX_NGINX"] ?? "/usr/sbin/nginx";
const GIB = 2 ** 30;

let scratch = "";
const children: ChildProcess[] = [];

/** The two servers, each at the root of a URL. */
interface Servers {
  readonly ours: string;
  readonly peer: string;
}
let servers: Servers = { ours: "", peer: "" };

function tvix(args: readonly string[], store: string): string {
  return execFileSync(process.execPath, [cli, ...args], {
    env: { ...process.env, TVIX_STORE: store },
    encoding: "utf8",
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function started(
  command: string,
  args: readonly string[],
  port: number,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  children.push(spawn(command, args, { env: { ...process.env, ...env }, stdio: "ignore" }));
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((done) => {
      const probe = connect(port, "127.0.0.1");
      probe.on("connect", () => done(true)).on("error", () => done(false));
      probe.on("connect", () => probe.destroy());
    });
    if (open) return `http://127.0.0.1:${port}`;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new TvixError("ERR_BENCH_COMMAND", `${command} does not listen`);
}

/** Starts both: ours over a store, nginx (one worker, sendfile, no log) over a directory with the same cache as files. */
async function serveBoth(store: string, files: string): Promise<Servers> {
  if (!existsSync(nginx)) {
    throw new TvixError("ERR_BENCH_USAGE", `there is no ${nginx}: install nginx-light, or set TVIX_NGINX`);
  }
  const [port, peerPort] = [await freePort(), await freePort()];
  const conf = join(scratch, "nginx.conf");
  writeFileSync(
    conf,
    `daemon off; worker_processes 1; pid ${scratch}/nginx.pid; error_log /dev/null; user root;
events { worker_connections 256; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type text/x-nix-narinfo;
  client_body_temp_path ${scratch}/t1; proxy_temp_path ${scratch}/t2; fastcgi_temp_path ${scratch}/t3;
  uwsgi_temp_path ${scratch}/t4; scgi_temp_path ${scratch}/t5;
  server { listen 127.0.0.1:${peerPort}; root ${files}; } }
`,
  );
  const args = [cli, "cache", "serve", "--read-only", "--listen", `127.0.0.1:${port}`];
  return {
    ours: await started(process.execPath, args, port, { TVIX_STORE: store }),
    peer: await started(nginx, ["-c", conf, "-p", scratch], peerPort, {}),
  };
}

async function cleanup(): Promise<void> {
  for (const child of children.splice(0)) {
    const gone = once(child, "exit");
    child.kill();
    await gone;
  }
  rmSync(scratch, { recursive: true, force: true });
}

/** A store with what `make` makes, and both servers; the store paths. */
async function prepare(make: (directory: string) => readonly string[]): Promise<readonly string[]> {
  if (!existsSync(cli)) throw new TvixError("ERR_BENCH_USAGE", "nothing is compiled yet: npm run build");
  scratch = mkdtempSync(join(tmpdir(), "tvix-bench-http-"));
  const store = join(scratch, "store");
  const source = join(scratch, "source");
  mkdirSync(source);
  const imported = tvix(["store", "import", ...make(source)], store)
    .trim()
    .split("\n");
  const files = join(scratch, "files");
  mkdirSync(files);
  servers = await serveBoth(store, files);
  return imported;
}

/** Writes what our server serves as files for nginx: the narinfo of each path, and its NAR when `withNars`. */
async function mirror(paths: readonly string[], withNars: boolean): Promise<string[]> {
  const urls: string[] = [];
  for (const path of paths) {
    const name = `${path.slice("/nix/store/".length, "/nix/store/".length + 32)}.narinfo`;
    const text = await (await fetch(`${servers.ours}/${name}`)).text();
    writeFileSync(join(scratch, "files", name), text);
    urls.push(/^URL: (.*)$/m.exec(text)?.[1] ?? "");
    if (withNars) tvixNar(path, join(scratch, "files", "nar"));
  }
  return urls;
}

function tvixNar(path: string, file: string): void {
  const store = join(scratch, "store");
  execFileSync("sh", ["-c", '"$0" "$1" store nar "$2" > "$3"', process.execPath, cli, path, file], {
    env: { ...process.env, TVIX_STORE: store },
  });
}

/** Bytes per second in GB/s, as curl takes them. */
async function download(url: string): Promise<number> {
  const { wall } = await timeProcess("curl", ["-sSf", "-o", "/dev/null", url]);
  return GIB / wall / 1e9;
}

let narUrl = "";
const nar: BenchRow = {
  name: "http-nar",
  work: "serve a NAR of 1 GiB from the store over HTTP",
  peer: "nginx, the same .nar file",
  reach: 0.5,
  sense: "throughput",
  prepare: async () => {
    const paths = await prepare((directory) => {
      for (let i = 0; i < 64; i++) writeFileSync(join(directory, `f${i}`), pseudoRandomBytes(GIB / 64, i + 1));
      return [directory];
    });
    narUrl = (await mirror(paths, true))[0] ?? "";
  },
  ours: () => download(`${servers.ours}/${narUrl}`),
  peers: () => download(`${servers.peer}/nar`),
  cleanup,
};

const REQUESTS = 20_000;
const CONNECTIONS = 32;

/** Seconds for many requests over kept connections, one at a time on each. */
async function requests(root: string, names: readonly string[]): Promise<number> {
  const { hostname, port } = new URL(root);
  let left = REQUESTS;
  const start = performance.now();
  const connection = (): Promise<void> =>
    new Promise((done, failed) => {
      const socket = connect(Number(port), hostname).setNoDelay();
      let answer = Buffer.alloc(0);
      const ask = (): void => {
        if (left-- <= 0) {
          socket.end();
          done();
          return;
        }
        socket.write(`GET /${names[left % names.length]} HTTP/1.1\r\nHost: x\r\n\r\n`);
      };
      socket.on("data", (piece) => {
        answer = answer.length === 0 ? piece : Buffer.concat([answer, piece]);
        const end = answer.indexOf("\r\n\r\n");
        if (end < 0) return;
        const head = answer.toString("latin1", 0, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
        if (!head.startsWith("HTTP/1.1 200") || Number.isNaN(length)) failed(new Error(head));
        if (answer.length < end + 4 + length) return;
        answer = Buffer.alloc(0);
        ask();
      });
      socket.on("error", failed);
      ask();
    });
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  return (performance.now() - start) / 1000;
}

/** Small trees that differ: a directory each with a few files. */
function smallTrees(directory: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const path = join(directory, `p${i}`);
    mkdirSync(join(path, "share"), { recursive: true });
    for (let file = 0; file < 12; file++) {
      writeFileSync(join(path, "share", `f${file}`), pseudoRandomBytes(1000 + 3000 * file, 1 + i * 100 + file));
    }
    return path;
  });
}

let names: string[] = [];
const narInfo: BenchRow = {
  name: "http-narinfo",
  work: `${REQUESTS} narinfo requests, ${CONNECTIONS} connections kept`,
  peer: "nginx, the same files",
  reach: 4,
  sense: "time",
  prepare: async () => {
    await mirror(await prepare((directory) => smallTrees(directory, 200)), false);
    names = readdirSync(join(scratch, "files"));
    for (const name of names) readFileSync(join(scratch, "files", name));
  },
  ours: () => requests(servers.ours, names),
  peers: () => requests(servers.peer, names),
  cleanup,
};

/** Times filling a store that is empty each time. */
async function filled(name: string, command: string, args: (store: string) => readonly string[]): Promise<number> {
  const store = join(scratch, name);
  execFileSync("sync");
  const { wall } = await timeProcess(command, args(store), { NIX_CONFIG: "substituters =\nbuild-users-group =\n" });
  if (existsSync(store)) execFileSync("chmod", ["-R", "u+w", store]);
  rmSync(store, { recursive: true, force: true });
  return wall;
}

let closure = "";
const substitute: BenchRow = {
  name: "substitute",
  work: "a closure of 200 paths from our cache into an empty store",
  peer: "nix copy --from the same cache",
  reach: 0.5,
  sense: "time",
  prepare: async () => {
    const paths = await prepare((directory) => smallTrees(directory, 199));
    const top = join(scratch, "source", "top");
    writeFileSync(top, paths.join("\n"));
    const candidates = paths.flatMap((path) => ["--candidate", path]);
    closure = tvix(["store", "import", top, ...candidates], join(scratch, "store")).trim();
  },
  ours: () =>
    filled("ours", process.execPath, (store) => [
      cli,
      "store",
      "copy",
      `nix+${servers.ours}?trusted=1`,
      store,
      closure,
    ]),
  peers: () =>
    filled("theirs", "nix", (store) =>
      `--extra-experimental-features nix-command copy --no-check-sigs --refresh --from ${servers.ours} --to ${store} ${closure}`.split(
        " ",
      ),
    ),
  cleanup,
};

export const rows: readonly BenchRow[] = [nar, narInfo, substitute];
