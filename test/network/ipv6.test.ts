// Requires root, containerd, CNI plugins, QEMU and what the set-up puts below build/.
// A cluster that has only IPv6: pods have no other address, and their resolver none either.
import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { type AttachPod, assertConnected, startContainer, startPod } from "../attach/pod.ts";
import { useNode } from "../harness/fixture.ts";

const GATEWAY = "fd00:66::1";
/** All that the resolver knows. */
const NAME = "service.test";
const ANSWER = "fd00:66::1234";

const node = useNode(test, {
  cni: (list) => ({
    ...list,
    plugins: list.plugins.map((plugin) =>
      plugin.type === "bridge"
        ? {
            ...plugin,
            ipam: {
              type: "host-local",
              ranges: [[{ subnet: "fd00:66::/64" }]],
              routes: [{ dst: "::/0" }],
            },
          }
        : plugin,
    ),
  }),
});
let pod: AttachPod;

/** Answers the question for the IPv6 address of that name, and every other with nothing (RFC 1035, section 4; RFC 3596). */
const RESOLVER = `
const socket = require("node:dgram").createSocket("udp6");
const labels = "${NAME}".split(".").map((label) => String.fromCharCode(label.length) + label);
const name = Buffer.from(labels.join("") + "\\0", "latin1");
const address = Buffer.from("fd000066000000000000000000001234", "hex");
socket.on("message", (query, { address: to, port }) => {
  const end = query.indexOf(0, 12) + 5;
  const known = query.readUInt16BE(end - 4) === 28 && name.equals(query.subarray(12, end - 4));
  const header = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, known ? 1 : 0, 0, 0, 0, 0])]);
  const answer = Buffer.concat([Buffer.from([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16]), address]);
  socket.send(Buffer.concat([header, query.subarray(12, end), ...(known ? [answer] : [])]), port, to);
});
socket.bind(53, "${GATEWAY}", () => console.log("ready"));
`;

test.serial("the pod starts, with IPv6 addresses only and a resolver of that kind", async (t) => {
  const dns_config = { servers: [GATEWAY] };
  pod = await startPod(node(), "six", {}, deadlineIn(120_000, "start a pod"), { dns_config });
  t.true(pod.addresses.length > 0 && pod.addresses.every((address) => address.includes(":")));
});

test.serial("guest and netns are equal and reach each other", async (t) => {
  await assertConnected(t, node(), pod, { eth0: { node: [GATEWAY], pod: pod.addresses } });
});

test.serial("a container finds a service by its name", async (t) => {
  const runScript = await startContainer(node(), pod, deadlineIn(120_000, "start a container"));
  const args = [`--net=${node().netns}`, process.execPath, "-e", RESOLVER];
  const resolver = spawn("nsenter", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(resolver, "exit");
  t.teardown(async () => {
    resolver.kill();
    await ended;
  });
  await once(resolver.stdout, "data");
  t.regex(await runScript("cat /etc/resolv.conf"), new RegExp(`^nameserver ${GATEWAY}$`, "m"));
  t.regex(await runScript(`nslookup -type=aaaa ${NAME}`), new RegExp(`^Address: ${ANSWER}$`, "m"));
  t.notRegex(await runScript(`nslookup -type=aaaa other.${NAME} || true`), new RegExp(ANSWER));
});
