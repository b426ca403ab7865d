// Progress and cancellation of long operations: the two options they all take.

/** How far an operation is. Numbers never go down within a phase. */
export interface Progress {
  /** What is being done, one word: `import`, `copy`, `mark`, `sweep`, `repack`, `verify`, … */
  readonly phase: string;
  /** Items done: files, paths, objects. */
  readonly done: number;
  /** Items in all; `undefined` while that is not known. */
  readonly total?: number;
  /** Bytes done. */
  readonly bytes: number;
}

/** Options of long operations. */
export interface OperationOptions {
  /** Called now and then on the way, and at the end of each phase. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the operation early: it fails with the signal's reason, and nothing half-made stays visible. */
  readonly signal?: AbortSignal;
}
