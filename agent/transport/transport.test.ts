import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import test from "ava";
import { type Port, serveSessions } from "./transport.ts";

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

function serve(fake: ReturnType<typeof fakePort>): { sessions: Seen[]; served: Promise<void> } {
  const sessions: Seen[] = [];
  const served = serveSessions(fake.port, (stream) => {
    const seen: Seen = { stream, received: "", closed: false };
    sessions.push(seen);
    stream.on("data", (chunk: Buffer) => {
      seen.received += chunk.toString("latin1");
    });
    stream.on("close", () => {
      seen.closed = true;
    });
  });
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
