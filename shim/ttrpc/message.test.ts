import test from "ava";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "./message.ts";

test("a request comes back as it was sent", (t) => {
  const request = {
    service: "containerd.task.v2.Task",
    method: "State",
    payload: new Uint8Array([10, 1, 97]),
    timeoutNano: 10_000_000_000n,
    metadata: [{ key: "containerd-namespace-ttrpc", value: "k8s.io" }],
  };
  const decoded = decodeRequest(encodeRequest(request));
  t.deepEqual({ ...decoded, payload: [...decoded.payload] }, { ...request, payload: [10, 1, 97] });
});

test("a response of a Go peer, success and failure", (t) => {
  const success = decodeResponse(Buffer.from("12030a0161", "hex"));
  t.deepEqual(success.status, { code: 0, message: "" });
  t.deepEqual([...success.payload], [10, 1, 97]);
  const failure = decodeResponse(
    encodeResponse({ status: { code: 5, message: "no" }, payload: new Uint8Array(0) }),
  );
  t.deepEqual(failure.status, { code: 5, message: "no" });
});

test("unknown fields are skipped, broken bytes throw", (t) => {
  // field 9, varint 1; then service "s"
  t.is(decodeRequest(Buffer.from("48010a0173", "hex")).service, "s");
  t.throws(() => decodeRequest(Buffer.from("0aff", "hex")));
  t.throws(() => decodeRequest(Buffer.from("ffffffffffffffffffffff", "hex")));
});
