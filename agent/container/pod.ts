import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { ConfigurePodRequest } from "../../proto/gen/tapir/agent/v1/container.ts";
import { MS, mount } from "../../sys/mount.ts";
import { inNewPidNamespace } from "../../sys/pidns.ts";
import { SHARED_MEMORY } from "./paths.ts";
import { setSysctls } from "./sysctl.ts";

/** What the containers of the pod share, made when it is first needed. */
export interface Pod {
  configure(request: ConfigurePodRequest): void;
  /** The folder that every container sees as /dev/shm. */
  sharedMemory(): string;
  /** Path of the PID namespace for containers that share one. */
  sharedPids(): string;
}

/** As container runtimes have it. */
const USUAL_SHM_BYTES = 64n << 20n;
/**
 * Process 1 of the shared PID namespace: inherits its orphans and reaps them. It is one process without children, because
 * everybody in the pod sees it: a shell with a sleep below it would be one `sleep` too many for who looks for theirs.
 */
const HOLDER = "/usr/bin/catatonit";
const PAUSE = "-P";

export function createPod(): Pod {
  let shmBytes: bigint | undefined;
  let holder: number | undefined;
  const makeShm = (bytes: bigint): void => {
    if (shmBytes === bytes) return;
    mkdirSync(SHARED_MEMORY, { recursive: true });
    const flags = MS.NOSUID | MS.NODEV | MS.NOEXEC | (shmBytes === undefined ? 0 : MS.REMOUNT);
    mount({ source: "shm", target: SHARED_MEMORY, type: "tmpfs", flags, data: `mode=1777,size=${bytes}` });
    shmBytes = bytes;
  };
  return {
    configure({ sysctls, shmBytes: bytes }) {
      setSysctls(sysctls);
      makeShm(bytes === 0n ? USUAL_SHM_BYTES : bytes);
    },
    sharedMemory() {
      makeShm(shmBytes ?? USUAL_SHM_BYTES);
      return SHARED_MEMORY;
    },
    sharedPids() {
      if (holder === undefined) {
        const child = inNewPidNamespace(() => spawn(HOLDER, [PAUSE], { stdio: "ignore", env: {}, cwd: "/" }));
        // Only a kill from outside ends it; the next container to ask gets a new one.
        child.on("exit", () => {
          holder = undefined;
        });
        child.on("error", () => {
          holder = undefined;
        });
        holder = child.pid;
      }
      return `/proc/${holder}/ns/pid`;
    },
  };
}
