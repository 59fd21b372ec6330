import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { errnoOf } from "./error.ts";
import { closeAll, receiveDescriptors, sendDescriptors } from "./fdpass.ts";
import { becomesReadable } from "./readable.ts";
import { acceptUnix, connectUnix, duplicate, listenUnix, peerOf } from "./unix-socket.ts";

const directory = mkdtempSync(join(tmpdir(), "tapir-unix-socket-"));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

test("two ends meet; each knows who the other is; descriptors pass", async (t) => {
  const path = join(directory, "meet.sock");
  const listener = listenUnix(path);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(acceptUnix(listener), undefined);
  const client = connectUnix(path);
  t.true(await becomesReadable(listener, deadlineIn(60_000, "accept")));
  const accepted = acceptUnix(listener) ?? -1;
  for (const end of [client, accepted])
    t.deepEqual(peerOf(end), { pid: process.pid, uid: process.getuid?.() ?? -1 });
  const copy = duplicate(client);
  t.not(copy, client);
  sendDescriptors(accepted, Buffer.from("x"), [listener]);
  t.true(await becomesReadable(client, deadlineIn(60_000, "receive")));
  const { bytes, descriptors } = receiveDescriptors(copy, 10, 1);
  t.is(bytes.toString(), "x");
  t.is(descriptors.length, 1);
  closeAll([listener, client, accepted, copy, ...descriptors]);
});

test("nobody listens, or the place is taken", (t) => {
  const path = join(directory, "none.sock");
  t.is(errnoOf(t.throws(() => connectUnix(path))), "ENOENT");
  const listener = listenUnix(path);
  t.is(errnoOf(t.throws(() => listenUnix(path))), "EADDRINUSE");
  closeAll([listener]);
  t.is(errnoOf(t.throws(() => connectUnix(path))), "ECONNREFUSED");
  chmodSync(path, 0o600);
});

test("a wait ends with its deadline, and with what gave it up", async (t) => {
  const listener = listenUnix(join(directory, "wait.sock"));
  t.false(await becomesReadable(listener, deadlineIn(20, "wait")));
  const giveUp = new AbortController();
  const waiting = becomesReadable(listener, deadlineIn(60_000, "wait", giveUp.signal));
  giveUp.abort();
  t.false(await waiting);
  closeAll([listener]);
});
