import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeRecord } from "../test/harness/dismantle.ts";
import { PROJECT } from "../test/harness/project.ts";

const DIRECTORY = join(PROJECT, "build/demo");

/** Remembers a node that `--keep` leaves running. */
export function rememberNode(record: NodeRecord): void {
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(join(DIRECTORY, `${record.mark}.json`), `${JSON.stringify(record)}\n`);
}

/** The nodes that earlier runs kept. */
export function keptNodes(): NodeRecord[] {
  mkdirSync(DIRECTORY, { recursive: true });
  return readdirSync(DIRECTORY).map(
    (name) => JSON.parse(readFileSync(join(DIRECTORY, name), "utf8")) as NodeRecord,
  );
}

export function forgetNode({ mark }: NodeRecord): void {
  rmSync(join(DIRECTORY, `${mark}.json`), { force: true });
}
