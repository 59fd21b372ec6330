import { FR_ACT, RT_TABLE, RTPROT } from "../sys/netlink/records.ts";
import type { GuestRule } from "./guest-network.ts";

/** What every namespace starts with, by priority (fib_default_rules_init of IPv4 and IPv6). */
const OWN_TABLES: Readonly<Record<number, ReadonlyMap<number, number>>> = {
  4: new Map([
    [0, RT_TABLE.LOCAL],
    [32_766, RT_TABLE.MAIN],
    [32_767, RT_TABLE.DEFAULT],
  ]),
  6: new Map([
    [0, RT_TABLE.LOCAL],
    [32_766, RT_TABLE.MAIN],
  ]),
};

/** All rules of each family, in their order; none of a family that has only what its kernel came with. Pure. */
export function planRules(rules: readonly GuestRule[]): GuestRule[] {
  return [4, 6].flatMap((family) => {
    const ofFamily = rules.filter((rule) => rule.family === family);
    const isOwn = ofFamily.length === OWN_TABLES[family]?.size && ofFamily.every(isKernels);
    return isOwn ? [] : ofFamily;
  });
}

function isKernels({
  protocol,
  action,
  family,
  priority,
  table,
  source,
  inputInterface,
}: GuestRule): boolean {
  const plain = protocol === RTPROT.KERNEL && action === FR_ACT.TO_TABLE;
  return plain && source === "" && inputInterface === "" && OWN_TABLES[family]?.get(priority) === table;
}
