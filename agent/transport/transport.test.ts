import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import test from "ava";
import { encodeFrame } from "../../proto/greeting.ts";
import { type Greet, greetings } from "./greeting.ts";
import { http2 } from "./session.ts";
import { type Port, serveHosts } from "./transport.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const hello = Buffer.concat([preface, settings]);
const data = (text: string): Buffer => {
  const header = Buffer.from([0, 0, text.length, 0, 0, 0, 0, 0, 1]);
  return Buffer.concat([header, Buffer.from(text)]);
};

/** A port as the kernel's driver makes it: each item of `arrived` is one read; "gone" answers 0 from then on. */
function fakePort() {
  const arrived: (Buffer | "gone")[] = ["gone"];
  const written: Buffer[] = [];
  let room = Number.POSITIVE_INFINITY;
  let wake = Promise.withResolvers<boolean>();
  let reads = 0;
  const port: Port = {
    read(buffer) {
      reads += 1;
      const [first] = arrived;
      if (first === undefined) return -1;
      if (first === "gone") {
        if (arrived.length === 1) return 0;
        arrived.shift();
        return 0;
      }
      arrived.shift();
      return first.copy(buffer);
    },
    write(bytes) {
      const count = Math.min(room, bytes.length);
      if (count === 0) return -1;
      room -= count;
      written.push(Buffer.from(bytes.subarray(0, count)));
      return count;
    },
    changed: async () => {
      const answer = await wake.promise;
      wake = Promise.withResolvers();
      return answer;
    },
    watchRoom: () => undefined,
  };
  const notify = async (more = true): Promise<void> => {
    wake.resolve(more);
    for (let turns = 0; turns < 5; turns++) await turn();
  };
  return {
    port,
    written,
    reads: () => reads,
    close: () => notify(false),
    setRoom: (bytes: number) => {
      room = bytes;
      return notify();
    },
    async hostConnects() {
      if (arrived[0] === "gone") arrived.shift();
      await notify();
    },
    /** What it says overtakes the news that it is there. */
    async hostSendsUnannounced(...chunks: Buffer[]) {
      arrived.unshift(...chunks);
      await notify();
    },
    async hostSends(...chunks: Buffer[]) {
      arrived.push(...chunks);
      await notify();
    },
    async hostGoes() {
      arrived.push("gone");
      await notify();
    },
    /** Leaves and comes back before the guest looks. */
    async hostReturnsUnseen(...chunks: Buffer[]) {
      arrived.push(...chunks);
      await notify();
    },
  };
}

interface Seen {
  readonly stream: Duplex;
  received: string;
  closed: boolean;
}

const echo: Greet = async (message) => Buffer.concat([Buffer.from("hello, "), message]);

function serve(
  fake: ReturnType<typeof fakePort>,
  greet: Greet = echo,
): { sessions: Seen[]; served: Promise<void> } {
  const sessions: Seen[] = [];
  const accept = (stream: Duplex): void => {
    const seen: Seen = { stream, received: "", closed: false };
    sessions.push(seen);
    stream.on("data", (chunk: Buffer) => {
      seen.received += chunk.toString("latin1");
    });
    stream.on("close", () => {
      seen.closed = true;
    });
  };
  const served = serveHosts(fake.port, [http2(accept), greetings(greet)]);
  return { sessions, served };
}

test("no session before the host speaks, and no reading in a circle", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await turn();
  t.is(sessions.length, 0);
  t.is(fake.reads(), 1);
});

test("each connection of the host gets a session of its own", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  for (let round = 0; round < 3; round++) {
    await fake.hostConnects();
    await fake.hostSends(hello, data(`round ${round}`));
    t.is(sessions.length, round + 1);
    t.true(sessions[round]?.received.endsWith(`round ${round}`));
    await fake.hostGoes();
    t.true(sessions[round]?.closed);
  }
});

test("a host that speaks before it is known to be there keeps its session, until it is known and goes", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostSendsUnannounced(hello);
  t.is(sessions.length, 1);
  t.false(sessions[0]?.closed);
  await fake.hostConnects();
  await fake.hostSends(data("more"));
  t.true(sessions[0]?.received.endsWith("more"));
  await fake.hostGoes();
  t.true(sessions[0]?.closed);
});

test("a host that left and came back unseen gets a new session", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello, data("old"));
  await fake.hostReturnsUnseen(hello, data("new"));
  t.is(sessions.length, 2);
  t.true(sessions[0]?.closed);
  t.false(sessions[0]?.received.includes("new"));
  t.true(sessions[1]?.received.startsWith("PRI"));
  t.true(sessions[1]?.received.endsWith("new"));
});

test("a preface inside of a frame is payload", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  const whole = data(preface.toString());
  await fake.hostSends(hello, whole.subarray(0, 9), whole.subarray(9));
  t.is(sessions.length, 1);
  t.false(sessions[0]?.closed);
});

test("bytes that belong to no session are dropped", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(data("left over"), hello, data("mine"));
  t.is(sessions.length, 1);
  t.is(sessions[0]?.received, Buffer.concat([hello, data("mine")]).toString("latin1"));
});

