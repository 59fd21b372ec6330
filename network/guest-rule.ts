import { KERNEL_RULES, ruleText } from "../sys/netlink/kernel-rules.ts";
import type { GuestRule } from "./guest-network.ts";

/** All rules of each family, in their order; none of a family that has only what its kernel came with. Pure. */
export function planRules(rules: readonly GuestRule[]): GuestRule[] {
  return ([4, 6] as const).flatMap((family) => {
    const ofFamily = rules.filter((rule) => rule.family === family);
    const own = new Set(KERNEL_RULES[family].map(ruleText));
    const isOwn = ofFamily.length === own.size && ofFamily.every((rule) => own.has(ruleText(rule)));
    return isOwn ? [] : ofFamily;
  });
}
