import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unmount } from "../sys/mount.ts";
import { inNetns } from "../sys/netns.ts";
import { type NodeOptions, startNode, type TestNode } from "../test/harness/node.ts";

/** Pods' guests answer with this TTL; the kernel that answers in the netns before they do, with its usual 64. */
export const GUEST_TTL = 63;

/** How a pod's VM comes to be, as the benchmarks compare it: lines of the section [factory]. */
export const FACTORY = {
  cold: "template = false",
  warm: 'attach = "warm"',
  hot: 'attach = "hot"',
  copy: 'memory = "copy"',
  cow: 'memory = "cow"',
  cache: "cache_size = 1",
} as const;

/** A node whose configuration changes between pods. */
export interface BenchNode extends TestNode {
  /** Where its templates are: its own. */
  readonly factory: string;
  /** What the next pods get. */
  configure(...factory: readonly string[]): void;
}

/** A private node; the first answer of a guest on it can be told from its netns's and comes without ARP's pauses. */
export async function startBenchNode(options: NodeOptions = {}): Promise<BenchNode> {
  const node = await startNode(options);
  inNetns(node.netns, () => writeFileSync("/proc/sys/net/ipv4/neigh/tapir0/retrans_time_ms", "20"));
  const dropIns = join(node.directory, "config.d");
  mkdirSync(dropIns, { recursive: true });
  const factory = `${node.stateDirectory}-factory`;
  const configure = (...lines: readonly string[]): void => {
    const text = [
      "[hypervisor.qemu]",
      `kernel_params = "sysctl.net.ipv4.ip_default_ttl=${GUEST_TTL}"`,
      "[factory]",
      `path = "${factory}"`,
      `cache_socket = "${node.stateDirectory}/cache.sock"`,
      ...lines,
    ];
    writeFileSync(join(dropIns, "60-bench.toml"), `${text.join("\n")}\n`);
  };
  configure();
  const dispose = async (): Promise<void> => {
    await node[Symbol.asyncDispose]();
    // Where /run is no tmpfs, the factory mounted one.
    unmount(factory);
    for (const path of [factory, `${factory}.lock`]) rmSync(path, { recursive: true, force: true });
  };
  disposeOnSignal(dispose);
  return { ...node, factory, configure, [Symbol.asyncDispose]: dispose };
}

/** Whoever loses patience finds the machine as it was. */
function disposeOnSignal(dispose: () => Promise<void>): void {
  const end = (code: number) => (): void =>
    void dispose().then(
      () => process.exit(code),
      () => process.exit(code),
    );
  process.once("SIGINT", end(130)).once("SIGTERM", end(143));
}
