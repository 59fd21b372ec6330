// Requires root, containerd, runc, CNI plugins, QEMU and what the set-up puts below build/.
// What an operator can get wrong: each is refused with a sentence that names it, and leaves nothing.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";

const node = useNode(test);

interface Case {
  readonly what: string;
  /** A drop-in of the node's configuration; `DIR` stands for a directory of the test. */
  readonly configuration: string;
  readonly message: RegExp;
}

const cases: readonly Case[] = [
  {
    what: "a file that is no TOML",
    configuration: "[hypervisor.qemu\n",
    message: /50-bad\.toml.*line 1/s,
  },
  {
    what: "an unknown key",
    configuration: "[hypervisor.qemu]\ndefault_vcpu = 1\n",
    message: /hypervisor\.qemu\.default_vcpu.*did you mean.*default_vcpus/s,
  },
  {
    what: "a value of the wrong type",
    configuration: '[hypervisor.qemu]\ndefault_memory_mib = "512M"\n',
    message: /hypervisor\.qemu\.default_memory_mib: expected an integer.*512M/s,
  },
  {
    // That of the agent has room; the longer one of the management API has not.
    what: "a state directory too deep for a socket",
    configuration: '[runtime]\nstate_dir = "DIR/deeps"\n',
    message: /InvalidArgument.*management\.sock: the path has 1\d\d bytes.*set a shorter runtime\.state_dir/s,
  },
  {
    what: "a kernel that is not there",
    configuration: '[hypervisor.qemu]\nkernel = "/none/vmlinuz"\n',
    message: /NotFound.*hypervisor\.qemu\.kernel.*\/none\/vmlinuz.*does not exist/s,
  },
  {
    what: "an image that is not there",
    configuration: '[hypervisor.qemu]\nimage = "/none/root.erofs"\n',
    message: /NotFound.*hypervisor\.qemu\.image.*\/none\/root\.erofs.*does not exist/s,
  },
  {
    what: "a QEMU that is not there",
    configuration: '[hypervisor.qemu]\npath = "/none/qemu"\n',
    message: /NotFound.*hypervisor\.qemu\.path.*\/none\/qemu.*does not exist/s,
  },
  {
    what: "a QEMU that exits at once",
    configuration: '[hypervisor.qemu]\npath = "DIR/broken-qemu"\n',
    message: /it exited with code 3.*no such machine today/s,
  },
  {
    what: "a guest that never answers",
    configuration:
      '[hypervisor.qemu]\npath = "DIR/paused-qemu"\ntcg_timeout_factor = 1\n[agent]\ndial_timeout_seconds = 2\n',
    message: /DeadlineExceeded.*reach the agent.*not done within 2000 ms.*console/s,
  },
];

for (const { what, configuration, message } of cases) {
  test.serial(`${what} is refused and leaves nothing`, async (t) => {
    const { crictl, directory, podConfig, stateDirectory } = node();
    writePrograms(directory);
    const dropIns = join(directory, "config.d");
    mkdirSync(dropIns, { recursive: true });
    t.teardown(() => rmSync(join(dropIns, "50-bad.toml")));
    writeFileSync(join(dropIns, "50-bad.toml"), configuration.replaceAll("DIR", directory));
    const deadline = deadlineIn(30_000, "start a pod");
    await t.throwsAsync(crictl.runp(podConfig("bad"), "tapir", deadline), { message });
    t.deepEqual(readdirSync(join(stateDirectory, "k8s.io")), []);
    t.false(existsSync(join(directory, "deeps")));
    t.deepEqual(await crictl.pods(deadline), []);
  });
}

function writePrograms(directory: string): void {
  const program = (name: string, text: string): void =>
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program("broken-qemu", 'echo "no such machine today" >&2; exit 3');
  program("paused-qemu", 'exec /usr/bin/qemu-system-x86_64 -S "$@"');
}
