// A malicious guest's answers, taken by the shim's own client: typed errors, in time, and bounded.

import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import * as api from "../../proto/gen/tapir/agent/v1/agent.ts";
import { ListProcessesResponse, StatsContainerResponse } from "../../proto/gen/tapir/agent/v1/container.ts";
import { encodeFrame } from "../../proto/greeting.ts";
import { greet } from "../../shim/greet.ts";
import { forward } from "../../shim/port-forward/forward.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { hostileAgent, refusal } from "../fakes/hostile-agent.ts";

const soon = (ms = 10_000) => deadlineIn(ms, "ask a liar");
const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

async function refusalOf(t: ExecutionContext, asked: Promise<unknown>): Promise<TapirError> {
  const error = await t.throwsAsync(asked, { instanceOf: TapirError });
  t.true(error.message.length < 4096, `${error.message.length} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  t.notRegex(error.message, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  return error;
}

test("an answer of more than 4 MiB, also of a million processes, is refused; the connection goes on", async (t) => {
  const { agent } = await hostileAgent(t, {
    getGuestDetails: (_, answer) =>
      answer(null, api.GetGuestDetailsResponse.fromPartial({ hostname: "x".repeat(5 << 20) })),
    listProcesses: (_, answer) =>
      answer(null, ListProcessesResponse.fromPartial({ processes: many(1_000_000, (pid) => ({ pid })) })),
    check: (_, answer) => answer(null, { monotonicNanoseconds: 1n }),
  });
  t.is((await refusalOf(t, agent.getGuestDetails(soon()))).code, Code.RESOURCE_EXHAUSTED);
  const listed = await refusalOf(t, agent.containers.listProcesses({ containerId: "c" }, soon()));
  t.is(listed.code, Code.RESOURCE_EXHAUSTED);
  t.is((await agent.check(soon())).monotonicNanoseconds, 1n);
});

test("lists that no pod has are refused: interfaces, routes, rules, neighbours, counters", async (t) => {
  const named = many(100_000, () => ({ name: "../../x" }));
  const nothing = many(100_000, () => ({}));
  const { agent } = await hostileAgent(t, {
    listInterfaces: (_, answer) =>
      answer(null, api.ListInterfacesResponse.fromPartial({ interfaces: named })),
    listRoutes: (_, answer) => answer(null, api.ListRoutesResponse.fromPartial({ routes: nothing })),
    listRules: (_, answer) => answer(null, api.ListRulesResponse.fromPartial({ rules: nothing })),
    listNeighbors: (_, answer) => answer(null, api.ListNeighborsResponse.fromPartial({ neighbors: nothing })),
    listCounters: (_, answer) => answer(null, api.ListCountersResponse.fromPartial({ interfaces: named })),
  });
  for (const ask of [
    () => agent.listInterfaces(soon()),
    () => agent.listRoutes(soon()),
    () => agent.listRules(soon()),
    () => agent.listNeighbors(soon()),
    () => agent.listCounters(soon()),
  ]) {
    const { code, message } = await refusalOf(t, ask());
    t.is(code, Code.RESOURCE_EXHAUSTED);
    t.regex(message, /^cannot list \w+ of the guest: it names 100000, and at most \d+ are taken$/);
  }
});

test("refusals: their codes are real ones, their text is short and moves no cursor", async (t) => {
  const said = { code: 0, details: "" };
  const { agent } = await hostileAgent(t, {
    check: (_, answer) =>
      answer(
        refusal(said.code, said.details, { "tapir-operation": "o".repeat(5000), "tapir-errno": "../ENOENT" }),
      ),
  });
  for (const [code, wanted] of [
    [99, Code.UNKNOWN],
    [-7, Code.UNKNOWN],
    [Code.NOT_FOUND, Code.NOT_FOUND],
  ] as const) {
    Object.assign(said, { code, details: "\u001b[2J\u202e\nlevel=error".repeat(500) });
    const error = await refusalOf(t, agent.check(soon()));
    t.is(error.code, wanted);
    t.is(error.errno, undefined);
  }
});

test("no answer, a slow one, a connection that breaks: an error in time, and the next call is served", async (t) => {
  let silent = true;
  const { agent, hangUp } = await hostileAgent(t, {
    check: (_, answer) => void (silent || answer(null, { monotonicNanoseconds: 7n })),
  });
  const startMs = performance.now();
  t.is((await refusalOf(t, agent.check(soon(200)))).code, Code.DEADLINE_EXCEEDED);
  t.true(performance.now() - startMs < 30_000);
  silent = false;
  t.is((await agent.check(soon())).monotonicNanoseconds, 7n);
  silent = true;
  const broken = agent.check(soon());
  await pause(50);
  hangUp();
  t.is((await refusalOf(t, broken)).code, Code.UNAVAILABLE);
});

test("counters of more devices than a guest has are refused", async (t) => {
  const io = many(50_000, (major) => ({ major }));
  const { agent } = await hostileAgent(t, {
    statsContainer: (_, answer) => answer(null, StatsContainerResponse.fromPartial({ io })),
  });
  const { code } = await refusalOf(t, agent.containers.statsContainer({ containerId: "c" }, soon()));
  t.is(code, Code.RESOURCE_EXHAUSTED);
});

test("a port-forward that the guest never answers ends with its client; lies about addresses are few", async (t) => {
  let dialled = 0;
  const { agent } = await hostileAgent(t, {
    portForward: (call) => {
      dialled += 1;
      call.emit("error", { code: Code.UNAVAILABLE, details: "nobody listens" });
    },
  });
  const { ours, theirs } = await connection(t);
  const otherwise = async () => many(100_000, (index) => `10.0.0.${index}`);
  await refusalOf(t, forward(ours, { port: 80, address: "", otherwise }, agent.containers));
  t.true(dialled > 1 && dialled < 50, `${dialled}`);
  const silent = await hostileAgent(t, {});
  const waiting = forward(ours, { port: 80, address: "" }, silent.agent.containers);
  theirs.resetAndDestroy();
  ours.resume();
  await waiting;
});

const sandbox = api.CreateSandboxRequest.fromPartial({ sandboxId: "pod" });
const header = (mark: string, length: number): Buffer => {
  const bytes = Buffer.alloc(12);
  bytes.write(mark, "latin1");
  bytes.writeUInt32BE(length, 8);
  return bytes;
};
const failure = (code: number, details: string, metadata: Record<string, string> = {}) =>
  encodeFrame(
    api.GreetingAnswer.encode({ created: undefined, failure: { code, details, metadata } }).finish(),
  );

for (const [title, bytes, code] of [
  ["another mark", header("HTTP/1.1", 0), Code.UNAVAILABLE],
  ["a length of 4 GiB", header("TAPIR/1\n", 0xffff_ffff), Code.UNAVAILABLE],
  ["a length of 4 MiB and a byte", header("TAPIR/1\n", (4 << 20) + 1), Code.UNAVAILABLE],
  [
    "a message that is none",
    Buffer.concat([header("TAPIR/1\n", 3), Buffer.from([255, 255, 255])]),
    Code.UNAVAILABLE,
  ],
  ["nothing in it", encodeFrame(Buffer.alloc(0)), Code.UNKNOWN],
  ["a failure called OK", failure(0, "\u001b[2Jfine"), Code.UNKNOWN],
  [
    "a failure of megabytes",
    failure(5, "x".repeat(3 << 20), { "tapir-object": "\n".repeat(5000) }),
    Code.NOT_FOUND,
  ],
  ["a code that is none", failure(4_000_000_000, "no"), Code.UNKNOWN],
] as const) {
  test(`an answer to the greeting with ${title}`, async (t) => {
    const path = await answering(t, (socket) => void socket.write(bytes));
    const outcome = greet(path, sandbox, soon()).then((said) => {
      if ("refused" in said) throw said.refused;
    });
    t.is((await refusalOf(t, outcome)).code, code);
  });
}

test("an answer to the greeting that is cut off, and one that drips for ever", async (t) => {
  const cut = await answering(t, (socket) => void socket.end(header("TAPIR/1\n", 100)));
  t.is(
    (
      await refusalOf(
        t,
        greet(cut, sandbox, soon()).then(() => undefined),
      )
    ).code,
    Code.UNAVAILABLE,
  );
  const drip = await answering(t, (socket) => {
    socket.write(header("TAPIR/1\n", 4 << 20));
    const dripping = setInterval(() => socket.write("."), 1);
    socket.once("close", () => clearInterval(dripping));
  });
  const startMs = performance.now();
  const { code } = await refusalOf(
    t,
    greet(drip, sandbox, soon(500)).then(() => undefined),
  );
  t.is(code, Code.DEADLINE_EXCEEDED);
  t.true(performance.now() - startMs < 30_000);
});

async function answering(t: ExecutionContext, onConnection: (socket: Socket) => void): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "hostile-"));
  const path = join(directory, "s");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return path;
}

async function connection(t: ExecutionContext): Promise<{ ours: Socket; theirs: Socket }> {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true }, accepted.resolve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const theirs = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
  theirs.on("error", () => undefined);
  t.teardown(() => server.close());
  return { ours: await accepted.promise, theirs };
}
