import { describe, expect, test } from "vitest";
import { Limit } from "../../lib/base/limit.ts";

describe("a limit", () => {
  test("lets so many in, the others in order, and each place is given up once", async () => {
    const limit = new Limit(2);
    const order: number[] = [];
    const [first, second] = [await limit.enter(), await limit.enter()];
    const waiting = [1, 2, 3].map(async (i) => {
      const leave = await limit.enter();
      order.push(i);
      return leave;
    });
    expect(order).toEqual([]);
    first();
    first();
    const third = await waiting[0];
    await Promise.resolve();
    expect(order).toEqual([1]);
    second();
    third?.();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  test("refuses when too many wait, and forgets who gives up waiting", async () => {
    const limit = new Limit(1, 1);
    const leave = await limit.enter();
    const impatient = new AbortController();
    const waiting = limit.enter(impatient.signal);
    await expect(limit.enter()).rejects.toMatchObject({ code: "ERR_BUSY" });
    impatient.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    const next = limit.enter();
    leave();
    (await next)();
    (await limit.enter())();
  });
});
