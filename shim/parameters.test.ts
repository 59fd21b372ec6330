import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import test from "ava";
import { BootstrapParams, BootstrapResult } from "../proto/gen/containerd/runtime/bootstrap.ts";
import { Options } from "../proto/gen/containerd/runtime/options.ts";
import { Any } from "../proto/gen/google/protobuf/any.ts";
import { parseArguments } from "./bootstrap.ts";
import { encodeAnswer, readParameters, readStdin } from "./parameters.ts";

const invocation = parseArguments("-namespace k8s.io -address /run/c.sock -id abc start".split(" "));
const nothing = new Uint8Array(0);
const params = BootstrapParams.fromPartial({
  instanceId: "abc",
  namespace: "k8s.io",
  logLevel: -4,
  containerdGrpcAddress: "/run/new.sock",
  containerdTtrpcAddress: "/run/new.sock.ttrpc",
  socketDir: "/run/short",
});

test("1.6 is answered with text, what knows MAX_SHIM_VERSION with JSON", async (t) => {
  const old = await readParameters(invocation, { TTRPC_ADDRESS: "/run/c.sock.ttrpc" }, nothing);
  t.like(old, { answer: "text", ttrpcAddress: "/run/c.sock.ttrpc", address: "/run/c.sock", debug: false });
  t.is((await readParameters(invocation, { MAX_SHIM_VERSION: "2" }, nothing)).answer, "json");
});

test("2.3's parameters on stdin win over flags, and may replace them", async (t) => {
  const stdin = BootstrapParams.encode(params).finish();
  const expected = {
    id: "abc",
    namespace: "k8s.io",
    address: "/run/new.sock",
    ttrpcAddress: "/run/new.sock.ttrpc",
    debug: true,
    socketDirectory: "/run/short",
    answer: "protobuf",
  };
  t.like(await readParameters(invocation, { MAX_SHIM_VERSION: "2" }, stdin), expected);
  t.like(await readParameters(parseArguments(["start"]), {}, stdin), expected);
});

test("runtime options on stdin, another id, and garbage leave the flags as they are", async (t) => {
  const value = Buffer.from(Options.encode(Options.fromPartial({ configPath: "/etc/x.toml" })).finish());
  const options = Any.encode({ typeUrl: "runtimeoptions.v1.Options", value }).finish();
  const other = BootstrapParams.encode({ ...params, instanceId: "other" }).finish();
  for (const stdin of [options, other, Buffer.from("0aff", "hex"), Buffer.from("{}\n")]) {
    t.like(await readParameters(invocation, {}, stdin), {
      id: "abc",
      address: "/run/c.sock",
      answer: "text",
    });
  }
});

test("the three forms of the answer", async (t) => {
  t.is(await encodeAnswer("text", "unix:///s"), "unix:///s");
  t.deepEqual(JSON.parse(String(await encodeAnswer("json", "unix:///s"))), {
    version: 2,
    address: "unix:///s",
    protocol: "ttrpc",
  });
  const bytes = await encodeAnswer("protobuf", "unix:///s");
  t.like(BootstrapResult.decode(Buffer.from(bytes)), { version: 2, address: "unix:///s", protocol: "ttrpc" });
});

test("stdin: /dev/null and a closed one give nothing, a pipe all of it", async (t) => {
  const fd = openSync("/dev/null", "r");
  t.is((await readStdin(fd)).length, 0);
  closeSync(fd);
  t.is((await readStdin(9999)).length, 0);
  const file = openSync(import.meta.filename, "r");
  t.true((await readStdin(file)).length > 1000);
  closeSync(file);
});

test("a pipe that nobody writes to or closes holds up neither the answer nor the exit", async (t) => {
  const script = `const { readStdin } = await import(${JSON.stringify(`${import.meta.dirname}/parameters.ts`)});
    const bytes = await readStdin(0, 50);
    process.stdout.write(String(bytes.length));
    process.exit(0);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  child.stdin.write("abc");
  const ended = once(child, "exit");
  const [chunk] = await once(child.stdout, "data");
  t.is(String(chunk), "3");
  const [code] = await Promise.race([
    ended,
    new Promise<string[]>((resolve) => setTimeout(resolve, 5000, ["hangs"])),
  ]);
  t.is(code, 0);
});
