import test from "ava";
import { codeOf, errnoOf, systemError, TapirError, wrapError } from "./error.ts";
import { Code } from "./status.ts";

test("the sentence names operation, object, cause and way out", (t) => {
  const error = new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "attach",
    object: "eth0 of netns cni-1",
    cause: 'link kind "ipoib" is not supported',
    hint: 'use "none"',
  });
  t.is(error.message, 'cannot attach eth0 of netns cni-1: link kind "ipoib" is not supported; use "none"');
});

test("a system error keeps errno and stands for a status", (t) => {
  const error = systemError(17, { operation: "add", object: "route 10.0.0.0/8" });
  t.is(error.errno, "EEXIST");
  t.is(error.code, Code.ALREADY_EXISTS);
  t.is(error.message, "cannot add route 10.0.0.0/8: EEXIST (file exists)");
});

test("wrapping keeps status and errno of what is wrapped", (t) => {
  const inner = systemError("ENOENT", { operation: "open", object: "/x" });
  const outer = wrapError(inner, { operation: "start", object: "sandbox a" });
  t.is(outer.code, Code.NOT_FOUND);
  t.is(errnoOf(outer), "ENOENT");
  t.is(outer.cause, inner);
});

test("anything thrown has a status", (t) => {
  t.is(codeOf("text"), Code.UNKNOWN);
  t.is(
    codeOf(new AggregateError([systemError("ENOENT", { operation: "a", object: "b" }), "x"])),
    Code.NOT_FOUND,
  );
  t.is(codeOf(Object.assign(new Error("x"), { code: "EACCES" })), Code.PERMISSION_DENIED);
  t.is(codeOf(Object.assign(new Error("x"), { code: "ERR_SOMETHING" })), Code.UNKNOWN);
});
