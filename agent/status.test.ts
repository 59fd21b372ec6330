import test from "ava";
import { systemError, TapirError, wrapError } from "../sys/error.ts";
import { toStatus } from "./status.ts";

const header = (thrown: unknown, name: string) => toStatus(thrown).metadata.get(name)[0];

test("a kernel's no travels as operation, object, errno and text", (t) => {
  const error = systemError("EEXIST", { operation: "add", object: "route 10.0.0.0/8", hint: "remove it" });
  const { code, details } = toStatus(error);
  t.is(code, 6);
  t.is(details, "EEXIST (file exists); remove it");
  t.is(header(error, "tapir-operation"), "add");
  t.is(header(error, "tapir-object"), "route 10.0.0.0/8");
  t.is(header(error, "tapir-errno"), "EEXIST");
});

test("a wrapped error keeps the errno of its cause", (t) => {
  const inner = Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" });
  const error = wrapError(inner, { operation: "write", object: "/run/etc/hosts" });
  t.is(toStatus(error).code, 8);
  t.is(header(error, "tapir-errno"), "ENOSPC");
});

test("anything else is internal, with its text", (t) => {
  t.like(toStatus(new Error("oops")), { code: 13, details: "oops" });
  t.like(toStatus("text"), { code: 13, details: "text" });
  t.is(header(new Error("oops"), "tapir-operation"), undefined);
});

test("headers are printable ASCII and bounded", (t) => {
  const error = new TapirError({
    code: 3,
    operation: "ö\n",
    object: "x".repeat(5000),
    cause: "y".repeat(5000),
  });
  t.is(header(error, "tapir-operation"), "??");
  t.true(String(header(error, "tapir-object")).length < 2100);
  t.true(toStatus(error).details.length < 2100);
});
