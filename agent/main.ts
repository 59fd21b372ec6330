import { init, surviveErrors } from "./init.ts";
import { log } from "./log.ts";
import { reached } from "./milestones.ts";
import { createExits } from "./process/exits.ts";
import { serve, thisGuest } from "./serve.ts";
import { AGENT_VERSION } from "./version.ts";
import { warm } from "./warm.ts";

// The first process of the guest: /usr/bin/node /usr/lib/tapir/agent/main.mjs.
if (process.env.TAPIR_AGENT_WARM === "1") {
  await warm();
  process.exit(0);
}
surviveErrors();
reached("agent");
const exits = createExits();
if (process.pid === 1) {
  init(exits.ended);
}
log("started", { version: AGENT_VERSION, node: process.version });
await serve(thisGuest(), exits);
