// Runs the daemon: opens the store, listens, logs, and stops when it is told to.
import { destination, pino } from "pino";
import { TvixError } from "../../../base/error.ts";
import type { CallReport } from "../../../server/grpc-calls.ts";
import { serveGrpc } from "../../../server/grpc.ts";
import { parseListen } from "../../../server/listen.ts";
import { openStore } from "../../../store/open.ts";
import { interruptible } from "../../signals.ts";

/** The flags of `tvix daemon`. */
export interface DaemonFlags {
  readonly listen: readonly string[];
  readonly store?: string;
  readonly readOnly?: boolean;
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
  // Standard output is left alone; a line is written before the next thing happens, so that a crash loses none.
  const log = pino({ level: flags.logLevel, base: null }, destination({ dest: 2, sync: true }));
  const store = await openStore(flags.store, flags.readOnly === true ? { readOnly: true } : {});
  try {
    const server = await serveGrpc(store, addresses, {
      readOnly: flags.readOnly === true,
      maxCalls: flags.maxCalls,
      maxMessage: flags.maxMessage,
      onCall: ({ error, ...call }: CallReport) => {
        if (error === undefined) log.debug(call, "call");
        else log.error({ ...call, err: error }, "call failed");
      },
    });
    log.info({ store: store.address, listen: server.addresses }, "serving");
    const reason = await interruptible(async (signal) => {
      await new Promise((stopped) => {
        signal.addEventListener("abort", stopped, { once: true });
      });
      log.info({ grace: flags.grace }, "stopping");
      await server.close(flags.grace * 1000);
      return signal.reason as Error;
    });
    log.info(reason.message);
  } finally {
    await store.close();
  }
}
