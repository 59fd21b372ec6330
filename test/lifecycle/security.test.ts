import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { Finding } from "../../cli/check/security.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { BUILT, built } from "../harness/project.ts";
import { run } from "../harness/run.ts";
import { type TestPod, workloads } from "../harness/workload.ts";

const node = useNode(test);
const soon = () => deadlineIn(120_000, "check a pod's security");
let pod: TestPod;

/** The operator's command, as he runs it. */
async function checked(): Promise<{ exitCode: number; findings: Finding[] }> {
  const { exitCode, stdout, stderr } = await run({
    command: join(built(BUILT.shim), "tapir"),
    args: ["check", "security", "--json", pod.id],
    env: { ...process.env, TAPIR_CONFIG: join(node().directory, "configuration.toml") },
    deadline: soon(),
  });
  if (stdout === "") throw new Error(stderr);
  return { exitCode, findings: JSON.parse(stdout) as Finding[] };
}

test.serial("a pod with a container: QEMU and virtiofsd are confined, state is for root only", async (t) => {
  pod = await workloads(node()).pod("secure", soon());
  await pod.start("one", { command: ["sleep", "1000"] }, soon());
  const { exitCode, findings } = await checked();
  for (const { subject, property, value } of findings) t.log(`${subject}: ${property}: ${value}`);
  t.deepEqual(
    findings.filter(({ right }) => !right),
    [],
  );
  t.is(exitCode, 0);
  const properties = (program: string): string[] =>
    findings.filter(({ subject }) => subject.startsWith(program)).map(({ property }) => property);
  for (const program of ["qemu-system", "virtiofsd"])
    for (const property of ["descriptors", "environment", "open files at most", "supplementary groups"])
      t.true(properties(program).includes(property), `${program}: ${property}`);
  const joined = findings.find(({ property }) => property === "cgroups of the pod");
  t.regex(joined?.value ?? "", /^([1-9]\d*) of \1$/);
});

test.serial(
  "a process that is not confined is named, property by property, and ends it with 1",
  async (t) => {
    const ledger = join(sandboxDirectory(node().stateDirectory, "k8s.io", pod.id), "ledger");
    const before = readFileSync(ledger, "utf8");
    const token = randomUUID();
    const child = spawn("sh", ["-c", "sleep 1000 | sleep 1000"], {
      detached: true,
      stdio: "ignore",
      env: { PATH: process.env.PATH, TAPIR_PROCESS_TOKEN: token },
    });
    t.teardown(() => {
      process.kill(-(child.pid ?? Number.NaN), "SIGKILL");
      writeFileSync(ledger, before);
    });
    const entry = { id: 1_000_000, step: "hypervisor.spawn", undo: { kind: "process", token } };
    appendFileSync(ledger, `${JSON.stringify(entry)}\n`);
    const { exitCode, findings } = await checked();
    t.is(exitCode, 1);
    const wrong = findings.filter(({ right }) => !right);
    t.deepEqual(
      wrong.filter(({ subject }) => !/^(sh|sleep) \d+$/.test(subject)),
      [],
    );
    const named = wrong.filter(({ subject }) => subject.startsWith("sleep")).map(({ property }) => property);
    for (const property of [
      ...[
        "user",
        "capabilities",
        "threads with filtered system calls",
        "threads at most",
        "no new privileges",
      ],
      ...["own namespaces", "sees in /", "sees in /dev", "cgroups of the pod", "environment", "descriptors"],
    ])
      t.true(named.includes(property), `${property} in ${named.join(", ")}`);
  },
);
