import test from "ava";
import { deadlineIn } from "../sys/deadline.ts";
import type { ErrnoName } from "../sys/errno.ts";
import { codeOf, reasonOf, systemError } from "../sys/error.ts";
import type { Ledger } from "../sys/ledger.ts";
import type { RouteSocket } from "../sys/netlink/socket.ts";
import { Code } from "../sys/status.ts";
import { ensureIngress } from "./ingress.ts";
import type { PodPlace } from "./model.ts";
import { redirect } from "./redirect.ts";

const eth0 = { index: 2, name: "eth0" };
const tap = { index: 3, name: "tap0_tapir" };
const soon = () => deadlineIn(5000, "test");

/** A place whose kernel refuses every change. */
function refusing(errno: ErrnoName): PodPlace {
  const socket = {
    dump: async () => [],
    request: async () => {
      throw systemError(errno, { operation: "add", object: "it" });
    },
  } as unknown as RouteSocket;
  const ledger = {
    acquire: (_step: string, _entry: unknown, work: (how: unknown) => Promise<unknown>) =>
      work({ amend: () => undefined }),
  } as unknown as Ledger;
  return { netns: "/run/netns/x", netnsInode: 1, socket, ledger };
}

test("a kernel without what the redirect needs: the error says what to load", async (t) => {
  const cases: readonly [(place: PodPlace) => Promise<void>, RegExp][] = [
    [
      (place) => ensureIngress(eth0, place, soon()),
      /ingress qdisc dev eth0: .*; load .*: modprobe sch_ingress /,
    ],
    [
      (place) => redirect(eth0, tap, place, soon()),
      /redirect from eth0 to tap0_tapir: .*; load .*: modprobe cls_u32 act_mirred /,
    ],
  ];
  for (const [work, text] of cases) {
    const missing = await t.throwsAsync(work(refusing("ENOENT")));
    t.is(codeOf(missing), Code.FAILED_PRECONDITION);
    t.regex(reasonOf(missing), text);
    t.notRegex(reasonOf(await t.throwsAsync(work(refusing("EPERM")))), /modprobe/);
  }
});
