// Addresses of buckets.
//
//   s3://bucket[/prefix][?endpoint=URL][&region=NAME][&profile=NAME][&path-style=0|1]
import { TvixError } from "../../base/error.ts";
import { checkKey } from "./service.ts";

/** Where objects are. */
export interface S3Address {
  /** The address as it was given. */
  readonly text: string;
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly profile?: string;
  readonly pathStyle?: boolean;
}

/** Reads an address. @throws TvixError `ERR_CASTORE_ADDRESS` */
export function parseS3Address(text: string): S3Address {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (!match) throw addressError(text, "it is not s3://bucket/prefix");
  const [, bucket = "", place = "", query = ""] = match;
  const prefix = place.replace(/\/+$/, "");
  if (prefix !== "") checkKey(prefix);
  const parameters = new Map(new URLSearchParams(query));
  const take = (name: string): string | undefined => {
    const value = parameters.get(name);
    parameters.delete(name);
    return value;
  };
  const [endpoint, region, profile, style] = [take("endpoint"), take("region"), take("profile"), take("path-style")];
  for (const name of parameters.keys()) throw addressError(text, `the parameter "${name}" is not known`);
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) throw addressError(text, "endpoint is no http URL");
  return {
    text,
    bucket,
    prefix: prefix === "" ? "" : `${prefix}/`,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(style === undefined ? {} : { pathStyle: style !== "0" && style !== "false" }),
  };
}

function addressError(text: string, why: string): TvixError {
  return new TvixError("ERR_CASTORE_ADDRESS", `"${text}" is not the address of a bucket: ${why}`, {
    notes: ["s3://bucket/prefix?endpoint=https://gateway&region=us-east-1"],
  });
}
