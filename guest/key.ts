import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DebianPackage } from "./apt.ts";
import type { AgentBundle } from "./bundle-agent.ts";

export interface KeyInputs {
  /** This folder: the recipe is an input like any other. */
  readonly sources: string;
  readonly packages: readonly DebianPackage[];
  readonly nodeVersion: string;
  readonly agent: AgentBundle;
  /** What the tools of the host call themselves, where their version shows in the bytes they make. */
  readonly tools: readonly string[];
}

/** 32 hexadecimal digits that stand for everything that goes into an image. */
export function keyOf(inputs: KeyInputs): string {
  const hash = createHash("sha256");
  const add = (name: string, content: string | Buffer): void => {
    hash.update(`${name} ${content.length}\n`).update(content);
  };
  for (const name of globSync("*", { cwd: inputs.sources }).sort()) {
    if (!/\.(test\.ts|md)$/.test(name)) add(name, readFileSync(join(inputs.sources, name)));
  }
  for (const { name, version, sha256 } of inputs.packages) add(name, `${version} ${sha256}`);
  add("node", inputs.nodeVersion);
  add("agent", inputs.agent.script);
  for (const [name, path] of inputs.agent.natives) add(name, readFileSync(path));
  for (const tool of inputs.tools) add("tool", tool);
  return hash.digest("hex").slice(0, 32);
}
