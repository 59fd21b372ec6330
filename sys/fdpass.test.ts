import { closeSync, existsSync, openSync } from "node:fs";
import { createServer } from "node:net";
import test from "ava";
import { errnoOf } from "./error.ts";
import { closeAll, encodeRights, listeningPair, sendDescriptors, socketOf, socketPair } from "./fdpass.ts";

test("encodes a control message", (t) => {
  t.is(encodeRights([5]).toString("hex"), "1400000000000000010000000100000005000000" + "00000000");
  t.is(encodeRights([1, 2]).length, 24);
  t.throws(() => encodeRights([]), { instanceOf: RangeError });
  t.throws(() => encodeRights(new Array(254).fill(0)), { instanceOf: RangeError });
});

test("bytes sent with descriptors arrive, and the pair is one connection", async (t) => {
  const { ours, theirs } = socketPair();
  const peer = socketOf(theirs);
  const file = openSync("/dev/null", "r");
  t.is(sendDescriptors(ours, Buffer.from("hello"), [file, file]), 5);
  closeAll([file, ours]);
  const received: Buffer[] = [];
  for await (const chunk of peer) received.push(chunk as Buffer);
  t.is(Buffer.concat(received).toString(), "hello");
});

test("a peer that does not read, one that is gone, and a closed descriptor are errors with errno", (t) => {
  const { ours, theirs } = socketPair();
  const full = (): void => {
    for (;;) sendDescriptors(ours, Buffer.alloc(65_536), [ours]);
  };
  t.is(errnoOf(t.throws(full)), "EAGAIN");
  closeSync(theirs);
  t.is(errnoOf(t.throws(() => sendDescriptors(ours, Buffer.from("x"), [ours]))), "EPIPE");
  closeSync(ours);
  t.is(errnoOf(t.throws(() => sendDescriptors(9999, Buffer.from("x"), [0]))), "EBADF");
});

test("a client is connected before its server accepts, and no path stays", async (t) => {
  const path = `/tmp/tapir-fdpass-${process.pid}.sock`;
  const { listening, connected } = listeningPair(path);
  t.false(existsSync(path));
  const client = socketOf(connected);
  client.end("hello");
  const server = createServer();
  const received = new Promise<string>((resolve) => {
    server.on("connection", (peer) => peer.on("data", (chunk) => resolve(chunk.toString())));
  });
  server.listen({ fd: listening });
  t.is(await received, "hello");
  server.close();
});

test("a folder that is not there, and a path that is too long, leave nothing open", (t) => {
  t.is(errnoOf(t.throws(() => listeningPair("/no/such/folder/x"))), "ENOENT");
  t.throws(() => listeningPair(`/tmp/${"x".repeat(110)}`), { instanceOf: RangeError });
});
