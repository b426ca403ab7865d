import { describe, test } from "vitest";
import { MemoryBlobService } from "../../lib/castore/blob/memory.ts";
import { MemoryDirectoryService } from "../../lib/castore/directory/memory.ts";
import { blobServiceContract, directoryServiceContract } from "../../lib/castore/testing.ts";

const close = async () => {};
blobServiceContract("memory", { describe, test }, async () => ({ service: new MemoryBlobService(), close }));
directoryServiceContract("memory", { describe, test }, async () => ({ service: new MemoryDirectoryService(), close }));
