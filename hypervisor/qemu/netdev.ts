/** QEMU id of the netdev behind a NIC. */
export function netdevOf(nic: string): string {
  return `${nic}-net`;
}
