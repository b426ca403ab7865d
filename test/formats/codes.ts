// What hostile input may do: throw a TvixError, whose code the tests look at, and nothing else.

import { TvixError } from "../../lib/base/error.ts";

/** Runs `action`; the code of the TvixError it throws, or `undefined`. Any other error goes through. */
export function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof TvixError) return error.code;
    throw error;
  }
  return undefined;
}

/** The same for an asynchronous action. */
export async function codeOfAsync(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
  } catch (error) {
    if (error instanceof TvixError) return error.code;
    throw error;
  }
  return undefined;
}
