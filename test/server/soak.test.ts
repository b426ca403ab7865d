// Daemons under many clients that are killed, and clients whose daemon is killed. TVIX_SOAK=1 runs it in full size: 64
// transfers at a time for five minutes, and three daemons in network namespaces of their own.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { verifyAddress } from "../../lib/store/verify.ts";
import { PROGRAM } from "../cli/tvix.ts";
import { startBucket } from "../servers/s3.ts";

const SOAK = process.env["TVIX_SOAK"] === "1";
const SECONDS = Number(process.env["TVIX_SOAK_SECONDS"] ?? (SOAK ? 300 : 4));
const scratch = mkdtempSync(join(tmpdir(), "tvix-soak-"));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});
const client = fileURLToPath(import.meta.resolve("./client.ts"));
const environment = {
  ...process.env,
  AWS_ACCESS_KEY_ID: "AK",
  AWS_SECRET_ACCESS_KEY: "SK",
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
};

/** Starts the daemon and waits until it serves; `within` is what it is started under. */
async function startDaemon(listen: string, store: string, within: readonly string[] = []): Promise<ChildProcess> {
  const [command, ...args] = [...within, process.execPath, PROGRAM, "daemon", "--listen", listen, "--store", store];
  const daemon = spawn(command, args, { stdio: ["ignore", "inherit", "pipe"], env: environment });
  children.push(daemon);
  await once(daemon.stderr, "data");
  daemon.stderr.resume();
  return daemon;
}

function startClient(args: readonly string[]): ChildProcess {
  const stdio: ["ignore", "pipe", "inherit"] = ["ignore", "pipe", "inherit"];
  const one = spawn(process.execPath, ["--import", "tsx", client, ...args], { stdio, env: environment });
  children.push(one);
  return one;
}

/** Memory of a process in MB: now, and at its highest. */
function memory(daemon: ChildProcess): { now: number; peak: number } {
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1000;
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

const files = (daemon: ChildProcess): number => readdirSync(`/proc/${daemon.pid}/fd`).length;
const pause = (milliseconds: number): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, milliseconds);
  });

describe("clients that are killed", () => {
  test(`${SOAK ? 64 : 8} transfers at a time: no wrong byte, nothing left behind, memory bounded`, async () => {
    const [processes, width] = SOAK ? [8, 8] : [2, 4];
    const [socket, directory] = [join(scratch, "churn.sock"), join(scratch, "churn")];
    const daemon = await startDaemon(socket, directory);
    const quiet = files(daemon);
    const begin = (seed: number): ChildProcess =>
      startClient(["churn", `grpc+unix://${socket}`, String(seed), String(width)]);
    const counts = { transfers: 0, kills: 0, wrong: 0 };
    const working = new Set<ChildProcess>();
    const watch = (one: ChildProcess): ChildProcess => {
      one.stdout?.on("data", (dots: Buffer) => {
        counts.transfers += dots.length;
        working.add(one);
      });
      one.on("exit", (code) => {
        if (code !== null) counts.wrong++;
      });
      return one;
    };
    const clients = Array.from({ length: processes }, (_, i) => watch(begin(i)));
    const end = Date.now() + SECONDS * 1000;
    for (let seed = processes; Date.now() < end || counts.kills < 2; seed++) {
      await pause(Math.random() * 1000);
      // One that is in the middle of its transfers; starting a process takes longer than many of them.
      const victim = [...working][Math.floor(Math.random() * working.size)];
      if (victim === undefined) continue;
      victim.kill("SIGKILL");
      working.delete(victim);
      counts.kills++;
      clients[clients.indexOf(victim)] = watch(begin(seed));
    }
    for (const one of clients) {
      one.kill("SIGKILL");
      if (one.exitCode === null && one.signalCode === null) await once(one, "exit");
    }
    await pause(1000);
    const { peak } = memory(daemon);
    if (SOAK) console.log(`${counts.transfers} transfers, ${counts.kills} kills, at most ${Math.round(peak)} MB`);
    expect(counts.wrong).toBe(0);
    expect(counts.transfers).toBeGreaterThan(0);
    expect(peak).toBeLessThan(600);
    // What a store opens as it goes (packs, the index) stays open; connections and temporary files do not.
    const packs = readdirSync(join(directory, "packs")).length;
    expect(files(daemon)).toBeLessThanOrEqual(quiet + 2 * packs + 4);
    daemon.kill("SIGTERM");
    expect(await once(daemon, "exit")).toEqual([0, null]);
    expect(readdirSync(directory).includes("tmp") ? readdirSync(join(directory, "tmp")) : []).toEqual([]);
    expect((await verifyAddress(directory)).damage).toEqual([]);
  });
});

