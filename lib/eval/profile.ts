// CPU profiles by Nix function: V8's own sampling profiler, with the frames of compiled units named after the source.

import type { Session as InspectorSession } from "node:inspector";
import { scriptFunction } from "./vm/script-trace.ts";

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
  columnNumber: number;
}

interface Profile {
  readonly nodes: readonly { readonly callFrame: CallFrame }[];
}

/** A running profile. */
export interface Profiling {
  /** Ends it; answers the text of a `.cpuprofile` file, which speedscope and Chrome open. */
  stop(): string;
}

/** Starts profiling this thread, with a sample every `interval` microseconds. */
export function startProfile(interval = 200): Profiling {
  // Loaded only now: it costs the start of each program as much as a small evaluation.
  const session: InspectorSession = new (process.getBuiltinModule("node:inspector").Session)();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval });
  session.post("Profiler.start");
  return {
    stop: () => {
      let text = "";
      // In the same thread the answer comes before `post` returns.
      session.post("Profiler.stop", (error: Error | null, { profile }: { profile: Profile }) => {
        if (error !== null) throw error;
        for (const { callFrame } of profile.nodes) rename(callFrame);
        text = JSON.stringify(profile);
      });
      session.disconnect();
      return text;
    },
  };
}

/** Names a frame of a compiled unit after the Nix function and the place that it stands for. */
function rename(frame: CallFrame): void {
  const found = scriptFunction(frame.url, frame.lineNumber);
  if (found === undefined) return;
  const { line, column } = found.source.position(found.offset);
  const file = found.source.name.slice(found.source.name.lastIndexOf("/") + 1);
  const kind = /^[lab]\d/.test(frame.functionName) ? "function" : "value";
  frame.functionName = `${kind} ${file}:${line}:${column}`;
  frame.url = found.source.name;
  frame.lineNumber = line - 1;
  frame.columnNumber = column - 1;
}
