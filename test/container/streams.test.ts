// Requires root, qemu-system-x86_64, and the guest image below build/.
// Standard streams, terminals and forwarded ports of a real guest, below containerd.
import { once } from "node:events";
import test from "ava";
import type { GuestContainers, StdioStream } from "../../shim/containers-client.ts";
import { useGuest } from "./guest.ts";
import { attach, exec, INTERACTIVE, run, soon, specOf } from "./pod.ts";

const guest = useGuest(test, "tapir-streams-");
const SLEEP = specOf(["sh", "-c", "sleep 1000"]);
const MIB = 1 << 20;

/** Bytes that no two places of the stream share. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  return bytes;
}

async function send(stream: StdioStream, bytes: Buffer, chunk = 128 << 10): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunk) {
    const message = { containerId: "", execId: "", stdin: bytes.subarray(at, at + chunk) };
    if (!stream.write(message)) await once(stream, "drain");
  }
  stream.end();
}

test.serial("what goes through cat comes back byte by byte, and the end comes through", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(guest(), id, { args: ["cat"] }, INTERACTIVE);
  const bytes = pattern(8 * MIB);
  await send(running.stream, bytes);
  await running.ended;
  t.true(running.output.stdout.equals(bytes));
  t.is((await running.exit()).exitStatus, 0);
  t.deepEqual([...running.marks].sort(), ["drained", "stderrEnd", "stdinClosed", "stdoutEnd"]);
});

test.serial("nobody who reads slowly makes the agent grow: the process waits", async (t) => {
  const hostPids = specOf(["sh", "-c", "sleep 1000"], {}, { namespaces: [{ type: "mount" }] });
  const { id } = await run(t, guest(), hostPids);
  const agentKib = async (): Promise<number> => {
    const { running } = await exec(guest(), id, { args: ["sh", "-c", "grep VmRSS /proc/1/status"] });
    await running.ended;
    return Number(/\d+/.exec(running.output.stdout.toString())?.[0]);
  };
  const before = await agentKib();
  const { running } = await exec(guest(), id, {
    args: ["sh", "-c", "dd if=/dev/zero bs=64k count=256 2>/dev/null; echo written >&2"],
  });
  running.stream.pause();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const during = await agentKib();
  t.is(running.output.stderr.length, 0, "dd still waits");
  t.true(during - before < 8 * 1024, `${before} KiB before, ${during} KiB while nobody reads 16 MiB`);
  running.stream.cancel();
  await t.throwsAsync(running.ended, { message: /CANCELLED/ });
  const again = await attach(guest(), running.key);
  await again.ended;
  t.is(again.output.stderr.toString(), "written\n", "another stream goes on");
  t.is((await running.exit()).exitStatus, 0);
});

test.serial("a process that does not read holds its writer back, and one that ends lets it go", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(
    guest(),
    id,
    { args: ["sh", "-c", "read line; echo got $line; sleep 1; exit 4"] },
    INTERACTIVE,
  );
  const bytes = Buffer.alloc(8 * MIB, "x");
  bytes.write("hello\n");
  // Nothing takes what is left when the stream has ended.
  await Promise.race([send(running.stream, bytes), running.ended]);
  await running.ended;
  t.is(running.output.stdout.toString(), "got hello\n");
  t.true(running.marks.includes("stdinClosed"));
  t.is((await running.exit()).exitStatus, 4);
});

test.serial("input may be closed by a call, and a process without input reads its end", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(guest(), id, { args: ["sh", "-c", "cat; echo end"] }, INTERACTIVE);
  await guest().closeStdin(running.key, soon());
  await guest().closeStdin(running.key, soon());
  await running.ended;
  t.is(running.output.stdout.toString(), "end\n");
  const none = await exec(guest(), id, { args: ["sh", "-c", "cat; echo end"] });
  await none.running.ended;
  t.is(none.running.output.stdout.toString(), "end\n");
});

test.serial("what the process wrote is told apart from what its children may still write", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(guest(), id, { args: ["sh", "-c", "(sleep 1; echo late) & echo now"] });
  t.is((await running.exit()).exitStatus, 0);
  await running.ended;
  t.is(running.output.stdout.toString(), "now\nlate\n");
  t.is(running.marks[0], "drained", "before the ends");
});

test.serial("a second stream for the same process takes over from the first one", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const { running } = await exec(guest(), id, { args: ["sh", "-c", "read a; echo got $a"] }, INTERACTIVE);
  const second = await attach(guest(), running.key);
  await t.throwsAsync(running.ended, { message: /ABORTED.*another stream/ });
  second.stream.write({ containerId: "", execId: "", stdin: Buffer.from("hello\n") });
  await second.ended;
  t.is(second.output.stdout.toString(), "got hello\n");
  const nobody = await attach(guest(), { containerId: id, execId: "none" });
  await t.throwsAsync(nobody.ended, { message: /there is none/ });
});

test.serial(
  "a terminal has a size, echoes, takes control characters, and loses nothing at its end",
  async (t) => {
    const { id } = await run(t, guest(), SLEEP);
    const script = 'tty; stty size; trap "stty size" WINCH; read a; echo got $a; read b; seq 1 20000';
    const { running } = await exec(
      guest(),
      id,
      { args: ["sh", "-c", script], terminal: true, consoleSize: { height: 33, width: 101 } },
      INTERACTIVE,
    );
    const text = (): string => running.output.stdout.toString();
    const shows = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(text())) await once(running.stream, "data");
    };
    await shows(/33 101/);
    running.stream.write({ containerId: "", execId: "", stdin: Buffer.from("hello\n") });
    await shows(/got hello/);
    await guest().resizeTerminal({ ...running.key, rows: 24, columns: 80 }, soon());
    running.stream.write({ containerId: "", execId: "", stdin: Buffer.from("\n") });
    await running.ended;
    t.regex(text(), /^\/dev\/pts\/0\r\n/);
    t.regex(text(), /hello\r\ngot hello/, "echoed, then answered");
    t.regex(text(), /24 80/);
    t.true(text().endsWith("\r\n19999\r\n20000\r\n"));
    const interrupted = await exec(
      guest(),
      id,
      { args: ["sh", "-c", "echo ready; sleep 1000"], terminal: true },
      INTERACTIVE,
    );
    while (interrupted.running.output.stdout.length === 0) await once(interrupted.running.stream, "data");
    interrupted.running.stream.write({ containerId: "", execId: "", stdin: Buffer.from("\x03") });
    t.is((await interrupted.running.exit()).exitStatus, 130);
    await interrupted.running.ended;
  },
);

test.serial("a container's own terminal", async (t) => {
  const { ended, output, exit } = await run(
    t,
    guest(),
    specOf(["sh", "-c", "tty; exit 5"], { terminal: true }),
  );
  await ended;
  t.regex(output.stdout.toString(), /\/dev\/(pts\/0|console)/);
  t.is((await exit()).exitStatus, 5);
});

async function forward(containers: GuestContainers, port: number, bytes: Buffer): Promise<Buffer> {
  const stream = await containers.portForward();
  const chunks: Buffer[] = [];
  stream.on("data", ({ data }: { data: Buffer }) => chunks.push(data));
  stream.write({ port, address: "", data: Buffer.alloc(0) });
  stream.write({ port: 0, address: "", data: bytes });
  stream.end();
  await once(stream, "end");
  return Buffer.concat(chunks);
}

test.serial("a connection to a server in the guest, half-closed both ways", async (t) => {
  const { id } = await run(t, guest(), SLEEP);
  const server = "while :; do nc -l -p 8080 -e sh -c 'cat; echo bye'; done";
  await exec(guest(), id, { args: ["sh", "-c", server] });
  const bytes = pattern(MIB);
  const listening = await exec(guest(), id, {
    args: ["sh", "-c", "until netstat -ltn | grep -q 8080; do sleep 0.1; done"],
  });
  await listening.running.exit();
  const answer = await forward(guest(), 8080, bytes);
  t.true(answer.equals(Buffer.concat([bytes, Buffer.from("bye\n")])));
  await t.throwsAsync(forward(guest(), 9, bytes), { message: /ECONNREFUSED/ });
});
