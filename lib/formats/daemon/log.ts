// What a server sends before its reply: log lines, activities, and either the last frame or an error.

import { TvixError } from "../../base/error.ts";
import { bytesToLatin1, decodeUtf8, encodeUtf8 } from "../../base/text.ts";
import { type WireReader, WireWriter } from "../wire.ts";

/** The frame after which the reply follows. */
export const LAST = 0x616c7473;
const NEXT = 0x6f6c6d67;
const ERROR = 0x63787470;
const START = 0x53545254;
const STOP = 0x53544f50;
const RESULT = 0x52534c54;

const FIELDS_MAX = 10_000;
const TRACES_MAX = 10_000;

/** A parameter of an activity: a number or a text. */
export type LogField = number | string;

/** A frame. Texts are text here, not byte strings; `level` is 0 (errors) to 7 (vomit). */
export type LogFrame =
  | { readonly type: "next"; readonly text: string }
  | { readonly type: "last" }
  | ({ readonly type: "error" } & RemoteError)
  | {
      readonly type: "start";
      readonly id: number;
      readonly level: number;
      readonly activity: number;
      readonly text: string;
      readonly fields: readonly LogField[];
      readonly parent: number;
    }
  | { readonly type: "stop"; readonly id: number }
  | { readonly type: "result"; readonly id: number; readonly result: number; readonly fields: readonly LogField[] };

/** An error that a server reports. */
export interface RemoteError {
  readonly level: number;
  readonly name: string;
  readonly message: string;
  readonly traces: readonly string[];
}

/** Writes a frame. */
export function encodeLogFrame(frame: LogFrame): Uint8Array {
  const writer = new WireWriter();
  switch (frame.type) {
    case "next":
      writer.u64(NEXT).bytes(encodeUtf8(frame.text));
      break;
    case "last":
      writer.u64(LAST);
      break;
    case "error":
      writer.u64(ERROR).string("Error").u64(frame.level).bytes(encodeUtf8(frame.name));
      writer.bytes(encodeUtf8(frame.message)).u64(0).u64(frame.traces.length);
      for (const trace of frame.traces) writer.u64(0).bytes(encodeUtf8(trace));
      break;
    case "start":
      writer.u64(START).u64(frame.id).u64(frame.level).u64(frame.activity).bytes(encodeUtf8(frame.text));
      writeFields(writer, frame.fields).u64(frame.parent);
      break;
    case "stop":
      writer.u64(STOP).u64(frame.id);
      break;
    case "result":
      writer.u64(RESULT).u64(frame.id).u64(frame.result);
      writeFields(writer, frame.fields);
  }
  return writer.take();
}

/** Reads the next frame; throws `ERR_DAEMON_LOG_FRAME` for one of an unknown kind. */
export async function readLogFrame(reader: WireReader): Promise<LogFrame> {
  const kind = await reader.u64OrInfinity();
  switch (kind) {
    case NEXT:
      return { type: "next", text: await readText(reader) };
    case LAST:
      return { type: "last" };
    case ERROR:
      return { type: "error", ...(await readError(reader)) };
    case START: {
      const [id, level, activity] = [await reader.u64(), await reader.u64(), await reader.u64()];
      const text = await readText(reader);
      return { type: "start", id, level, activity, text, fields: await readFields(reader), parent: await reader.u64() };
    }
    case STOP:
      return { type: "stop", id: await reader.u64() };
    case RESULT:
      return { type: "result", id: await reader.u64(), result: await reader.u64(), fields: await readFields(reader) };
    default:
      throw new TvixError("ERR_DAEMON_LOG_FRAME", `unknown kind of log frame ${kind} (before byte ${reader.offset})`);
  }
}

/**
 * Reads frames up to the last one, after which the reply is next. An error frame becomes a TvixError
 * `ERR_DAEMON_REMOTE`, the server's traces as its notes.
 */
export async function finishReply(reader: WireReader, log: (frame: LogFrame) => void = () => {}): Promise<void> {
  for (;;) {
    const frame = await readLogFrame(reader);
    if (frame.type === "last") return;
    if (frame.type === "error") throw new TvixError("ERR_DAEMON_REMOTE", frame.message, { notes: frame.traces });
    log(frame);
  }
}

async function readError(reader: WireReader): Promise<RemoteError> {
  const type = await reader.string();
  if (type !== "Error") throw new TvixError("ERR_DAEMON_LOG_FRAME", `unknown kind of error '${type.slice(0, 40)}'`);
  const level = await reader.u64();
  const name = await readText(reader);
  const message = await readText(reader);
  await expectNoPosition(reader);
  const traces = await reader.list(async () => {
    await expectNoPosition(reader);
    return readText(reader);
  }, TRACES_MAX);
  return { level, name, message, traces };
}

/** Where positions could be; no version of Nix has sent one. */
async function expectNoPosition(reader: WireReader): Promise<void> {
  if ((await reader.u64OrInfinity()) !== 0) {
    throw new TvixError("ERR_DAEMON_LOG_FRAME", `an error comes with a position (before byte ${reader.offset})`);
  }
}

function writeFields(writer: WireWriter, fields: readonly LogField[]): WireWriter {
  writer.u64(fields.length);
  for (const field of fields) {
    if (typeof field === "number") writer.u64(0).u64(field);
    else writer.u64(1).bytes(encodeUtf8(field));
  }
  return writer;
}

async function readFields(reader: WireReader): Promise<LogField[]> {
  return reader.list<LogField>(async () => {
    const kind = await reader.u64OrInfinity();
    if (kind === 0) return reader.u64();
    if (kind === 1) return readText(reader);
    throw new TvixError("ERR_DAEMON_LOG_FRAME", `unknown kind of log field ${kind} (before byte ${reader.offset})`);
  }, FIELDS_MAX);
}

/** A text for people: UTF-8, or what can be made of it. */
async function readText(reader: WireReader): Promise<string> {
  const bytes = await reader.bytes();
  return decodeUtf8(bytes) ?? bytesToLatin1(bytes);
}
