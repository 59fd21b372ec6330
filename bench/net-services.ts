import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, writeCpio } from "../guest/cpio.ts";

/** What listens in a pod of bench:net, with and without VM: TCP servers of busybox, a process for each connection. */
export const PORTS = {
  ...{ sink: 5001, echo: 5002, source: 5005, counters: 5004, nothing: 9 },
  /** Of the VM that asks. */
  orders: 5010,
} as const;

const SCRIPTS = {
  sink: "exec busybox cat > /dev/null",
  echo: "exec busybox cat",
  source: "exec busybox cat /dev/zero",
  counters: "exec busybox cat /proc/net/dev",
} as const;

type Service = keyof typeof SCRIPTS;
const NAMES = Object.keys(SCRIPTS) as Service[];

/** Lines of a shell script that starts all of them; the scripts lie in `folder`. */
export function serveLines(folder: string): string {
  return NAMES.map((name) => `busybox nc -ll -p ${PORTS[name]} -e ${folder}/${name} &`).join("\n");
}

/** Puts the scripts and a busybox of that path into `folder`. */
export function writeServices(folder: string, busybox: string): void {
  mkdirSync(folder, { recursive: true });
  symlinkSync(busybox, join(folder, "busybox"));
  for (const name of NAMES) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${SCRIPTS[name]}\n`);
    chmodSync(join(folder, name), 0o755);
  }
}

/** A NIC's addresses follow from the last byte of its MAC. */
const INIT = `#!/bin/sh
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -a $(cat /modules)
busybox ip link set lo up
# Each NIC answers for its own addresses only, or whoever is asked first would have all the traffic.
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
echo 600000 > /proc/sys/net/ipv4/icmp_ratelimit
for nic in /sys/class/net/eth*; do
  mac=$(busybox cat $nic/address)
  net=$((0x\${mac##*:}))
  busybox ip addr add 10.50.$net.2/24 dev \${nic##*/}
  busybox ip link set \${nic##*/} up
done
${serveLines("/bench")}
busybox cat /proc/net/dev /proc/interrupts > /dev/hvc0
while :; do busybox sleep 1000; done
`;

/** What an initramfs with busybox needs to become a pod of bench:net; \`rdinit=/bench/init\`. */
export function benchCpio(): Buffer {
  const file = (path: string, text: string): CpioEntry => ({
    ...{ kind: "file", path, mode: 0o755 },
    content: Buffer.from(text),
  });
  return writeCpio([
    { kind: "directory", path: "bench" },
    file("bench/init", INIT),
    ...NAMES.map((name) => file(`bench/${name}`, `#!/bin/sh\nexport PATH=/bin\n${SCRIPTS[name]}\n`)),
  ]);
}
