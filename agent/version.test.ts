import { readFileSync } from "node:fs";
import test from "ava";
import { AGENT_VERSION } from "./version.ts";

test("the agent has the project's version", (t) => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  t.is(AGENT_VERSION, manifest.version);
});
