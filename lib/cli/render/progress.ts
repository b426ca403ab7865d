// A progress bar on standard error, shown on a terminal only and only for work that lasts.
import type { SingleBar } from "cli-progress";

/** Progress of one long piece of work, in bytes or in items. */
export interface Progress {
  /** Says how far the work is; `total` may grow while it is discovered. */
  update(done: number, total: number, label?: string): void;
  /** Removes the bar. */
  stop(): void;
}

const QUIET: Progress = { update: () => undefined, stop: () => undefined };

/** Work shorter than this shows no bar. */
const DELAY_MS = 300;

/** Opens a bar titled `title`; silent unless standard error is a terminal. `unit` scales the shown figures. */
export async function openProgress(title: string, unit: "bytes" | "items"): Promise<Progress> {
  if (!process.stderr.isTTY) return QUIET;
  const { default: library } = await import("cli-progress");
  const start = performance.now();
  let bar: SingleBar | undefined;
  return {
    update(done, total, label = "") {
      if (!bar) {
        if (performance.now() - start < DELAY_MS) return;
        bar = new library.SingleBar({
          format: `${title} [{bar}] {percentage}% {value}/{total} ${unit === "bytes" ? "MiB" : ""} {label}`,
          hideCursor: true,
          clearOnComplete: true,
          etaBuffer: 50,
        });
        bar.start(1, 0, { label });
      }
      const scale = unit === "bytes" ? 1 << 20 : 1;
      bar.setTotal(Math.max(1, Math.ceil(total / scale)));
      bar.update(Math.floor(done / scale), { label });
    },
    stop() {
      bar?.stop();
    },
  };
}
