import test from "ava";
import { assemble } from "../config/schema.ts";
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
