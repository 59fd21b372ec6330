import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inNetns } from "../sys/netns.ts";
import { type NodeOptions, startNode, type TestNode } from "../test/harness/node.ts";

/** Pods' guests answer with this TTL; the kernel that answers in the netns before they do, with its usual 64. */
export const GUEST_TTL = 63;

/** A node whose configuration changes between pods. */
export interface BenchNode extends TestNode {
  /** What the next pods are configured with, as a drop-in of configuration.toml. */
  configure(toml: string): void;
}

/** A private node; the first answer of a guest on it can be told from its netns's and comes without ARP's pauses. */
export async function startBenchNode(options: NodeOptions = {}): Promise<BenchNode> {
  const node = await startNode({
    ...options,
    configuration: `[hypervisor.qemu]\nkernel_params = "sysctl.net.ipv4.ip_default_ttl=${GUEST_TTL}"\n`,
  });
  inNetns(node.netns, () => writeFileSync("/proc/sys/net/ipv4/neigh/tapir0/retrans_time_ms", "20"));
  const dropIn = join(node.directory, "config.d/60-arm.toml");
  mkdirSync(join(node.directory, "config.d"), { recursive: true });
  return { ...node, configure: (toml) => writeFileSync(dropIn, toml) };
}
