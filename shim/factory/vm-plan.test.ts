import test from "ava";
import { freeRootPorts } from "../../hypervisor/factory/cache/key.ts";
import { createTopology, MAX_ROOT_PORTS } from "../../hypervisor/qemu/topology.ts";
import { assemble, schema } from "../config/schema.ts";
import { vmPlan } from "./vm-plan.ts";

test("QEMU has runtime.stop_timeout_seconds to end, stretched where there is no KVM", (t) => {
  const configuration = assemble(
    new Map([
      ["runtime.stop_timeout_seconds", 7],
      ["hypervisor.qemu.tcg_timeout_factor", 3],
    ]),
  );
  const place = { name: "pod", directory: "/run/tapir/pod" };
  t.is(vmPlan(configuration, "kvm", place).quitMs, 7000);
  t.is(vmPlan(configuration, "tcg", place).quitMs, 21_000);
});

test("as many free ports as can be configured leave room for a pod's NIC, whichever way it comes", (t) => {
  const most = schema.hypervisor.qemu.pcie_root_ports.maximum;
  t.is(most, MAX_ROOT_PORTS - 1);
  const configuration = assemble(new Map([["hypervisor.qemu.pcie_root_ports", most]]));
  const plan = vmPlan(configuration, "tcg", { name: "pod", directory: "/run/tapir/pod" });
  t.not(plan.firstNic, undefined);
  // What a restored guest's QEMU is started with, and what a clone of the cache is adopted with.
  t.is(createTopology(freeRootPorts(plan)).ports.length, MAX_ROOT_PORTS);
});
