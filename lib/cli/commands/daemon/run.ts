// Runs the daemon: opens the store, listens, logs, and stops when it is told to.
import { destination, type Logger, pino } from "pino";
import { TvixError } from "../../../base/error.ts";
import type { CallReport } from "../../../server/grpc-calls.ts";
import { serveGrpc } from "../../../server/grpc.ts";
import { listen, type Listening, parseListen } from "../../../server/listen.ts";
import { readTls } from "../../../server/tls.ts";
import { openStore } from "../../../store/open.ts";
import { readOnlyStore } from "../../../store/compose/read-only.ts";
import type { Store } from "../../../store/store.ts";
import { interruptible } from "../../signals.ts";

/** The flags of `tvix daemon`. */
export interface DaemonFlags {
  readonly listen: readonly string[];
  readonly store?: string;
  readonly workerSocket?: string;
  readonly readOnly?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly maxCalls: number;
  readonly maxMessage: number;
  readonly grace: number;
  readonly logLevel: string;
}

const LEVELS: readonly string[] = ["debug", "info", "warn", "error", "silent"];

/** Serves until SIGINT or SIGTERM. */
export async function run(flags: DaemonFlags): Promise<void> {
  if (!LEVELS.includes(flags.logLevel)) {
    throw new TvixError("ERR_CLI_USAGE", `--log-level is one of ${LEVELS.join(", ")}`);
  }
  const addresses = flags.listen.map(parseListen);
  const tls = readTls({ cert: flags.tlsCert, key: flags.tlsKey, clientCa: flags.tlsClientCa });
  // Standard output is left alone; a line is written before the next thing happens, so that a crash loses none.
  const log = pino({ level: flags.logLevel, base: null }, destination({ dest: 2, sync: true }));
  const store = await openStore(flags.store, flags.readOnly === true ? { readOnly: true } : {});
  try {
    const server = await serveGrpc(store, addresses, {
      readOnly: flags.readOnly === true,
      tls,
      maxCalls: flags.maxCalls,
      maxMessage: flags.maxMessage,
      onCall: ({ error, ...call }: CallReport) => {
        if (error === undefined) log.debug(call, "call");
        else log.error({ ...call, err: error }, "call failed");
      },
    });
    const worker =
      flags.workerSocket === undefined ? undefined : await serveWorker(store, flags.workerSocket, flags, log);
    log.info({ store: store.address, listen: server.addresses, worker: flags.workerSocket }, "serving");
    const reason = await interruptible(async (signal) => {
      await new Promise((stopped) => {
        signal.addEventListener("abort", stopped, { once: true });
      });
      log.info({ grace: flags.grace }, "stopping");
      await Promise.all([server.close(flags.grace * 1000), worker?.close(flags.grace * 1000)]);
      return signal.reason as Error;
    });
    log.info(reason.message);
  } finally {
    await store.close();
  }
}

/** The Nix daemon's protocol on a unix socket, for whoever may write to that. */
async function serveWorker(store: Store, path: string, { readOnly }: DaemonFlags, log: Logger): Promise<Listening> {
  const { workerServer } = await import("../../../server/worker.ts");
  const onError = (err: unknown): void => log.error({ err }, "worker connection failed");
  const served = readOnly === true ? readOnlyStore(store) : store;
  return await listen([parseListen(`unix:${path}`)], () => workerServer(served, { onError }));
}
