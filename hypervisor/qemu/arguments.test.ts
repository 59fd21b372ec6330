import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { VmSpec } from "../hypervisor.ts";
import { qemuArguments } from "./arguments.ts";
import { option } from "./option.ts";
import { MAX_ROOT_PORTS } from "./topology.ts";

const spec: VmSpec = {
  name: "pod1",
  directory: "/run/tapir/pod1",
  qemu: "/usr/bin/qemu-system-x86_64",
  kernel: "/guest/vmlinuz",
  initramfs: "/guest/initramfs.cpio",
  image: "/guest/root.erofs",
  imageDriver: "virtio-pmem",
  accelerator: "tcg",
  vcpus: 1,
  memoryMiB: 256,
  rootPorts: 1,
  kernelParameters: [],
  nics: [],
};
const context = {
  agentFd: 12,
  qmpFd: 20,
  consoleFd: 21,
  imageBytes: 142 * 1024 * 1024,
};
const NIC = { id: "eth0", mac: "02:00:00:00:00:01", tapFds: [30], vhostFds: [] };

/** The values that follow `name` on the command line. */
function valuesOf(argv: readonly string[], name: string): string[] {
  return argv.filter((_, index) => argv[index - 1] === name);
}

test("golden: one vCPU under TCG, the image by DAX, one NIC, one free port", (t) => {
  const { argv, inherit, topology } = qemuArguments({ ...spec, nics: [NIC] }, context);
  t.deepEqual(argv, [
    ...["-name", "tapir-pod1,debug-threads=on"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-no-reboot"],
    "-machine",
    "q35,memory-backend=ram,smm=off,usb=off,vmport=off,hpet=off,sata=off,smbus=off,i8042=off,dump-guest-core=off",
    ...["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,la57=off,erms=off,fsrm=off"],
    ...["-smp", "1,sockets=1,cores=1,threads=1"],
    ...["-rtc", "base=utc,clock=host,driftfix=none"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-m", "256M,slots=1,maxmem=398M"],
    ...["-object", "memory-backend-memfd,id=ram,size=256M,share=on"],
    ...["-kernel", "/guest/vmlinuz", "-initrd", "/guest/initramfs.cpio", "-append"],
    "console=hvc0 earlyprintk=ttyS0 quiet panic=-1 reboot=t net.ifnames=0 swiotlb=1 " +
      "memhp_default_state=online memory_hotplug.online_policy=auto-movable cryptomgr.notests " +
      "random.trust_cpu=on no_timer_check tsc=reliable rcupdate.rcu_expedited=1",
    ...["-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control"],
    ...["-chardev", "socket,id=console,fd=4,mux=on", "-serial", "chardev:console"],
    ...["-chardev", "socket,id=agent,fd=5,server=on,wait=off"],
    "-device",
    "virtio-serial-pci,id=serial,bus=pcie.0,addr=0x1,max_ports=4,disable-legacy=on,disable-modern=off",
    ...["-device", "virtconsole,id=console,bus=serial.0,nr=0,chardev=console"],
    ...["-device", "virtserialport,id=agent,bus=serial.0,nr=1,chardev=agent,name=org.tapir.agent.0"],
    ...[
      "-object",
      "memory-backend-file,id=image,mem-path=/guest/root.erofs,size=148897792,share=on,readonly=on",
    ],
    ...["-device", "virtio-pmem-pci,id=root,bus=pcie.0,addr=0x2,memdev=image"],
    ...["-object", "rng-builtin,id=rng"],
    ...[
      "-device",
      "virtio-rng-pci,id=entropy,bus=pcie.0,addr=0x3,rng=rng,disable-legacy=on,disable-modern=off",
    ],
    ...["-device", "pvpanic-pci,id=panic,bus=pcie.0,addr=0x4"],
    ...["-device", "pcie-root-port,id=rp0,bus=pcie.0,addr=0x5,chassis=1,slot=1,io-reserve=0"],
    ...["-device", "pcie-root-port,id=rp1,bus=pcie.0,addr=0x6,chassis=2,slot=2,io-reserve=0"],
    ...["-netdev", "tap,id=eth0-net,fds=6"],
    "-device",
    "virtio-net-pci,id=eth0,bus=rp0,addr=0x0,netdev=eth0-net,mac=02:00:00:00:00:01,romfile=,guest_announce=off,disable-legacy=on,disable-modern=off",
  ]);
  t.deepEqual(inherit, [20, 21, 12, 30]);
  t.deepEqual(topology.ports, [
    { name: "rp0", device: "eth0" },
    { name: "rp1", device: undefined },
  ]);
});

test("KVM: the host's CPU, several vCPUs, queues with vhost, numbered as QEMU inherits them", (t) => {
  const nics = [
    { ...NIC, tapFds: [30, 31], vhostFds: [40, 41] },
    { ...NIC, id: "net1", mac: "02:00:00:00:00:02", tapFds: [32, 33], vhostFds: [42, 43] },
  ];
  const { argv, inherit } = qemuArguments({ ...spec, accelerator: "kvm", vcpus: 2, nics }, context);
  t.deepEqual(valuesOf(argv, "-accel"), ["kvm"]);
  t.deepEqual(valuesOf(argv, "-cpu"), ["host"]);
  t.deepEqual(valuesOf(argv, "-smp"), ["2,sockets=1,cores=2,threads=1"]);
  t.deepEqual(valuesOf(argv, "-rtc"), ["base=utc,clock=host,driftfix=slew"]);
  t.deepEqual(valuesOf(argv, "-netdev"), [
    "tap,id=eth0-net,fds=6:7,vhost=on,vhostfds=8:9",
    "tap,id=net1-net,fds=10:11,vhost=on,vhostfds=12:13",
  ]);
  t.deepEqual(inherit, [20, 21, 12, 30, 31, 40, 41, 32, 33, 42, 43]);
  t.regex(
    argv.at(-1) ?? "",
    /^virtio-net-pci,id=net1,bus=rp1,.*,romfile=,guest_announce=off,mq=on,vectors=6,/,
  );
});

test("the image as a disk needs no room for memory", (t) => {
  const { argv } = qemuArguments({ ...spec, imageDriver: "virtio-blk", image: "/guest/a,b" }, context);
  t.deepEqual(valuesOf(argv, "-m"), ["256M"]);
  t.deepEqual(valuesOf(argv, "-blockdev"), [
    "driver=raw,node-name=image,read-only=on,file.driver=file,file.filename=/guest/a,,b,file.locking=off",
  ]);
  t.true(
    valuesOf(argv, "-device").some((device) =>
      /^virtio-blk-pci,.*drive=image,serial=tapir-root,/.test(device),
    ),
  );
});

test("a restored guest, which never boots, costs no memory for what boots it", (t) => {
  const { argv: booted } = qemuArguments(spec, context);
  const { argv: restored } = qemuArguments(spec, { ...context, incoming: true });
  const boot = ["-kernel", "-initrd", "-append"];
  t.true(boot.every((name) => booted.includes(name)) && !booted.includes("-incoming"));
  t.true(!boot.some((name) => restored.includes(name)) && restored.includes("-incoming"));
  t.true(restored.includes("-no-reboot"));
});

test("translated code: a restored guest's is bounded to less than a boot's", (t) => {
  const bound = (
    incoming: boolean,
    accelerator: VmSpec["accelerator"],
    more: Partial<VmSpec> = {},
  ): string[] =>
    valuesOf(qemuArguments({ ...spec, accelerator, ...more }, { ...context, incoming }).argv, "-accel");
  t.deepEqual(bound(false, "tcg"), ["tcg,thread=multi,tb-size=256"]);
  t.deepEqual(bound(true, "tcg"), ["tcg,thread=multi,tb-size=32"]);
  t.deepEqual(bound(true, "tcg", { restoredTbSizeMiB: 64 }), ["tcg,thread=multi,tb-size=64"]);
  t.deepEqual(bound(false, "tcg", { restoredTbSizeMiB: 64 }), ["tcg,thread=multi,tb-size=256"]);
  t.deepEqual(bound(true, "kvm"), ["kvm"]);
});

test("the configuration's kernel parameters come last", (t) => {
  const { argv } = qemuArguments({ ...spec, kernelParameters: ["debug", "quiet=0"] }, context);
  t.true(valuesOf(argv, "-append")[0]?.endsWith(" debug quiet=0"));
});

test("the same input gives the same command line", (t) => {
  t.deepEqual(qemuArguments(spec, context), qemuArguments(spec, context));
});

test("where a machine has no room for all free ports, there are fewer of them; more NICs than fit are refused", (t) => {
  const withNics = (count: number) => ({
    ...spec,
    rootPorts: MAX_ROOT_PORTS - 1,
    nics: Array.from({ length: count }, (_, at) => ({ ...NIC, id: `eth${at}` })),
  });
  const free = (count: number): number =>
    qemuArguments(withNics(count), context).topology.ports.filter(({ device }) => device === undefined)
      .length;
  t.deepEqual([0, 1, 2, 10, MAX_ROOT_PORTS].map(free), [25, 25, 24, 16, 0]);
  t.is(codeOf(t.throws(() => qemuArguments(withNics(MAX_ROOT_PORTS + 1), context))), Code.INVALID_ARGUMENT);
});

test("options: booleans, left out values, commas", (t) => {
  t.is(option("tap", { a: true, b: false, c: undefined, d: 0, e: "" }), "tap,a=on,b=off,d=0,e=");
  t.is(option("x,y", { path: "a,,b" }), "x,,y,path=a,,,,b");
});

test("CPUs and memory that may come later have their room, in whole blocks and one more", (t) => {
  const sizes = (most: VmSpec["most"], imageDriver: VmSpec["imageDriver"] = "virtio-pmem") => {
    const { argv } = qemuArguments({ ...spec, imageDriver, most }, context);
    return [...valuesOf(argv, "-smp"), ...valuesOf(argv, "-m")];
  };
  t.deepEqual(sizes({ vcpus: 4, memoryMiB: 1024 }), [
    "1,maxcpus=4,sockets=1,cores=4,threads=1",
    `256M,slots=1,maxmem=${256 + 142 + 768 + 128}M`,
  ]);
  t.deepEqual(sizes({ vcpus: 1, memoryMiB: 256 + 200 }, "virtio-blk"), [
    "1,sockets=1,cores=1,threads=1",
    `256M,slots=1,maxmem=${256 + 128 + 128}M`,
  ]);
  t.deepEqual(sizes({ vcpus: 1, memoryMiB: 300 }), sizes(undefined));
});
