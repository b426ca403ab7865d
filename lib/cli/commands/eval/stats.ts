// `--stats`: what an evaluation did and cost, as one line of JSON.
import { setImmediate } from "node:timers/promises";
import { type Observer, statsObserver } from "../../../eval/observer.ts";

/** Running statistics. */
export interface Statistics {
  readonly observer: Observer;
  /** Ends them; answers the line, with its line break. */
  finish(): Promise<string>;
}

/** Starts counting and measuring. */
export function startStatistics(): Statistics {
  const counted = statsObserver();
  const collections = new (process.getBuiltinModule("node:perf_hooks").PerformanceObserver)(() => {});
  collections.observe({ entryTypes: ["gc"] });
  const before = process.cpuUsage();
  return {
    observer: counted.observer,
    finish: async () => {
      // Collections are reported when the event loop turns.
      await setImmediate();
      const pauses = collections.takeRecords();
      collections.disconnect();
      const { user, system } = process.cpuUsage(before);
      const time = {
        /** Seconds, as in NIX_SHOW_STATS. */
        cpu: (user + system) / 1e6,
        gc: pauses.reduce((sum, { duration }) => sum + duration, 0) / 1e3,
      };
      const memory = {
        heapBytes: process.memoryUsage().heapUsed,
        peakBytes: process.resourceUsage().maxRSS * 1024,
        collections: pauses.length,
      };
      return `${JSON.stringify({ time, memory, ...counted.stats() })}\n`;
    },
  };
}
