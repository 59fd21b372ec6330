import { existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { answers, claim, listenUnlessServed, pathOfAddress, socketPath } from "./socket.ts";

function directory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), "shim-socket-"));
  t.teardown(() => rmSync(path, { recursive: true }));
  return path;
}

test("the path depends on containerd, namespace and sandbox, and on nothing else", (t) => {
  const path = socketPath("/run/tapir/s", "/run/c.sock", "k8s.io", "abc");
  t.is(socketPath("/run/tapir/s", "/run/c.sock", "k8s.io", "abc"), path);
  t.regex(path, /^\/run\/tapir\/s\/[0-9a-f]{32}$/);
  const others = [
    socketPath("/run/tapir/s", "/run/d.sock", "k8s.io", "abc"),
    socketPath("/run/tapir/s", "/run/c.sock", "k8s", "io.abc"),
    socketPath("/run/tapir/s", "/run/c.sock", "k8s.io", "abd"),
  ];
  t.is(new Set([path, ...others]).size, 4);
  t.throws(() => socketPath(`/${"x".repeat(80)}`, "", "", ""), {
    message: /choose a shorter TAPIR_SOCKET_DIR/,
  });
});

test("the socket is only root's, and outlives the server that made it", async (t) => {
  const path = join(directory(t), "new", "s");
  const server = await listenUnlessServed(path);
  t.truthy(server);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(join(path, "..")).mode & 0o777, 0o700);
  t.deepEqual(readdirSync(join(path, "..")), ["s"]);
  t.true(await answers(path));
  await new Promise((resolve) => server?.close(resolve));
  t.true(lstatSync(path).isSocket());
  t.false(await answers(path));
});

test("a living shim's socket is left alone, a dead one's replaced", async (t) => {
  const path = join(directory(t), "s");
  const first = await listenUnlessServed(path);
  t.is(await listenUnlessServed(path), undefined);
  await new Promise((resolve) => first?.close(resolve));
  const second = await listenUnlessServed(path);
  t.truthy(second);
  t.true(await answers(path));
  second?.close();
});

test("of many that start at once exactly one listens", async (t) => {
  const path = join(directory(t), "s");
  // One process has one temporary name, so each try waits for the one before; the last link decides.
  const servers = [];
  for (let index = 0; index < 5; index++) servers.push(await listenUnlessServed(path));
  t.is(servers.filter((server) => server !== undefined).length, 1);
  servers[0]?.close();
});

test("a socket that went to somebody else is not taken from them", async (t) => {
  const path = join(directory(t), "s");
  const old = await listenUnlessServed(path);
  const giveBack = claim(path);
  renameSync(path, `${path}.old`);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(path, resolve));
  giveBack();
  t.true(existsSync(path));
  renameSync(`${path}.old`, path);
  giveBack();
  t.false(existsSync(path));
  giveBack();
  old?.close();
  other.close();
});

test("addresses with and without scheme", (t) => {
  t.is(pathOfAddress("unix:///run/s"), "/run/s");
  t.is(pathOfAddress("/run/s"), "/run/s");
});
