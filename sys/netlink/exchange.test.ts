import test from "ava";
import { attributeText, attributeU32 } from "./attribute.ts";
import { newExchange } from "./exchange.ts";
import { type Message, NLM_F, NLMSG } from "./message.ts";

const message = (type: number, flags = 0, payload: Buffer = Buffer.alloc(0)): Message => ({
  type,
  flags,
  sequence: 1,
  port: 0,
  payload,
});

/** errno, the echoed header (and payload unless capped), then attributes. */
function errorPayload(errno: number, echoed: Buffer, ...attributes: Buffer[]): Buffer {
  const head = Buffer.alloc(20);
  head.writeInt32LE(-errno, 0);
  head.writeUInt32LE(16 + echoed.length, 4);
  return Buffer.concat([head, echoed, ...attributes]);
}

test("a dump ends with DONE and keeps its parts in order", (t) => {
  const exchange = newExchange();
  t.false(exchange.accept(message(16, NLM_F.MULTI)));
  t.false(exchange.accept(message(NLMSG.NOOP)));
  t.false(exchange.accept(message(17, NLM_F.MULTI)));
  t.true(exchange.accept(message(NLMSG.DONE, NLM_F.MULTI, Buffer.alloc(4))));
  t.deepEqual(
    exchange.replies.map(({ type }) => type),
    [16, 17],
  );
  t.deepEqual(exchange.acknowledgement, { errno: 0, text: undefined });
  t.false(exchange.interrupted);
});

test("a dump that was interrupted says so, whichever part carries the flag", (t) => {
  const exchange = newExchange();
  exchange.accept(message(16, NLM_F.MULTI | NLM_F.DUMP_INTR));
  t.true(exchange.accept(message(NLMSG.DONE, NLM_F.MULTI)));
  t.true(exchange.interrupted);
});

test("the extended ack is found behind the echoed request", (t) => {
  const text = attributeText(1, "Nexthop has invalid gateway");
  const offset = attributeU32(2, 12);
  const full = errorPayload(101, Buffer.from("echoed payload!!"), offset, text);
  const capped = errorPayload(101, Buffer.alloc(0), offset, text);
  for (const [payload, flags] of [
    [full, NLM_F.ACK_TLVS],
    [capped, NLM_F.ACK_TLVS | NLM_F.CAPPED],
  ] as const) {
    const exchange = newExchange();
    t.true(exchange.accept(message(NLMSG.ERROR, flags, payload)));
    t.deepEqual(exchange.acknowledgement, { errno: 101, text: "Nexthop has invalid gateway" });
  }
});

test("a capped error keeps the length of the whole request in its header", (t) => {
  const payload = errorPayload(22, Buffer.alloc(0), attributeText(1, "why"));
  payload.writeUInt32LE(400, 4);
  const exchange = newExchange();
  exchange.accept(message(NLMSG.ERROR, NLM_F.ACK_TLVS | NLM_F.CAPPED, payload));
  t.is(exchange.acknowledgement.text, "why");
});

test("DONE may carry an error and its text", (t) => {
  const errno = Buffer.alloc(4);
  errno.writeInt32LE(-22);
  const exchange = newExchange();
  const payload = Buffer.concat([errno, attributeText(1, "no such table")]);
  t.true(exchange.accept(message(NLMSG.DONE, NLM_F.ACK_TLVS, payload)));
  t.deepEqual(exchange.acknowledgement, { errno: 22, text: "no such table" });
});

test("an acknowledgement without errno is malformed", (t) => {
  t.throws(() => newExchange().accept(message(NLMSG.ERROR, 0, Buffer.alloc(2))), {
    message: /without errno/,
  });
});
