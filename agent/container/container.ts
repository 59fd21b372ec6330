import type { Deadline } from "../../sys/deadline.ts";
import type { Process } from "../process/process.ts";
import { type Cgroup, cgroupOf } from "./cgroup.ts";
import type { OomWatch } from "./oom.ts";
import { inParallel } from "./parallel.ts";
import { type ContainerEvent, type ContainerState, nextState } from "./state.ts";

/** Runs of crun for one container at once: each takes some megabytes. */
const CRUN_LIMIT = 4;

/** A container and what belongs to it. */
export interface Container {
  readonly id: string;
  readonly cgroup: Cgroup;
  readonly state: ContainerState;
  /** Processes beside init by exec id; "starting" while crun is at it. */
  readonly execs: Map<string, Process | "starting">;
  /** Set when the cgroup is there. */
  oom: OomWatch | undefined;
  /** Ends, well or badly, with the making of the container. */
  made: Promise<void>;
  /** Goes to the next state, or throws FAILED_PRECONDITION when the present one does not allow it. */
  happen(event: ContainerEvent): void;
  /** Runs crun when it is this container's turn. */
  inTurn<T>(work: () => Promise<T>, deadline: Deadline): Promise<T>;
}

export function newContainer(id: string): Container {
  let state: ContainerState = { kind: "creating" };
  return {
    id,
    cgroup: cgroupOf(id),
    get state() {
      return state;
    },
    execs: new Map(),
    oom: undefined,
    made: Promise.resolve(),
    happen(event) {
      state = nextState(state, event, id);
    },
    inTurn: inParallel(CRUN_LIMIT),
  };
}
