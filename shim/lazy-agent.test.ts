import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import { Code } from "../sys/status.ts";
import { serveFakeAgent } from "../test/fakes/agent/agent.ts";
import { lazyAgent } from "./lazy-agent.ts";

const soon = () => deadlineIn(20_000, "ask the guest");

test("the first question connects, streams come over the same connection, and an end is an end", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "lazy-"));
  const socket = join(directory, "agent.sock");
  // Before there is anybody: whoever connects too early would find out here.
  const agent = lazyAgent(socket);
  const close = await serveFakeAgent(socket);
  t.teardown(() => {
    close();
    rmSync(directory, { recursive: true, force: true });
  });
  t.like(await agent.containers.onlineResources({ vcpus: 0, atMostVcpus: 0, memoryBytes: 0n }, soon()), {
    vcpus: 1,
  });
  const events = await agent.containers.events();
  const [first] = await events.take(1).toArray();
  t.true(first.subscribed);
  await t.throwsAsync(agent.check(soon()), { message: /cannot ask/ });
  agent[Symbol.dispose]();
  await t.throwsAsync(
    agent.containers.onlineResources({ vcpus: 0, atMostVcpus: 0, memoryBytes: 0n }, soon()),
  );
});

test("nobody connects to a guest that has ended", async (t) => {
  const agent = lazyAgent("/nowhere/agent.sock");
  agent[Symbol.dispose]();
  await t.throwsAsync(agent.check(soon()), {
    code: Code.UNAVAILABLE,
    message: "cannot ask the guest: its VM has ended",
  });
});
