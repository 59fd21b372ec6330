import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { ManagementDefinition } from "../proto/gen/tapir/management/v1/management.ts";
import type { Deadline } from "../sys/deadline.ts";
import { openLedger } from "../sys/ledger.ts";
import { Code } from "../sys/status.ts";
import { serveManagement } from "./management.ts";
import { managementSocket } from "./state/directory.ts";
import { connect } from "./ttrpc/client.ts";

const REQUEST_MS = 100;
const { fullName, methods } = ManagementDefinition;
const slow = (ms: number, deadline: Deadline): Promise<void> => deadline.race(sleep(ms));

/** A pod's management socket, with a network and an agent that take as long as they are asked to. */
async function manage(t: ExecutionContext) {
  const place = mkdtempSync(join(tmpdir(), "manage-"));
  const ledger = openLedger(join(place, "state"));
  const network = {
    trace: (windowMs: number, deadline: Deadline) => slow(windowMs, deadline).then(() => []),
    difference: (deadline: Deadline) => slow(10 * REQUEST_MS, deadline).then(() => []),
  };
  const agent = {
    ping: ({ timeoutMilliseconds }: { timeoutMilliseconds: number }, deadline: Deadline) =>
      slow(timeoutMilliseconds, deadline).then(() => ({ roundTripMilliseconds: 7 })),
  };
  await serveManagement({ agent, network } as never, ledger, REQUEST_MS);
  const client = await connect(managementSocket(ledger.directory), 1000);
  t.teardown(async () => {
    client.close();
    await ledger.unwind();
    rmSync(place, { recursive: true });
  });
  return (method: string, payload: Uint8Array) => client.call(fullName, method, payload, { timeoutMs: 5000 });
}

test("what a request asks to wait for comes on top of the time for an answer", async (t) => {
  const call = await manage(t);
  const trace = { windowMilliseconds: 5 * REQUEST_MS };
  await t.notThrowsAsync(
    call("TraceNetwork", methods.traceNetwork.requestType.encode(trace as never).finish()),
  );
  const ping = { address: "10.0.0.1", timeoutMilliseconds: 5 * REQUEST_MS };
  const answer = await call("Ping", methods.ping.requestType.encode(ping as never).finish());
  t.is(methods.ping.responseType.decode(answer).roundTripMilliseconds, 7);
  await t.throwsAsync(call("GetNetworkDifference", new Uint8Array(0)), {
    code: Code.DEADLINE_EXCEEDED,
    message: /answer GetNetworkDifference: not done within 100 ms/,
  } as never);
});

test("a request that is no protobuf is the caller's fault", async (t) => {
  const call = await manage(t);
  await t.throwsAsync(call("Ping", Buffer.from("0aff", "hex")), {
    code: Code.INVALID_ARGUMENT,
    message: /cannot decode Ping request/,
  } as never);
});
