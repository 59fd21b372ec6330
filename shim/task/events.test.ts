import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer as createListener } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ForwardRequest } from "../../proto/gen/containerd/events/forward.ts";
import { TaskExit } from "../../proto/gen/containerd/events/task.ts";
import type { Envelope } from "../../proto/gen/containerd/types/types.ts";
import type { Log } from "../log.ts";
import { createServer } from "../ttrpc/server.ts";
import { TtrpcError } from "../ttrpc/status.ts";
import { openPublisher, type Publisher } from "./events.ts";

interface FakeContainerd {
  readonly path: string;
  readonly received: Envelope[];
  /** Resolves when `count` events have arrived. */
  arrived(count: number): Promise<void>;
  up(): Promise<void>;
  down(): Promise<void>;
  /** The next `count` events are refused. */
  refuse(count: number): void;
  /** Nothing is answered before that. */
  answerAfter(wait: Promise<unknown>): void;
}

/** containerd's side: the event service on a socket that can go and come back. */
function fakeContainerd(t: ExecutionContext): FakeContainerd {
  const directory = mkdtempSync(join(tmpdir(), "events-"));
  const path = join(directory, "containerd.sock.ttrpc");
  const received: Envelope[] = [];
  let refusals = 0;
  let answering: Promise<unknown> = Promise.resolve();
  let wake = (): void => undefined;
  let stop = async (): Promise<void> => undefined;
  const forward = async (payload: Uint8Array): Promise<Uint8Array> => {
    if (refusals > 0) {
      refusals--;
      throw new TtrpcError(2, "not now");
    }
    const { envelope } = ForwardRequest.decode(payload);
    if (envelope !== undefined) received.push(envelope);
    wake();
    await answering;
    return new Uint8Array(0);
  };
  t.teardown(async () => {
    await stop();
    rmSync(directory, { recursive: true });
  });
  return {
    path,
    received,
    refuse(count) {
      refusals = count;
    },
    answerAfter(wait) {
      answering = wait;
    },
    async arrived(count) {
      while (received.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async up() {
      await stop();
      const server = createServer({
        services: { "containerd.services.events.ttrpc.v1.Events": { Forward: forward } },
      });
      const listener = createListener((socket) => server.accept(socket));
      await new Promise<void>((resolve) => listener.listen(path, resolve));
      stop = async () => {
        listener.close();
        await server.close();
        stop = async () => undefined;
      };
    },
    async down() {
      await stop();
    },
  };
}

function recordingLog(): Log & { readonly lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (text: string) => void lines.push(`${level} ${text}`);
  return { lines, debug: () => undefined, info: at("info"), warn: at("warn"), error: at("error") };
}

function open(
  t: ExecutionContext,
  address: string,
  pauseMs = 5,
): { publisher: Publisher; log: ReturnType<typeof recordingLog> } {
  const log = recordingLog();
  const publisher = openPublisher({ address, namespace: "k8s.io", log, pauseMs });
  t.teardown(() => publisher.close(0));
  return { publisher, log };
}

const topics = ({ received }: FakeContainerd): string[] => received.map(({ topic }) => topic);

test("events arrive in order, with namespace, time and containerd's bare type name", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  const { publisher } = open(t, containerd.path);
  const exitedAt = new Date(1_700_000_000_123);
  publisher.publish("create", { containerId: "a", pid: 7 });
  publisher.publish("start", { containerId: "a", pid: 7 });
  publisher.publish("exit", { containerId: "a", id: "a", pid: 7, exitStatus: 137, exitedAt });
  publisher.publish("delete", { containerId: "a", pid: 7 });
  await containerd.arrived(4);
  t.deepEqual(topics(containerd), ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
  const [, , exit] = containerd.received;
  t.is(exit?.namespace, "k8s.io");
  t.true(Math.abs((exit?.timestamp?.getTime() ?? 0) - Date.now()) < 5000);
  t.is(exit?.event?.typeUrl, "containerd.events.TaskExit");
  t.like(TaskExit.decode(exit?.event?.value ?? Buffer.alloc(0)), {
    containerId: "a",
    exitStatus: 137,
    exitedAt,
  });
});

test("a refused event is tried again before the next one is sent", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  containerd.refuse(3);
  const { publisher } = open(t, `unix://${containerd.path}`);
  publisher.publish("start", { containerId: "a" });
  publisher.publish("exit", { containerId: "a" });
  await containerd.arrived(2);
  t.deepEqual(topics(containerd), ["/tasks/start", "/tasks/exit"]);
});

test("after five refusals an event is given up, loudly, and the next one goes", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  containerd.refuse(5);
  const { publisher, log } = open(t, containerd.path);
  publisher.publish("start", { containerId: "a" });
  publisher.publish("exit", { containerId: "a" });
  await containerd.arrived(1);
  t.deepEqual(topics(containerd), ["/tasks/exit"]);
  t.deepEqual(log.lines, ["error event given up"]);
});

