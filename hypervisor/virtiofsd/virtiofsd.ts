import { randomUUID } from "node:crypto";
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { joinCgroups } from "../../sys/cgroup.ts";
import { wrapError } from "../../sys/error.ts";
import { listeningPair } from "../../sys/fdpass.ts";
import type { Ledger } from "../../sys/ledger.ts";
import { searchByToken } from "../../sys/process.ts";
import { launch, type ProcessExit } from "../qemu/launch.ts";
import type { ShareSpec } from "../storage.ts";
import { CAPABILITIES, virtiofsdArguments } from "./arguments.ts";
import { findVirtiofsd } from "./find.ts";

/** A server of one folder that waits for its one client. */
export interface ShareServer {
  readonly pid: number;
  /** Connected to the server, which need not have accepted yet; owned by the caller. */
  readonly socketFd: number;
  /** Resolves, never rejects, with why it ended. */
  readonly ended: Promise<string>;
  /** What it forked before it had joined its cgroups joins them. Once it serves, it forks no more. */
  joinAll(): Promise<void>;
  /** Kills it. Idempotent. */
  release(): Promise<void>;
}

const LISTENING_FD = 3;
const MAX_OPEN_FILES = 500_000;

export interface ServerPlace {
  /** The sandbox's own; nothing of the server stays there. */
  readonly directory: string;
  /** That it joins. */
  readonly cgroups?: readonly string[] | undefined;
}

/** Starts virtiofsd on `share.directory`. */
export async function startVirtiofsd(
  share: ShareSpec,
  { directory, cgroups }: ServerPlace,
  ledger: Ledger,
): Promise<ShareServer> {
  try {
    const program = findVirtiofsd(share.server);
    const argv = virtiofsdArguments(program.flavour, {
      directory: share.directory,
      cache: share.cache,
      listeningFd: LISTENING_FD,
      maxOpenFiles: Math.min(MAX_OPEN_FILES, hardLimitOfFiles()),
    });
    const token = randomUUID();
    // Never amended: it forks, and the token finds both.
    const entry = { kind: "process", token } as const;
    const started = await ledger.acquire("hypervisor.virtiofsd", entry, async () => {
      const { listening, connected } = listeningPair(join(directory, "share.sock"));
      try {
        const process = await launch(program.path, argv, [listening], token, {
          capabilities: CAPABILITIES,
          limits: { core: 0 },
          cgroups,
        });
        return { process, socketFd: connected };
      } catch (error) {
        closeSync(connected);
        throw error;
      } finally {
        closeSync(listening);
      }
    });
    const { process, socketFd } = started.value;
    return {
      pid: process.pid,
      socketFd,
      ended: process.exited.then(reasonOfExit),
      async joinAll() {
        if (cgroups === undefined || cgroups.length === 0) return;
        for (const { pid } of await searchByToken(token)) joinCgroups(pid, cgroups);
      },
      release: started.release,
    };
  } catch (error) {
    throw wrapError(error, { operation: "start", object: `server of share ${share.id}` });
  }
}

function reasonOfExit({ code, signal, stderrTail }: ProcessExit): string {
  const ending =
    signal === undefined
      ? `virtiofsd exited with code ${code ?? "unknown"}`
      : `virtiofsd was killed by ${signal}`;
  return stderrTail === "" ? ending : `${ending}: ${stderrTail}`;
}

/** Raising it would take a capability. */
function hardLimitOfFiles(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files +\S+ +(\d+)/m.exec(limits)?.[1] ?? MAX_OPEN_FILES);
}
