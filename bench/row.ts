// The form of a benchmark row: one piece of work, done by us and by a peer in the same run.

/** One measured comparison; `run` is called several times, and medians are taken over the calls. */
export interface BenchRow {
  /** Short name for the command line: `blake3-1`. */
  readonly name: string;
  /** What is done, for the table. */
  readonly work: string;
  /** Who else does it, for the table. */
  readonly peer: string;
  /** The ratio ours / peer to reach, or null when the figures are only reported. */
  readonly reach: number | null;
  /** `time`: seconds, `size`: GB; reach is an upper bound. `throughput`: GB/s, reach is a lower bound. */
  readonly sense: "time" | "size" | "throughput";
  /** Prepares inputs shared by all samples (files, stores); called once. */
  prepare?(): Promise<void>;
  /** One sample of ours, in the unit of `sense`. */
  ours(): Promise<number>;
  /** One sample of the peer's, in the same unit; called right after `ours`. */
  peers(): Promise<number>;
  /** What merely starting either side's program costs, taken with each sample: the table tells the rest apart. */
  starts?(): Promise<{ readonly ours: number; readonly peer: number }>;
  /** Removes what `prepare` made. */
  cleanup?(): Promise<void>;
}
