// Calls that wait for another thread: answers, errors, and threads that never answer.
import { afterEach, describe, expect, test } from "vitest";
import { AssertionError, TvixError } from "../../lib/base/error.ts";
import { BlockingThread } from "../../lib/nix/blocking.ts";

type Functions = {
  echo(value: unknown): Promise<unknown>;
  later(value: string): Promise<[number, string]>;
  fail(code: string | undefined): Promise<void>;
  vanish(argument: null): Promise<void>;
};

const module = new URL("./functions.mjs", import.meta.url);
let thread: BlockingThread<Functions> | undefined;

function start(options: object = {}, from: URL = module): BlockingThread<Functions> {
  thread = new BlockingThread<Functions>(from, options, { silence: 2500 });
  return thread;
}

afterEach(() => thread?.close());

describe("a blocking thread", () => {
  test("answers in the call itself, with what structured clones can be", () => {
    const running = start();
    const value = { bytes: new Uint8Array([1, 2]), map: new Map([["a", 1n]]), text: "\ud83d\ude00", none: undefined };
    expect(running.call("echo", value)).toEqual(value);
    expect(running.call("later", "a")).toEqual([1, "a"]);
    expect(running.call("later", "b")).toEqual([2, "b"]);
  });

  test("throws what its functions throw: ours with code and notes, others as mistakes", () => {
    const running = start();
    const failing = (code: string | undefined) => () => running.call("fail", code);
    expect(failing("ERR_TEST_X")).toThrow(TvixError);
    expect(failing("ERR_TEST_X")).toThrow(expect.objectContaining({ code: "ERR_TEST_X", notes: ["why"] }));
    expect(failing(undefined)).toThrow(AssertionError);
    expect(running.call("echo", 1)).toBe(1);
  });

  test("says why it cannot open, or that its module is not there", () => {
    expect(() => start({ refuse: true }).call("echo", 1)).toThrow(expect.objectContaining({ code: "ERR_TEST_OPEN" }));
    expect(() => start({}, new URL("./absent.mjs", import.meta.url)).call("echo", 1)).toThrow(/absent\.mjs/);
  });

  test("starts anew after it was closed", async () => {
    const running = start();
    running.call("later", "a");
    await running.close();
    expect(running.call("later", "b")).toEqual([1, "b"]);
  });

  test("is given up when it gives no sign of life", () => {
    const running = start();
    expect(() => running.call("vanish", null)).toThrow(expect.objectContaining({ code: "ERR_NIX_THREAD_LOST" }));
    expect(running.call("echo", 1)).toBe(1);
  });
});
