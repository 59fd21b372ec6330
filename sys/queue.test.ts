import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "./deadline.ts";
import { codeOf } from "./error.ts";
import { identify } from "./process.ts";
import { awaitTurn, lineUp, ticketIn } from "./queue.ts";
import { Code } from "./status.ts";

function prepareQueue(t: ExecutionContext): string {
  const home = mkdtempSync(join(tmpdir(), "tapir-test-"));
  t.teardown(() => rmSync(home, { recursive: true }));
  return home;
}

const soon = () => deadlineIn(20_000, "test");

for (const places of [1, 2]) {
  test(`in the order they came, ${places} at once`, async (t) => {
    const queue = prepareQueue(t);
    const tickets = Array.from({ length: 6 }, () => ticketIn(queue, "q-"));
    // The order of the tickets counts, not that of the files.
    for (const ticket of tickets.toReversed()) lineUp(ticket);
    const inside = new Set<number>();
    const order: number[] = [];
    const ahead: number[] = [];
    let most = 0;
    await Promise.all(
      tickets.map(async (ticket, index) => {
        await awaitTurn(ticket, places, soon());
        order.push(index);
        ahead.push(tickets.slice(0, index).filter((other) => existsSync(other)).length);
        inside.add(index);
        most = Math.max(most, inside.size);
        await new Promise((resolve) => setTimeout(resolve, 20));
        inside.delete(index);
        rmSync(ticket, { force: true });
      }),
    );
    t.is(most, places);
    // Those who may go at the same time may do so in any order: it was each one's turn.
    t.true(
      ahead.every((before) => before < places),
      order.join(),
    );
    t.deepEqual(readdirSync(queue), []);
  });
}

test("who dies is waited for no more, though its ticket stays", async (t) => {
  const queue = prepareQueue(t);
  const other = spawn("sleep", ["60"]);
  await once(other, "spawn");
  const { pid, startTime } = identify(other.pid as number) ?? { pid: 0, startTime: "" };
  const dead = join(queue, `q-${"0".repeat(20)}-${pid}-${startTime}`);
  lineUp(dead);
  const ticket = ticketIn(queue, "q-");
  lineUp(ticket);
  const error = await t.throwsAsync(awaitTurn(ticket, 1, deadlineIn(200, "wait for a turn")));
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  const turn = awaitTurn(ticket, 1, soon());
  other.kill("SIGKILL");
  await turn;
  t.true(existsSync(dead));
  rmSync(ticket, { force: true });
});

test("what is no ticket, or one of another queue, is nobody", async (t) => {
  const queue = prepareQueue(t);
  const ticket = ticketIn(queue, "q-");
  lineUp(ticket);
  writeFileSync(join(queue, "0"), "");
  // Another queue's.
  lineUp(join(queue, `a-${basename(ticket).slice(2)}`));
  await awaitTurn(ticket, 1, soon());
  rmSync(ticket, { force: true });
  t.false(existsSync(ticket));
});
