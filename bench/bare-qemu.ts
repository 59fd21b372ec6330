import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A QEMU that nothing of ours runs: what it does is the floor that ours is divided by. */
export interface BareQemu {
  readonly pid: number;
  /** Sends one QMP command; resolves with its answer. */
  execute(command: string, parameters?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** The next event of that name whose data has these values. */
  event(name: string, data?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Kills it and waits for its end. */
  end(): Promise<void>;
}

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Starts QEMU with its monitor on stdin and stdout; `inherit` become its descriptors 3, 4, ... Resolves when QMP is ready. */
export async function startBareQemu(argv: readonly string[], inherit: readonly number[]): Promise<BareQemu> {
  const child = spawn("qemu-system-x86_64", [...argv, "-qmp", "stdio"], {
    stdio: ["pipe", "pipe", "inherit", ...inherit],
  });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("cannot talk to QEMU: it has no pipes");
  stdin.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const answers: PromiseWithResolvers<unknown>[] = [];
  const waiting = new Set<(message: Message) => void>();
  const greeting = Promise.withResolvers<unknown>();
  answers.push(greeting);
  createInterface({ input: stdout }).on("line", (line) => {
    const message = JSON.parse(line) as Message;
    if (message.event !== undefined) for (const look of waiting) look(message);
    else if (message.error !== undefined) answers.shift()?.reject(new Error(message.error.desc));
    else answers.shift()?.resolve(message.return);
  });
  void ended.then(() => {
    for (const { reject } of answers) reject(new Error("QEMU has ended"));
  });
  const qemu: BareQemu = {
    pid: child.pid ?? 0,
    execute(command, parameters) {
      const answer = Promise.withResolvers<unknown>();
      answers.push(answer);
      stdin.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
      return answer.promise;
    },
    event: (name, data = {}) =>
      new Promise((resolve) => {
        const look = (message: Message): void => {
          if (message.event !== name) return;
          if (Object.entries(data).some(([key, value]) => message.data?.[key] !== value)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
      }),
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
  await greeting.promise;
  await qemu.execute("qmp_capabilities");
  return qemu;
}