describe("daemons that are killed", () => {
  test("a client of two goes on with the other, in the middle of what it does", async () => {
    const bucket = await startBucket();
    const store = bucket.address;
    const sockets = ["127.0.0.1:17611", "127.0.0.1:17612"];
    const daemons = await Promise.all(sockets.map((socket) => startDaemon(socket, store)));
    await survive(`grpc+http://${sockets.join(",")}`, daemons, 6);
    await bucket.close();
  });

  test.runIf(SOAK)("three machines, one bucket: their daemons go one after the other, the client goes on", async () => {
    const network = new Network(3);
    const bucket = await startBucket("10.99.77.254");
    const store = process.env["TVIX_S3_CLUSTER"] ?? bucket.address;
    try {
      const hosts = [1, 2, 3].map((i) => `10.99.77.${i}:8000`);
      const daemons = await Promise.all(hosts.map((host, i) => startDaemon(host, store, network.within(i))));
      await survive(`grpc+http://${hosts.join(",")}`, daemons, 40);
    } finally {
      await bucket.close();
      network.remove();
    }
  });

  /** A client transfers; one daemon after the other is killed while it does, all but the last. */
  async function survive(address: string, daemons: readonly ChildProcess[], count: number): Promise<void> {
    const one = startClient(["transfer", address, String(count), "3000017"]);
    let lines = 0;
    let next = 0;
    one.stdout?.on("data", (text: Buffer) => {
      lines += text.toString().split("\n").length - 1;
      // Evenly over all it does: while it uploads as well as while it downloads.
      if (lines > ((next + 1) * 2 * count) / (daemons.length + 1) && next < daemons.length - 1) {
        daemons[next++]?.kill("SIGKILL");
      }
    });
    expect(await once(one, "exit")).toEqual([0, null]);
    expect(lines).toBe(2 * count);
    expect(next).toBe(daemons.length - 1);
    const last = daemons.at(-1) as ChildProcess;
    last.kill("SIGTERM");
    expect(await once(last, "exit")).toEqual([0, null]);
  }
});

/** Machines on this machine: network namespaces on a bridge. Needs root. */
class Network {
  readonly #names: readonly string[];

  constructor(size: number) {
    this.#names = Array.from({ length: size }, (_, i) => `tvix-${process.pid}-${i}`);
    ip("link add tvixbr0 type bridge");
    ip("addr add 10.99.77.254/24 dev tvixbr0");
    ip("link set tvixbr0 up");
    for (const [i, name] of this.#names.entries()) {
      ip(`netns add ${name}`);
      ip(`link add tvixv${i} type veth peer name eth0 netns ${name}`);
      ip(`link set tvixv${i} master tvixbr0 up`);
      ip(`-n ${name} addr add 10.99.77.${i + 1}/24 dev eth0`);
      ip(`-n ${name} link set eth0 up`);
      ip(`-n ${name} link set lo up`);
    }
  }

  within(i: number): string[] {
    return ["ip", "netns", "exec", this.#names[i] as string];
  }

  remove(): void {
    for (const name of this.#names) ip(`netns del ${name}`);
    ip("link del tvixbr0");
  }
}

function ip(words: string): void {
  execFileSync("ip", words.split(" "));
}
