// Requires root, ip and bash.
import { execFile, execFileSync } from "node:child_process";
import { closeSync } from "node:fs";
import { createServer } from "node:net";
import test, { type ExecutionContext } from "ava";
import { steerConnections } from "./steer-connections.ts";

test("every port of every own address leads to the one socket, until it stops", async (t) => {
  const netns = makeNetns(t, "steer");
  const steered = steerConnections(netns.path);
  const server = createServer((socket) => socket.end(`${socket.localAddress} ${socket.localPort}`));
  await new Promise<void>((resolve) => server.listen({ fd: steered.listening }, resolve));
  t.teardown(() => server.close());
  t.is(await netns.answer("127.0.0.1", 80), "::ffff:127.0.0.1 80");
  t.is(await netns.answer("127.1.2.3", 65535), "::ffff:127.1.2.3 65535");
  t.is(await netns.answer("::1", 8080), "::1 8080");
  steered.stop();
  t.regex(await netns.answer("127.0.0.1", 80), /refused/);
});

test("a namespace that is not there is named", (t) => {
  t.throws(() => steerConnections("/run/netns/no-such"), { message: /netns \/run\/netns\/no-such/ });
});

test("a socket that is closed takes nothing any more", async (t) => {
  const netns = makeNetns(t, "steer-close");
  const steered = steerConnections(netns.path);
  closeSync(steered.listening);
  t.regex(await netns.answer("127.0.0.1", 80), /refused/);
  steered.stop();
});

function makeNetns(t: ExecutionContext, prefix: string) {
  const name = `${prefix}-${process.pid}`;
  execFileSync("ip", ["netns", "add", name]);
  t.teardown(() => execFileSync("ip", ["netns", "delete", name]));
  execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  /** What a server in the namespace says, or why there is none. */
  const answer = (host: string, port: number): Promise<string> => {
    const read = `exec 3<>/dev/tcp/${host}/${port} && cat <&3`;
    return new Promise((resolve) => {
      execFile("ip", ["netns", "exec", name, "bash", "-c", read], (error, stdout, stderr) =>
        resolve(error === null ? stdout : stderr),
      );
    });
  };
  return { path: `/run/netns/${name}`, answer };
}
