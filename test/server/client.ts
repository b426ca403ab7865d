// What the soak tests run as clients in processes of their own: node --import tsx client.ts COMMAND ADDRESS …
//
//   churn    ADDRESS SEED WIDTH   uploads and downloads, WIDTH at a time, until it is killed; a wrong byte is exit code 9
//   transfer ADDRESS COUNT SIZE   uploads COUNT blobs of SIZE bytes, then downloads them, printing a line for each
import { digestOf } from "../../lib/castore/digest.ts";
import { collectBytes, openBlob } from "../../lib/castore/blob/range.ts";
import { pseudoRandomBytes } from "../../lib/castore/testing.ts";
import { openStore } from "../../lib/store/open.ts";
import type { Store } from "../../lib/store/store.ts";

const [command, address = "", ...rest] = process.argv.slice(2);
const [first = 0, second = 1] = rest.map(Number);

/** Contents that every process knows by their number. */
function contents(number: number): Uint8Array {
  return pseudoRandomBytes(1000 + ((number * 7919) % 6_000_000), number + 1);
}

async function upload(store: Store, bytes: Uint8Array): Promise<void> {
  const writer = store.blobs.openWrite();
  for (let at = 0; at < bytes.length; at += 300_000) await writer.write(bytes.subarray(at, at + 300_000));
  await writer.close();
}

/** Whether what the store has for these contents is what it should be; true when it has nothing. */
async function isRight(store: Store, bytes: Uint8Array): Promise<boolean> {
  const reader = await store.blobs.openRead(digestOf(bytes));
  if (reader === undefined) return true;
  if (reader.size !== bytes.length) return false;
  const middle = Math.floor(bytes.length / 2);
  const range = await reader.read(middle, 50_000);
  if (Buffer.compare(range, bytes.subarray(middle, middle + 50_000)) !== 0) return false;
  return Buffer.compare(await collectBytes(reader.stream()), bytes) === 0;
}

async function churn(store: Store, seed: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const bytes = contents((seed * 31 + turn * 17) % 400);
    if (turn % 2 === 0) await upload(store, bytes);
    else if (!(await isRight(store, bytes))) process.exit(9);
    process.stdout.write(".");
  }
}

async function transfer(store: Store): Promise<void> {
  const blobs = Array.from({ length: first }, (_, i) => pseudoRandomBytes(second, i + 1));
  for (const bytes of blobs) {
    await upload(store, bytes);
    process.stdout.write("up\n");
  }
  for (const bytes of blobs) {
    const reader = await openBlob(store.blobs, digestOf(bytes));
    if (Buffer.compare(await collectBytes(reader.stream()), bytes) !== 0) process.exit(9);
    process.stdout.write("down\n");
  }
}

const store = await openStore(address);
if (command === "churn") await Promise.all(Array.from({ length: second }, (_, i) => churn(store, first * 100 + i)));
else await transfer(store);
await store.close();
