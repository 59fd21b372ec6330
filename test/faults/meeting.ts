import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";

/** A shim (or its `delete`) that has come to a step and waits for what is to happen. */
export interface Encounter {
  readonly pid: number;
  readonly step: string;
}

/** `go`, or what the failpoint is to do. */
export type Answer = "go" | "error";

export interface Meeting extends AsyncDisposable {
  /** Value of TAPIR_FAILPOINTS. */
  readonly setting: string;
  /** Who is asked from now on; everybody goes on when nobody is. */
  attend(host: ((encounter: Encounter) => Promise<Answer> | Answer) | undefined): void;
  /** Until the next `attend`, lets go on what pods do unasked. It waits otherwise: no operation shall meet its steps by chance. */
  letGo(): void;
}

/** Where a pod stops before it does something that nobody asked for: its time is its own. */
const BACKGROUND = "storage.background";

/** The place where processes with failpoints stop at each step (sys/failpoint.ts). */
export async function openMeeting(path: string): Promise<Meeting> {
  let host: Parameters<Meeting["attend"]>[0];
  const guests = new Set<Socket>();
  const waiting = new Set<() => void>();
  let open = false;
  const untilLetGo = (socket: Socket): Promise<void> =>
    new Promise((resolve) => {
      waiting.add(resolve);
      // Of a pod that is gone nobody shall hear.
      socket.once("close", () => waiting.delete(resolve));
    });
  const server = createServer((socket) => {
    guests.add(socket);
    socket.on("close", () => guests.delete(socket));
    socket.on("error", () => undefined);
    socket.once("data", async (line) => {
      const [pid = "", step = ""] = String(line).trim().split(" ");
      if (step === BACKGROUND && !open) await untilLetGo(socket);
      const ask = async (): Promise<Answer> => (await host?.({ pid: Number(pid), step })) ?? "go";
      const answer = await ask().catch(() => "go");
      socket.end(`${answer}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  return {
    setting: `meet:${path}`,
    attend(next) {
      host = next;
      open = false;
    },
    letGo() {
      open = true;
      for (const go of waiting) go();
      waiting.clear();
    },
    async [Symbol.asyncDispose]() {
      for (const guest of guests) guest.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(path, { force: true });
    },
  };
}
