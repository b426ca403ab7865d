// Counters of a server, in the text form that Prometheus reads.

/** Upper bounds of the buckets of durations, in seconds. */
const BUCKETS: readonly number[] = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60];

interface Durations {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** What a server has done so far. */
export class Metrics {
  readonly #prefix: string;
  /** By route, method and status. */
  readonly #requests = new Map<string, number>();
  /** By route. */
  readonly #durations = new Map<string, Durations>();
  readonly #plain = new Map<string, { help: string; type: "counter" | "gauge"; value: number }>();

  /** @param prefix what names begin with: `tvix_cache` */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Counts a request that has ended. */
  request(route: string, method: string, status: number, seconds: number): void {
    const key = `route="${route}",method="${method}",status="${status}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
    let durations = this.#durations.get(route);
    if (durations === undefined) {
      durations = { counts: BUCKETS.map(() => 0), sum: 0, count: 0 };
      this.#durations.set(route, durations);
    }
    for (const [i, bound] of BUCKETS.entries()) if (seconds <= bound) durations.counts[i]!++;
    durations.sum += seconds;
    durations.count++;
  }

  /** Adds to a counter, or to a gauge, which may go down. */
  add(name: string, by: number, help: string, type: "counter" | "gauge" = "counter"): void {
    const known = this.#plain.get(name);
    if (known) known.value += by;
    else this.#plain.set(name, { help, type, value: by });
  }

  /** All of it as `text/plain; version=0.0.4`. */
  render(): string {
    const lines: string[] = [];
    const head = (name: string, type: string, help: string) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    const requests = `${this.#prefix}_requests_total`;
    head(requests, "counter", "Requests that have ended.");
    for (const [labels, value] of this.#requests) lines.push(`${requests}{${labels}} ${value}`);
    const seconds = `${this.#prefix}_request_duration_seconds`;
    head(seconds, "histogram", "How long requests took, the sending of the answer included.");
    for (const [route, { counts, sum, count }] of this.#durations) {
      for (const [i, bound] of BUCKETS.entries()) {
        lines.push(`${seconds}_bucket{route="${route}",le="${bound}"} ${counts[i]}`);
      }
      lines.push(`${seconds}_bucket{route="${route}",le="+Inf"} ${count}`);
      lines.push(`${seconds}_sum{route="${route}"} ${sum}`, `${seconds}_count{route="${route}"} ${count}`);
    }
    for (const [name, { help, type, value }] of this.#plain) {
      head(`${this.#prefix}_${name}`, type, help);
      lines.push(`${this.#prefix}_${name} ${value}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
