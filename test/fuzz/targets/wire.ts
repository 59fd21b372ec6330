import { FRAME, followFrames, startsWithPreface } from "../../../agent/transport/http2-frames.ts";
import {
  decodeOffer,
  decodeRequest as decodeTake,
  splitLine,
} from "../../../hypervisor/factory/cache/message.ts";
import { createQmpSession } from "../../../hypervisor/qmp/session.ts";
import { createDecoder, encodeFrame, FrameType } from "../../../shim/ttrpc/frame.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../../../shim/ttrpc/message.ts";
import { StatusCode, TtrpcError } from "../../../shim/ttrpc/status.ts";
import type { Target } from "../fuzz.ts";

const request = encodeRequest({
  service: "containerd.task.v2.Task",
  method: "Create",
  payload: Buffer.from("\n\x03pod"),
  timeoutNano: 5_000_000_000n,
  metadata: [{ key: "containerd-namespace-ttrpc", value: "k8s.io" }],
});
const response = encodeResponse({
  status: { code: StatusCode.OK, message: "" },
  payload: Buffer.from("\x08\x01"),
});

/** The library's own errors are answered as INVALID_ARGUMENT by whoever decodes. */
function refusing(decode: () => void): void {
  try {
    decode();
  } catch (error) {
    throw new TtrpcError(StatusCode.INVALID_ARGUMENT, String(error));
  }
}

const ttrpc: Target = {
  name: "ttrpc frames",
  seeds: [
    encodeFrame(1, FrameType.REQUEST, request),
    Buffer.concat([encodeFrame(1, FrameType.REQUEST, request), encodeFrame(3, FrameType.REQUEST, request)]),
    encodeFrame(1, FrameType.RESPONSE, response),
  ],
  words: [],
  run(input) {
    const decoder = createDecoder();
    // Cut somewhere, as sockets do.
    for (const chunk of [input.subarray(0, 7), input.subarray(7)]) {
      for (const received of decoder.push(chunk)) {
        if (received.kind !== "frame") continue;
        const decode = received.header.type === FrameType.RESPONSE ? decodeResponse : decodeRequest;
        refusing(() => decode(received.payload));
      }
    }
  },
};

const qmpLines = [
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}',
  '{"return": {}, "id": 1}',
  '{"id": 1, "error": {"class": "GenericError", "desc": "no such device"}}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "DEVICE_DELETED", "data": {"device": "eth0", "path": "/x"}}',
].map((line) => Buffer.from(`${line}\r\n`));

const qmp: Target = {
  name: "QMP",
  seeds: [...qmpLines, Buffer.concat(qmpLines)],
  words: ['"id": 1', '"event"', '"return"', "null", "[]", "{}", "\n", '"__proto__"', "1e999", '"\\ud800"'],
  run(input) {
    let loss: unknown;
    const session = createQmpSession(() => undefined);
    const { answer } = session.begin("query-status");
    answer.catch((error: unknown) => {
      loss = error;
    });
    const watch = session.watch("device", ({ event, data }) =>
      event === "DEVICE_DELETED" && data.device === "eth0" ? true : undefined,
    );
    watch.found.catch(() => undefined);
    session.receive(input);
    session.lose("the end");
    watch.end();
    void loss;
  },
};

const cacheLines: Target = {
  name: "VM cache messages",
  seeds: [
    '{"take":"0123456789abcdef0123456789abcdef-copy"}\n',
    '{"none":"the cache is empty"}\n',
    `{"clone":{"directory":"/run/tapir/.cache/1","pid":12,"startTime":"34","token":"${"0".repeat(36)}","qemuVersion":"7.2.22","monotonicNanoseconds":"5"}}\n`,
  ].map((line) => Buffer.from(line)),
  words: ["../..", "-1", "null", "1e400", "\n", '"clone":', "{", "}"],
  run(input) {
    const split = splitLine(input);
    if (split === undefined) return;
    const { line } = split;
    const attempts = [() => decodeTake(line), () => decodeOffer(line)];
    const failures = attempts.flatMap((attempt) => {
      try {
        attempt();
        return [];
      } catch (error) {
        return [error];
      }
    });
    if (failures.length === attempts.length) throw failures[0];
  },
};

const header = Buffer.from([0, 0, 4, FRAME.DATA, 1, 0, 0, 0, 1, 1, 2, 3, 4]);
const http2: Target = {
  name: "HTTP/2 frames",
  seeds: [Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1"), header]), header],
  words: [],
  run(input) {
    const follower = followFrames(startsWithPreface(input) ? "client" : "server");
    for (const headers of [follower.pass(input.subarray(0, 5)), follower.pass(input.subarray(5))]) {
      for (const { stream } of headers) if (stream < 0) throw new Error("a negative stream");
    }
  },
};

export const wireTargets: readonly Target[] = [ttrpc, qmp, cacheLines, http2];
