import test from "ava";
import { findingsOf } from "../../cli/check/security.ts";
import { sandboxDirectory } from "../../shim/state/directory.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { useNode } from "../harness/fixture.ts";
import { workloads } from "../harness/workload.ts";

const node = useNode(test);

test("a pod with a container: QEMU and virtiofsd are confined, state is for root only", async (t) => {
  const deadline = deadlineIn(120_000, "check a pod's security");
  const pod = await workloads(node()).pod("secure", deadline);
  await pod.start("one", { command: ["sleep", "1000"] }, deadline);
  const findings = findingsOf(sandboxDirectory(node().stateDirectory, "k8s.io", pod.id));
  for (const { subject, property, value } of findings) t.log(`${subject}: ${property}: ${value}`);
  t.deepEqual(
    findings.filter(({ right }) => !right),
    [],
  );
  for (const program of ["qemu-system", "virtiofsd"]) {
    t.true(
      findings.some(({ subject }) => subject.startsWith(program)),
      program,
    );
  }
});
