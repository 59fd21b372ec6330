import {
  TaskCheckpointed,
  TaskCreate,
  TaskDelete,
  TaskExecAdded,
  TaskExecStarted,
  TaskExit,
  TaskOOM,
  TaskPaused,
  TaskResumed,
  TaskStart,
} from "../../proto/gen/containerd/events/task.ts";
import type { Any } from "../../proto/gen/google/protobuf/any.ts";

/** Every event a shim may send: its topic and its message. */
const kinds = {
  create: { topic: "/tasks/create", name: "TaskCreate", message: TaskCreate },
  start: { topic: "/tasks/start", name: "TaskStart", message: TaskStart },
  exit: { topic: "/tasks/exit", name: "TaskExit", message: TaskExit },
  delete: { topic: "/tasks/delete", name: "TaskDelete", message: TaskDelete },
  oom: { topic: "/tasks/oom", name: "TaskOOM", message: TaskOOM },
  execAdded: { topic: "/tasks/exec-added", name: "TaskExecAdded", message: TaskExecAdded },
  execStarted: { topic: "/tasks/exec-started", name: "TaskExecStarted", message: TaskExecStarted },
  paused: { topic: "/tasks/paused", name: "TaskPaused", message: TaskPaused },
  resumed: { topic: "/tasks/resumed", name: "TaskResumed", message: TaskResumed },
  checkpointed: { topic: "/tasks/checkpointed", name: "TaskCheckpointed", message: TaskCheckpointed },
} as const;

export type EventKind = keyof typeof kinds;
/** The fields of one kind's message; what is left out has its zero value. */
export type EventFields<K extends EventKind> = Parameters<(typeof kinds)[K]["message"]["fromPartial"]>[0];

/** An event as containerd's exchange takes it. */
export interface PackedEvent {
  readonly topic: string;
  readonly event: Any;
}

export function packEvent<K extends EventKind>(kind: K, fields: EventFields<K>): PackedEvent {
  const { topic, name } = kinds[kind];
  // The signature ties kind and fields together; inside, any of the messages will do.
  const message = kinds[kind].message as Packable;
  const value = Buffer.from(message.encode(message.fromPartial(fields)).finish());
  // containerd names types without the usual "type.googleapis.com/".
  return { topic, event: { typeUrl: `containerd.events.${name}`, value } };
}

interface Packable {
  fromPartial(fields: object): unknown;
  encode(message: unknown): { finish(): Uint8Array };
}
