// Health: whether a server is ready, for those who balance or restart servers.
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "./gen/grpc/health/v1/health_pb.ts";

export { Health } from "./gen/grpc/health/v1/health_pb.ts";

/** What is told about a server: it serves its services until it drains. */
export class HealthState {
  readonly #services: ReadonlySet<string>;
  #draining = false;
  readonly #watchers = new Set<() => void>();

  /** @param services full names of all services */
  constructor(services: Iterable<string>) {
    this.#services = new Set(["", ...services]);
  }

  /** From now on nothing is served; who watches is told, and the watches end. */
  drain(): void {
    this.#draining = true;
    for (const wake of this.#watchers) wake();
  }

  #status(service: string): Status | undefined {
    if (!this.#services.has(service)) return undefined;
    return this.#draining ? Status.NOT_SERVING : Status.SERVING;
  }

  /** The methods of grpc.health.v1.Health. */
  methods(): ServiceImpl<typeof Health> {
    return {
      check: ({ service }) => {
        const status = this.#status(service);
        if (status !== undefined) return { status };
        throw new ConnectError(`there is no service ${JSON.stringify(service)}`, Code.NotFound);
      },
      watch: ({ service }, { signal }) => this.#watch(service, signal),
    };
  }

  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: Status }> {
    yield { status: this.#status(service) ?? Status.SERVICE_UNKNOWN };
    if (this.#draining) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#watchers.delete(wake);
        resolve();
      };
      this.#watchers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
    if (!signal.aborted) yield { status: this.#status(service) ?? Status.SERVICE_UNKNOWN };
  }
}
