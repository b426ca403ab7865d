// The few names that most programs start with; each room has an import of its own for the rest (docs/architecture.md).
export { TvixError } from "./base/error.ts";
export { evaluate } from "./eval/index.ts";
export { openSession, type Session, type SessionOptions } from "./nix/index.ts";
export { openStore, type Store } from "./store/index.ts";
