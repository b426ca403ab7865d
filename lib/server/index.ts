// What `tvix/server` exports.
export { listen, type ListenAddress, type Listening, parseListen } from "./listen.ts";
