/** Loaded by the initramfs, before the root image is mounted. */
export const BOOT_MODULES = [
  // The transport and the console first: whatever fails later can say so.
  "virtio_pci",
  "virtio_console",
  // The root image: persistent memory with DAX, or a disk.
  "nd_pmem",
  "virtio_pmem",
  "virtio_blk",
  "erofs",
  // There is no udev: drivers of devices that are plugged in later have to be there already.
  "virtio_net",
  "virtio_rng",
  "virtio_mem",
] as const;

/**
 * Shipped in the root image, loaded when something asks for them: the agent by name, the kernel through modprobe
 * when a container makes a link, a table or a mount of that kind. Names, or folders below `kernel/`.
 */
export const ROOT_MODULES = [
  "overlay",
  "virtiofs",
  "virtio_balloon",
  "net/8021q/",
  "net/bridge/",
  "net/ipv4/",
  "net/ipv6/",
  "net/netfilter/",
  "net/sched/",
  // Devices of the node that a pod is given, loaded by the agent.
  "drivers/net/ethernet/",
  "drivers/net/vxlan/",
  "drivers/net/ipvlan/",
  "drivers/net/wireguard/",
  "veth",
  "macvlan",
  "macvtap",
  "dummy",
  "ifb",
  "tun",
  "vrf",
  "geneve",
  "ext4",
  "xfs",
  "loop",
  "nfsv4",
  "tcp_diag",
  "inet_diag",
  "unix_diag",
] as const;
