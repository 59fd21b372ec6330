import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { makePipes } from "./process-io.ts";

const ALL = { stdin: true, stdout: true, stderr: true };

/** A shell at the other ends of the pipes. */
function start(script: string) {
  const { io, stdio, handedOver } = makePipes(ALL);
  const child = spawn("sh", ["-c", script], { stdio: [...stdio] });
  handedOver();
  return { io, exited: once(child, "exit") };
}

function collect(output: NonNullable<ReturnType<typeof start>["io"]["stdout"]>) {
  const chunks: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  output.listen({ data: (chunk) => chunks.push(Buffer.from(chunk)) > 0, end: resolve });
  return { text: () => Buffer.concat(chunks).toString(), ended: promise };
}

test("what is written goes in and comes out; an end goes both ways", async (t) => {
  const { io, exited } = start("cat; echo done >&2");
  t.teardown(() => io.close());
  if (io.stdout === undefined || io.stderr === undefined) return t.fail();
  const out = collect(io.stdout);
  const err = collect(io.stderr);
  io.stdin?.write(Buffer.from("a\0b\n"));
  io.stdin?.end();
  await exited;
  await Promise.all([out.ended, err.ended]);
  t.is(out.text(), "a\0b\n");
  t.is(err.text(), "done\n");
});

test("output waits for a listener, is not lost between two, and what a child left open is told apart", async (t) => {
  const { io, exited } = start("exec 3<&0; echo first; (read word <&3; echo $word) & echo second");
  t.teardown(() => io.close());
  await exited;
  if (io.stdout === undefined) return t.fail();
  let given = false;
  io.whenGiven(() => {
    given = true;
  });
  await sleep(50);
  t.false(given, "nobody has taken it");
  const early = collect(io.stdout);
  while (!given) await sleep(5);
  t.is(early.text(), "first\nsecond\n", "all that the process itself had written");
  t.false(io.stdout.ended);
  io.stdout.leave();
  const late = collect(io.stdout);
  io.stdin?.write(Buffer.from("late\n"));
  await late.ended;
  t.is(late.text(), "late\n");
});

test("a listener that is full holds the process back", async (t) => {
  const { io } = start("head -c 4000000 /dev/zero; echo written >&2");
  t.teardown(() => io.close());
  if (io.stdout === undefined || io.stderr === undefined) return t.fail();
  const err = collect(io.stderr);
  let taken = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  io.stdout.listen({
    data(chunk) {
      taken += chunk.length;
      return taken > 100_000;
    },
    end: resolve,
  });
  await sleep(200);
  const held = taken;
  t.true(held <= 100_000 + 65_536, `${held} bytes were taken`);
  t.is(err.text(), "", "the process still waits");
  while (taken <= 100_000) {
    io.stdout.resume();
    await sleep(5);
  }
  await promise;
  t.is(taken, 4_000_000);
});

test("input that nobody reads any more is told, and dropped", async (t) => {
  const { io, exited } = start("exec <&-; echo closed; sleep 0.3");
  t.teardown(() => io.close());
  const { promise, resolve } = Promise.withResolvers<void>();
  io.stdin?.listen({ room: () => undefined, closed: resolve });
  const writeOnce = (): boolean => io.stdin?.write(Buffer.alloc(1 << 20)) ?? false;
  io.stdout?.listen({ data: () => !writeOnce(), end: () => undefined });
  await promise;
  t.true(io.stdin?.write(Buffer.from("more")));
  await exited;
});

test("streams that are not wanted are nothing", (t) => {
  const { io, stdio } = makePipes({ stdin: false, stdout: false, stderr: false });
  t.deepEqual(stdio, ["ignore", "ignore", "ignore"]);
  t.is(io.stdin, undefined);
  let given = false;
  io.whenGiven(() => {
    given = true;
  });
  t.true(given);
  t.throws(() => io.resize(1, 1), { message: /cannot resize terminal: the process has none/ });
});
