import test from "ava";
import { codeOf } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { type AcceleratorProbe, chooseAccelerator } from "./accelerator.ts";

const INTEL = "processor\t: 0\nflags\t\t: fpu vme vmx ssse3\nvmx flags\t: vnmi\n";
const AMD = "processor\t: 0\nflags\t\t: fpu svm\n";
const NESTED = "processor\t: 0\nmodel name\t: vmx svm Inside\nflags\t\t: fpu vme hypervisor avx512_vmxx\n";

const probe = (cpuinfo: string, opens = true): AcceleratorProbe => ({
  cpuinfo: () => cpuinfo,
  openKvm() {
    if (!opens) throw new Error("ENOENT: no such file or directory");
  },
});

test("auto takes KVM where the device opens and the CPU shows virtualization", (t) => {
  t.is(chooseAccelerator("auto", probe(INTEL)), "kvm");
  t.is(chooseAccelerator("auto", probe(AMD)), "kvm");
  t.is(chooseAccelerator("auto", probe(NESTED)), "tcg");
  t.is(chooseAccelerator("auto", probe(INTEL, false)), "tcg");
  t.is(chooseAccelerator("auto", probe("")), "tcg");
});

test("tcg needs no probe", (t) => {
  t.is(chooseAccelerator("tcg", { cpuinfo: () => t.fail() as never, openKvm: () => t.fail() }), "tcg");
});

test("forced kvm that cannot work says why and the way out", (t) => {
  const error = t.throws(() => chooseAccelerator("kvm", probe(NESTED)));
  t.regex(
    error.message,
    /^cannot use accelerator kvm: the CPU shows neither vmx nor svm; set hypervisor\.qemu\./,
  );
  t.is(codeOf(error), Code.FAILED_PRECONDITION);
  t.regex(t.throws(() => chooseAccelerator("kvm", probe(INTEL, false))).message, /\/dev\/kvm does not open/);
  t.is(chooseAccelerator("kvm", probe(INTEL)), "kvm");
});
