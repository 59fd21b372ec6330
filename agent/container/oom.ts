import { watch } from "node:fs";
import type { Cgroup } from "./cgroup.ts";

/** Tells of processes that the kernel killed for lack of memory. */
export interface OomWatch extends Disposable {
  /** How many were seen so far. */
  readonly kills: bigint;
  /** Looks now, not when the kernel's event comes. */
  look(): void;
}

/** Watches memory.events of a cgroup (inotify); `onKill` gets the number of kills so far. */
export function watchOom(cgroup: Cgroup, onKill: (kills: bigint) => void): OomWatch {
  let seen = 0n;
  const look = (): void => {
    const kills = cgroup.oomKills();
    if (kills <= seen) return;
    seen = kills;
    onKill(kills);
  };
  const watcher = watch(`${cgroup.folder}/memory.events`, look);
  // The cgroup went before its watch was closed.
  watcher.on("error", () => watcher.close());
  look();
  return {
    get kills() {
      return seen;
    },
    look,
    [Symbol.dispose]: () => watcher.close(),
  };
}
