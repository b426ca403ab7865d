// Which store an address names, and which one no address names.
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAddress } from "../../lib/store/address.ts";

test("no address is the one in $TVIX_STORE, whatever its kind, and then the user's own store", () => {
  expect(parseAddress(undefined, { TVIX_STORE: "memory:" })).toEqual({ kind: "memory" });
  expect(parseAddress(undefined, { TVIX_STORE: "grpc+http://host" })).toMatchObject({ kind: "grpc" });
  expect(parseAddress(undefined, { TVIX_STORE: "/x" })).toEqual({ kind: "local", directory: "/x" });
  expect(parseAddress("/y", { TVIX_STORE: "/x" })).toEqual({ kind: "local", directory: "/y" });
  for (const environment of [{}, { TVIX_STORE: "" }]) {
    expect(parseAddress(undefined, { ...environment, XDG_DATA_HOME: "/data" })).toEqual({
      kind: "local",
      directory: "/data/tvix/store",
    });
  }
  expect(parseAddress(undefined, {})).toEqual({
    kind: "local",
    directory: join(homedir(), ".local", "share", "tvix", "store"),
  });
});

test("addresses of all kinds are read, others refused with the list of what there is", () => {
  expect(parseAddress("s3://bucket/p")).toMatchObject({ kind: "s3", s3: { bucket: "bucket", prefix: "p/" } });
  expect(parseAddress("dir:/x")).toEqual({ kind: "object", directory: "/x" });
  for (const text of ["ftp://x", "memory:x", "local:", "file://host/x"]) {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "ERR_STORE_ADDRESS" }));
  }
});
