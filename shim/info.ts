import { readFileSync, writeSync } from "node:fs";
import { version } from "../sys/version.ts";

/** The bundler's name for exactly this build; "" from source. */
function readRevision(): string {
  try {
    return readFileSync(`${import.meta.dirname}/revision`, "utf8");
  } catch {
    return "";
  }
}

/** `-v` */
export function printVersion(): void {
  const lines = [
    "containerd-shim-tapir-v2:",
    `  Version:  ${version}`,
    `  Revision: ${readRevision()}`,
    `  Node version: ${process.versions.node}`,
  ];
  writeSync(1, `${lines.join("\n")}\n\n`);
}

/** `-info` (containerd 2.x): who this is, as protobuf. What stands on stdin does not change it. */
export async function printInfo(): Promise<void> {
  const { RuntimeInfo } = await import("../proto/gen/containerd/types/types.ts");
  const info = RuntimeInfo.fromPartial({
    name: "io.containerd.tapir.v2",
    version: { version, revision: readRevision() },
  });
  writeSync(1, RuntimeInfo.encode(info).finish());
}
