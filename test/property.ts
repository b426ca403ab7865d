// fast-check for the tests of this project. A check of a commit draws the same inputs every time, so that it says
// something of the commit; `TVIX_SOAK=1` draws others, and `TVIX_SEED=N` those of N (a failure prints its seed).
import { env } from "node:process";
import fc from "fast-check";

const SEED = 20_260_101;

const named = env["TVIX_SEED"];
if (named !== undefined) fc.configureGlobal({ seed: Number(named) });
else if (env["TVIX_SOAK"] === undefined) fc.configureGlobal({ seed: SEED });

export { fc };
