import { closeSync, fchownSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../../sys/deadline.ts";
import { wrapError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import { hasLedger, type Ledger, openLedger, replayLedger } from "../../sys/ledger.ts";
import { allocatedBytes, punchZeroPages } from "../../sys/memory-file.ts";
import type { VmPlan } from "../hypervisor.ts";
import { exitError } from "../qemu/exit.ts";
import { createQemu } from "../qemu/qemu.ts";
import type { QemuVm } from "../qemu/vm.ts";
import { filesOf, type KeyParts } from "./key.ts";
import type { Manifest } from "./manifest.ts";
import { saveState } from "./migrate.ts";
import { openPlaceholder } from "./placeholder.ts";
import { type SameMoment, stopGuest } from "./stop-guest.ts";
import { MEMORY_FILE, publishTemplate, STATE_FILE, sha256 } from "./store.ts";

/**
 * Brings a guest that just boots to where it is saved: its agent serves and is idle, nobody is connected, nothing of one
 * pod is in it. Returns one moment on the guest's CLOCK_MONOTONIC and on this process's (hrtime).
 */
export type PrepareGuest = (
  guest: { readonly agentSocket: string; readonly nicMac: string | undefined },
  deadline: Deadline,
) => Promise<SameMoment>;

export interface BuildRequest {
  readonly plan: VmPlan;
  readonly key: string;
  readonly parts: KeyParts;
  /** The factory's directory; its lock is held. */
  readonly store: string;
  readonly prepare: PrepareGuest;
}

/** One build at a time: the lock says so. */
export const WORK = "building";
const MIB = 1024 * 1024;

/** Boots a guest, saves it, publishes it. Leaves nothing behind when it fails, and clears what a killed builder left. */
export async function buildTemplate(request: BuildRequest, deadline: Deadline): Promise<Manifest> {
  const work = join(request.store, WORK);
  if (hasLedger(work)) await replayLedger(work);
  const ledger = openLedger(work);
  try {
    await failpoint("factory.build");
    const manifest = await buildIn(ledger, request, deadline);
    publishTemplate(request.store, work, manifest);
    return manifest;
  } catch (error) {
    throw wrapError(error, { operation: "build", object: `template ${request.key}` });
  } finally {
    await ledger.unwind();
  }
}

async function buildIn(
  ledger: Ledger,
  { plan, key, parts, prepare }: BuildRequest,
  deadline: Deadline,
): Promise<Manifest> {
  const startMs = performance.now();
  const directory = ledger.directory;
  const bytes = plan.memoryMiB * MIB;
  using memory = openFile(join(directory, MEMORY_FILE));
  ftruncateSync(memory.fd, bytes);
  using placeholder = openPlaceholder(plan);
  const spec = {
    ...plan,
    name: "template",
    directory,
    // It is the node's, not that of the pod that happens to need it first.
    cgroups: [],
    nics: placeholder === undefined ? [] : [placeholder.nic],
  };
  const vm = await createQemu().start(spec, ledger, deadline, { memory: { fd: memory.fd, shared: true } });
  const moment = await orItsEnd(
    vm,
    prepare({ agentSocket: vm.agentSocket, nicMac: placeholder?.nic.mac }, deadline),
    deadline,
  );
  const monotonicNanoseconds = await stopGuest(vm, moment, deadline);
  using state = openFile(join(directory, STATE_FILE));
  await saveState(vm.qmp, state.fd, deadline);
  await vm.stop(deadline);
  // While the guest ran it was its QEMU's.
  fchownSync(memory.fd, 0, 0);
  punchZeroPages(memory.fd);
  const content = readFileSync(join(directory, STATE_FILE));
  return {
    key,
    parts,
    files: filesOf(plan),
    qemuVersion: vm.qmp.version,
    createdAt: Date.now(),
    buildMs: Math.round(performance.now() - startMs),
    memory: { bytes, allocatedBytes: allocatedBytes(memory.fd) },
    state: { bytes: content.length, sha256: sha256(content) },
    monotonicNanoseconds: String(monotonicNanoseconds),
  };
}

/** The result of `work`, or why the guest ended before there was one. */
async function orItsEnd<T>(vm: QemuVm, work: Promise<T>, deadline: Deadline): Promise<T> {
  work.catch(() => undefined);
  const ended = vm.exited.then((exit) => {
    throw exitError("the template", exit, vm.consoleTail());
  });
  ended.catch(() => undefined);
  return deadline.race(Promise.race([work, ended]));
}

function openFile(path: string): Disposable & { readonly fd: number } {
  const fd = openSync(path, "wx+", 0o600);
  return { fd, [Symbol.dispose]: () => closeSync(fd) };
}
