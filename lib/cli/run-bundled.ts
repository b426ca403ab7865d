// Runs the program: the bundled one where there is one, else its modules.
import { loadBundle } from "./bundle.ts";
import type { Said } from "./output.ts";

/**
 * Runs a command line and sets the process's exit code; answers the program that did it.
 * @param before how much was said by a thread that this one repeats
 */
export async function runBundled(
  argv: readonly string[],
  entry: URL,
  before?: Readonly<Said>,
): Promise<Pick<typeof import("./program.ts"), "hasSaidAll">> {
  const bundle = loadBundle<typeof import("./program.ts")>(new URL("program.cjs", entry), argv[0]);
  const program = bundle ? bundle.evaluate() : await import("./program.ts");
  process.exitCode = await program.runProgram(argv, entry, before);
  bundle?.keep();
  return program;
}
