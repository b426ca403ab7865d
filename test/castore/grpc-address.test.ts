// Addresses of gRPC servers, and of stores in general: what is read, and what is refused with which words.
import { describe, expect, test } from "vitest";
import { parseGrpcAddress } from "../../lib/castore/grpc/address.ts";

describe("addresses of gRPC servers", () => {
  test.each([
    ["grpc+http://host", [{ url: "http://host:8000" }]],
    ["grpc+http://host:1", [{ url: "http://host:1" }]],
    ["grpc+http://[::1]:8000", [{ url: "http://[::1]:8000" }]],
    ["grpc+https://host", [{ url: "https://host:443" }]],
    ["grpc+http://a:1,b,[::1]:2", [{ url: "http://a:1" }, { url: "http://b:8000" }, { url: "http://[::1]:2" }]],
    ["grpc+unix:///run/x.sock", [{ url: "http://localhost", socket: "/run/x.sock" }]],
    ["grpc+unix:/run/a%20b", [{ url: "http://localhost", socket: "/run/a b" }]],
  ])("%s", (text, servers) => expect(parseGrpcAddress(text)).toMatchObject({ text, servers, waitConnect: false }));

  test("may ask to connect at once", () => {
    expect(parseGrpcAddress("grpc+http://h?wait-connect=1").waitConnect).toBe(true);
  });

  test.each([
    "grpc+http://",
    "grpc+http://h/x",
    "grpc+http://h/",
    "grpc+http://a,,b",
    "grpc+http:h",
    "grpc+unix://",
    "grpc+unix:///",
    "grpc+unix://host/x",
    "grpc+ftp://h",
    "grpc+http://h?what=1",
    "grpc+http://h?tls_ca_cert_path=/x",
    "grpc+https://h?tls_ca_cert_path=/does/not/exist",
  ])("not %s", (text) => {
    expect(() => parseGrpcAddress(text)).toThrow(expect.objectContaining({ code: "ERR_CASTORE_ADDRESS" }));
  });
});
