import type { BenchNode } from "./bench-node.ts";
import { listProcesses, machineMib, memoryOf, type RunningProcess } from "./pss.ts";

/** What a node's pods take together, in MiB. PSS by program; the rest is what the machine says. */
export interface PodsMemory {
  readonly shim: number;
  readonly qemu: number;
  readonly virtiofsd: number;
  /** Of the three above and whatever else runs below the shims. */
  readonly pss: number;
  /** Memory files and tmpfs of the whole machine: what QEMU does not map counts here alone. */
  readonly shmem: number;
  /** Of the whole machine. */
  readonly available: number;
}

/** Sums up the processes of a node's pods: its shims and everything below them. */
export function measurePods(node: BenchNode): PodsMemory {
  const all = listProcesses();
  const shims = all.filter(
    ({ argv }) =>
      argv.some((word) => /containerd-shim-(tapir-v2\.cjs|runc-v2)$/.test(word)) &&
      argv.includes(node.containerd.socket),
  );
  const pss = (of: readonly RunningProcess[]): number =>
    of.reduce((sum, { pid }) => sum + memoryOf(pid).pssMib, 0);
  const children = shims.flatMap(({ pid }) => below(all, pid)).filter((one) => !shims.includes(one));
  const named = (name: string): RunningProcess[] =>
    children.filter(({ argv }) => argv[0]?.includes(name) === true);
  const others = children.filter(({ argv }) => !/qemu-system|virtiofsd|\/pause$/.test(argv[0] ?? ""));
  const parts = { shim: pss(shims), qemu: pss(named("qemu-system")), virtiofsd: pss(named("virtiofsd")) };
  return {
    ...parts,
    pss: parts.shim + parts.qemu + parts.virtiofsd + pss(others) + pss(named("/pause")),
    shmem: machineMib("Shmem"),
    available: machineMib("MemAvailable"),
  };
}

function below(all: readonly RunningProcess[], parent: number): RunningProcess[] {
  const children = all.filter((one) => one.parent === parent);
  return children.flatMap((child) => [child, ...below(all, child.pid)]);
}
