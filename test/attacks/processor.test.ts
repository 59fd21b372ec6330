// A malicious guest behind the real Task service: what it says and does costs the shim next to no processor time.
import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { connectAgent } from "../../shim/agent-client.ts";
import { errnoOf } from "../../sys/error.ts";
import { type HostilePod, hostilePod } from "../fakes/hostile-pod.ts";

const LOOK_MS = 5_000;
/** What starts and what is loaded at first is not meant. */
const SETTLE_MS = 1_500;
const END_MS = 30_000;

/** A pod with a container, whose guest is another process. */
async function podOf(
  t: ExecutionContext,
  kind: string,
  stdout = "",
): Promise<{ pod: HostilePod; go(): void }> {
  const program = join(import.meta.dirname, "../fakes/flooding-guest.ts");
  const guest = spawn(process.execPath, [program, kind], { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(() => guest.kill("SIGKILL"));
  const socket = await new Promise<string>((resolve) => createInterface(guest.stdout).once("line", resolve));
  const agent = connectAgent(socket);
  t.teardown(() => agent[Symbol.dispose]());
  const pod = await hostilePod(t, agent.containers);
  const fifo = join(pod.bundle, "stdout");
  execFileSync("mkfifo", [fifo]);
  await pod.createContainer(stdout === "" ? "" : fifo);
  await pod.call("start", { id: "c" });
  return { pod, go: () => guest.stdin.write("go") };
}

/** The VM is killed, whatever the guest says. */
async function end({ pod }: { readonly pod: HostilePod }): Promise<void> {
  await pod.call("kill", { id: "pod", signal: 9 });
  await pod.call("wait", { id: "pod" });
  await pod.call("delete", { id: "c" }, END_MS);
  await pod.call("delete", { id: "pod" }, END_MS);
}

/** Of one processor, in percent, while `during` goes on. */
async function share(during: () => void = () => undefined): Promise<number> {
  await pause(SETTLE_MS);
  const [startMs, before] = [performance.now(), process.cpuUsage()];
  while (performance.now() - startMs < LOOK_MS) {
    during();
    await pause(100);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 10 / (performance.now() - startMs);
}

/** All of them together; the test itself looks up now and then. */
const IDLE_PERCENT = 20;
const READ_PERCENT = 10;

test.serial(
  `silence, connections that break again and again, floods of events, output that nobody reads: ${IDLE_PERCENT} % at most`,
  async (t) => {
    const pods = await Promise.all([
      podOf(t, "silence"),
      podOf(t, "death"),
      podOf(t, "events"),
      podOf(t, "output", "fifo"),
    ]);
    for (const { go } of pods) go();
    const percent = await share();
    t.log(`${percent.toFixed(1)} % of a processor`);
    t.true(percent <= IDLE_PERCENT, `${percent}`);
    for (const { pod } of pods) t.is((await pod.call("state", { id: "pod" })).pid, 4242);
    await Promise.all(pods.map(end));
  },
);

test.serial(
  `output without end costs what its reader's speed makes it: ${READ_PERCENT} % at most for 1 MiB/s`,
  async (t) => {
    const one = await podOf(t, "output", "fifo");
    const { pod } = one;
    const fifo = openSync(join(pod.bundle, "stdout"), constants.O_RDONLY | constants.O_NONBLOCK);
    t.teardown(() => closeSync(fifo));
    const chunk = Buffer.alloc(100 << 10);
    let bytes = 0;
    const percent = await share(() => {
      for (let left = chunk.length; left > 0; ) {
        const got = readNow(fifo, chunk.subarray(0, left));
        if (got === 0) break;
        bytes += got;
        left -= got;
      }
    });
    t.log(`${percent.toFixed(1)} % of a processor for ${bytes >> 10} KiB`);
    t.true(bytes > 1 << 20, `${bytes}`);
    t.true(percent <= READ_PERCENT, `${percent}`);
    await end(one);
  },
);

/** 0 when there is nothing at the moment. */
function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into, 0, into.length, null);
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return 0;
    throw error;
  }
}
