import { closeAll, listeningSocket, type SocketPair, socketPair } from "../../sys/fdpass.ts";

/** The sockets QEMU inherits. Our ends are the caller's; disposing closes QEMU's, which has its own copies. */
export interface QemuSockets extends Disposable {
  readonly monitor: SocketPair;
  readonly console: SocketPair;
  /** Listens at the agent's path. */
  readonly agent: number;
  /** As soon as QEMU runs: its death is to be seen. Idempotent. */
  closeTheirs(): void;
}

/** All or nothing. Errors: RESOURCE_EXHAUSTED out of descriptors. */
export function openSockets(agentPath: string): QemuSockets {
  const open: number[] = [];
  const pair = (): SocketPair => {
    const made = socketPair();
    open.push(made.ours, made.theirs);
    return made;
  };
  try {
    const monitor = pair();
    const console = pair();
    const agent = listeningSocket(agentPath);
    const theirs = [monitor.theirs, console.theirs, agent];
    const closeTheirs = (): void => closeAll(theirs.splice(0));
    return { monitor, console, agent, closeTheirs, [Symbol.dispose]: closeTheirs };
  } catch (error) {
    closeAll(open);
    throw error;
  }
}