test("an event that containerd has not answered for long is not sent again", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  const goesOn = new Promise((resolve) => setTimeout(resolve, 6000));
  containerd.answerAfter(goesOn);
  const { publisher, log } = open(t, containerd.path);
  publisher.publish("exit", { containerId: "a" });
  publisher.publish("delete", { containerId: "a" });
  await goesOn;
  await containerd.arrived(2);
  t.deepEqual(topics(containerd), ["/tasks/exit", "/tasks/delete"]);
  t.deepEqual(log.lines, []);
});

test("what happens while containerd is down arrives after its restart", async (t) => {
  const containerd = fakeContainerd(t);
  const { publisher, log } = open(t, containerd.path);
  publisher.publish("create", { containerId: "a" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await containerd.up();
  await containerd.arrived(1);
  // Its answer, too: an event whose answer was lost is sent again.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await containerd.down();
  publisher.publish("start", { containerId: "a" });
  publisher.publish("exit", { containerId: "a" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await containerd.up();
  await containerd.arrived(3);
  t.deepEqual(topics(containerd), ["/tasks/create", "/tasks/start", "/tasks/exit"]);
  t.deepEqual(log.lines, []);
});

test("close sends what is queued, but not for ever", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  const first = open(t, containerd.path);
  for (let index = 0; index < 50; index++) first.publisher.publish("oom", { containerId: String(index) });
  await first.publisher.close(60_000);
  t.is(containerd.received.length, 50);

  await containerd.down();
  const second = open(t, containerd.path);
  second.publisher.publish("exit", { containerId: "a" });
  await second.publisher.close(50);
  t.deepEqual(second.log.lines, ["error events not sent"]);
});

test("close does not sit out a pause: containerd may be back since the last try", async (t) => {
  const containerd = fakeContainerd(t);
  const { publisher, log } = open(t, containerd.path, 60_000);
  publisher.publish("exit", { containerId: "a" });
  publisher.publish("delete", { containerId: "a" });
  // The first try fails, and the pause begins.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await containerd.up();
  await publisher.close(60_000);
  t.deepEqual(topics(containerd), ["/tasks/exit", "/tasks/delete"]);
  t.deepEqual(log.lines, []);
});

test("without an address (CRI-O) events are only logged", async (t) => {
  const { publisher, log } = open(t, "");
  publisher.publish("create", { containerId: "a" });
  await publisher.close(1000);
  t.deepEqual(log.lines, []);
});

test("the queue is bounded: the oldest waiting event goes", async (t) => {
  const containerd = fakeContainerd(t);
  const { publisher, log } = open(t, containerd.path);
  for (let index = 0; index < 2050; index++) publisher.publish("oom", { containerId: String(index) });
  t.is(log.lines.filter((line) => line.includes("queue is full")).length, 2);
  await containerd.up();
  await containerd.arrived(2048);
  t.pass();
});

test("a socket file that nobody serves any more is waited out", async (t) => {
  const containerd = fakeContainerd(t);
  await containerd.up();
  const { publisher } = open(t, containerd.path);
  await containerd.down();
  writeFileSync(containerd.path, "");
  publisher.publish("create", { containerId: "a" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  unlinkSync(containerd.path);
  await containerd.up();
  await containerd.arrived(1);
  t.deepEqual(topics(containerd), ["/tasks/create"]);
});
