// Needs root: makes network namespaces. Runs the command as an operator does.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { checkRequirements } from "../../network/check/check.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import type { LinkKind } from "../../sys/netlink/create-link.ts";
import { createLink } from "../../sys/netlink/create-link.ts";

const directory = mkdtempSync(join(tmpdir(), "tapir-check-"));
test.after.always(() => rmSync(directory, { recursive: true }));

interface Answer {
  readonly code: number;
  readonly stdout: string;
}

let files = 0;
function check(toml: string, before: readonly string[] = [], more: readonly string[] = []): Promise<Answer> {
  const TAPIR_CONFIG = join(directory, `${++files}.toml`);
  writeFileSync(TAPIR_CONFIG, toml);
  const main = join(import.meta.dirname, "../main.ts");
  const [command = "", ...args] = [...before, process.execPath, main, "check", "network", ...more];
  return new Promise((resolve) => {
    execFile(command, args, { env: { ...process.env, TAPIR_CONFIG } }, (error, stdout) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout }),
    );
  });
}

test("what the configured model needs is made, and is there", async (t) => {
  const two = "[hypervisor.qemu]\ndefault_vcpus = 2\ndisable_vhost_net = true\n";
  const { code, stdout } = await check(two, [], ["--json"]);
  t.is(code, 0, stdout);
  const { model, requirements } = JSON.parse(stdout) as {
    model: string;
    requirements: { name: string; there: boolean }[];
  };
  t.is(model, "tcfilter");
  t.deepEqual(
    requirements.filter(({ there }) => there).map(({ name }) => name),
    ["veth", "tap", "tap with 2 queues", "ingress qdisc", "u32 filter with mirred", "IPv6"],
  );
});

test("limits need a token bucket; macvtap one that frames are redirected through", async (t) => {
  const limits = "rx_rate_limiter_max_rate = 1000000\n";
  const { stdout } = await check(`[network]\n${limits}`);
  t.regex(stdout, /^ {2}ok {7}token bucket$/m);
  t.notRegex(stdout, /ifb/);
  const macvtap = await check(`[network]\ninternetworking_model = "macvtap"\n${limits}`);
  t.is(macvtap.code, 0, macvtap.stdout);
  for (const name of ["macvtap", "token bucket", "ifb", "ingress qdisc", "u32 filter with mirred"])
    t.regex(macvtap.stdout, new RegExp(`^  ok       ${name}$`, "m"));
});

test("a model without NICs needs nothing", async (t) => {
  const { code, stdout } = await check('[network]\ninternetworking_model = "none"\n');
  t.is(code, 0);
  t.is(stdout, 'this kernel does what internetworking_model "none" needs\n');
});

test("a node without tun: the tap is named, with the way out", async (t) => {
  const covered = 'mount --bind /dev/null /dev/net/tun && exec "$@"';
  const { code, stdout } = await check("", ["unshare", "--mount", "sh", "-c", covered, "sh"]);
  t.is(code, 1);
  t.regex(
    stdout,
    /^ {2}MISSING {2}tap: what QEMU holds of a pod's NIC\n +cannot open tap .*\n.*modprobe tun/m,
  );
  t.regex(stdout, /^ {2}ok {7}ingress qdisc$/m, "the others are tried all the same");
  t.regex(stdout, /^1 missing for internetworking_model "tcfilter"$/m);
});

test("without the right to change networks everything is missing, and why is said", async (t) => {
  const { code, stdout } = await check("", ["setpriv", "--bounding-set=-net_admin"]);
  t.is(code, 1);
  t.regex(stdout, /MISSING {2}veth: .*\n.*it is not allowed here/);
  t.regex(stdout, /MISSING {2}ingress qdisc: /);
});

test("what a kernel does not know is told from what went wrong", async (t) => {
  const unknown = {
    name: "nonsense",
    purpose: "nothing",
    wayOut: "none",
    attempt: ({ socket }: Parameters<Parameters<typeof checkRequirements>[0][number]["attempt"]>[0]) =>
      createLink(
        socket,
        { name: "x", what: { kind: "no-such-kind" } as unknown as LinkKind },
        deadlineIn(60_000, "make nonsense"),
      ),
  };
  const [finding] = await checkRequirements([unknown], deadlineIn(10_000, "check"));
  t.regex(finding?.failure ?? "", /cannot make no-such-kind x: .*neither built in nor as a module/);
});