test("a session the reader gave up is not fed any more; the next one is", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello);
  sessions[0]?.stream.destroy();
  await fake.hostSends(data("nobody"));
  await fake.hostSends(hello, data("second"));
  t.is(sessions.length, 2);
  t.true(sessions[1]?.received.endsWith("second"));
});

test("a partial write goes on when there is room, in order", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello);
  await fake.setRoom(4);
  const stream = sessions[0]?.stream;
  stream?.write("abcdef");
  stream?.write("gh");
  stream?.write("ij");
  await turn();
  t.is(Buffer.concat(fake.written).toString(), "abcd");
  await fake.setRoom(100);
  t.is(Buffer.concat(fake.written).toString(), "abcdefghij");
  t.is(fake.written.length, 3, "what waited goes in one write");
});

test("what an old session had not written never reaches the next host", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello);
  await fake.setRoom(2);
  sessions[0]?.stream.write("secret");
  await fake.hostGoes();
  await fake.hostConnects();
  await fake.hostSends(hello);
  await fake.setRoom(100);
  sessions[1]?.stream.write("fresh");
  await turn();
  t.is(Buffer.concat(fake.written).toString(), "sefresh");
});

test("a reader that pauses loses nothing", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello);
  sessions[0]?.stream.pause();
  const chunk = data("x".repeat(200));
  await fake.hostSends(...Array.from({ length: 1000 }, () => chunk));
  t.true((sessions[0]?.received.length ?? 0) < 1000);
  sessions[0]?.stream.resume();
  for (let turns = 0; turns < 2000; turns++) await turn();
  t.is(sessions[0]?.received.length, hello.length + 1000 * chunk.length);
});

const goaway = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const ask = Buffer.from([0, 0, 0, 1, 5, 0, 0, 0, 1]);
const answer = Buffer.from([0, 0, 0, 1, 5, 0, 0, 0, 1]);

test("a host that says goodbye gets no more bytes", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello, goaway);
  t.true(sessions[0]?.closed);
  sessions[0]?.stream.write("goodbye");
  await turn();
  t.is(fake.written.length, 0);
});

test("a host that says goodbye still gets the answers it waits for", async (t) => {
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello, ask, goaway);
  t.false(sessions[0]?.closed);
  sessions[0]?.stream.write(answer);
  await fake.hostSends();
  t.deepEqual(Buffer.concat(fake.written), answer);
  t.true(sessions[0]?.closed);
});

test("a closed port ends the session and the serving", async (t) => {
  const fake = fakePort();
  const { sessions, served } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(hello);
  await fake.close();
  await served;
  t.true(sessions[0]?.closed);
});

const greeting = encodeFrame(Buffer.from("pod"));
const answered = encodeFrame(Buffer.from("hello, pod"));

test("a greeting is answered in one frame, however it is cut; then the host may speak HTTP/2", async (t) => {
  for (const step of [1, 5, 11, greeting.length]) {
    const fake = fakePort();
    const { sessions } = serve(fake);
    await fake.hostConnects();
    for (let at = 0; at < greeting.length; ) {
      // What begins a turn is read in one piece, as it was written.
      const end = at === 0 ? Math.max(step, 8) : at + step;
      await fake.hostSends(greeting.subarray(at, end));
      at = end;
    }
    t.deepEqual(Buffer.concat(fake.written), answered);
    t.is(sessions.length, 0);
    await fake.hostSends(hello);
    t.is(sessions.length, 1);
  }
});

test("an answer that the port takes in parts arrives whole", async (t) => {
  const fake = fakePort();
  serve(fake);
  await fake.hostConnects();
  await fake.setRoom(3);
  await fake.hostSends(greeting);
  await fake.setRoom(100);
  t.deepEqual(Buffer.concat(fake.written), answered);
});

test("who greets and goes is told to the one who works on it, and the next host gets none of the answer", async (t) => {
  const fake = fakePort();
  const work = Promise.withResolvers<Buffer>();
  const signals: AbortSignal[] = [];
  const { sessions } = serve(fake, (_, signal) => {
    signals.push(signal);
    return work.promise;
  });
  await fake.hostConnects();
  await fake.hostSends(greeting);
  t.false(signals[0]?.aborted);
  await fake.hostGoes();
  t.true(signals[0]?.aborted);
  await fake.hostConnects();
  await fake.hostSends(hello);
  work.resolve(Buffer.from("late"));
  await fake.hostSends(data("mine"));
  t.is(fake.written.length, 0);
  t.true(sessions[0]?.received.endsWith("mine"));
});

test("a greeting that is none, or too large, ends its turn, not the port", async (t) => {
  const huge = Buffer.from(greeting);
  huge.writeUInt32BE(0xffff_ffff, 8);
  const fake = fakePort();
  const { sessions } = serve(fake);
  await fake.hostConnects();
  await fake.hostSends(huge);
  await fake.hostSends(hello);
  t.is(sessions.length, 1);
  t.is(fake.written.length, 0);
});
