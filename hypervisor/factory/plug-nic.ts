import type { Deadline } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Vm, VmNic } from "../hypervisor.ts";

const failures = new WeakSet<object>();
/** What may be the guest's doing, or the machine's: QEMU has ended, or does not answer. */
const NOT_THE_NIC = new Set<Code>([Code.UNAVAILABLE, Code.ABORTED, Code.DEADLINE_EXCEEDED]);

/** Plugs a pod's NIC into a restored VM. `isNicFailure` knows its errors again. */
export async function plugNic(vm: Vm, nic: VmNic, deadline: Deadline): Promise<void> {
  try {
    await vm.nics.attach(nic, deadline);
  } catch (error) {
    if (error instanceof Error && !NOT_THE_NIC.has(codeOf(error))) failures.add(error);
    throw error;
  }
}

/** Whether `thrown` says, or was caused by an error that says, that a NIC could not be plugged in: any template would do no better. */
export function isNicFailure(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  return failures.has(thrown) || isNicFailure(thrown.cause);
}
