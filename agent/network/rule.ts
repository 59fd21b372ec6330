import type { Rule as RuleMessage } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { KERNEL_RULES, ruleText } from "../../sys/netlink/kernel-rules.ts";
import type { Rule } from "../../sys/netlink/records.ts";
import { addRule, deleteRule, listRules } from "../../sys/netlink/rule.ts";
import { fromRule } from "./message.ts";
import type { Network } from "./network.ts";

/**
 * Takes away the rules that are not wanted, but for those that every kernel comes with: there is a way for packets. Returns
 * those that stay.
 */
export async function removeRules(
  network: Network,
  wanted: readonly RuleMessage[],
  deadline: Deadline,
): Promise<Rule[]> {
  const kept = new Set([...wanted.map(fromRule), ...KERNEL_RULES[4], ...KERNEL_RULES[6]].map(ruleText));
  const staying: Rule[] = [];
  for (const rule of await listRules(network.socket, deadline)) {
    if (kept.has(ruleText(rule))) staying.push(rule);
    else await removeRule(network, rule, deadline);
  }
  return staying;
}

/**
 * Brings the policy rules to the wanted ones; of a family of which none is wanted, to those that its kernel came with. New
 * ones come before old ones go: there is a way for every packet in between. `known`: what there is, where that was read just now.
 */
export async function applyRules(
  network: Network,
  wanted: readonly RuleMessage[],
  deadline: Deadline,
  known?: readonly Rule[],
): Promise<void> {
  const current = known ?? (await listRules(network.socket, deadline));
  const goal = ([4, 6] as const).flatMap((family) => {
    const ofFamily = wanted.map(fromRule).filter((rule) => rule.family === family);
    return ofFamily.length > 0 || !current.some((rule) => rule.family === family)
      ? ofFamily
      : KERNEL_RULES[family];
  });
  const present = new Set(current.map(ruleText));
  const kept = new Set(goal.map(ruleText));
  for (const rule of goal) {
    if (!present.has(ruleText(rule))) await addRule(network.socket, rule, deadline);
  }
  for (const rule of current) {
    if (!kept.has(ruleText(rule))) await removeRule(network, rule, deadline);
  }
}

async function removeRule(network: Network, rule: Rule, deadline: Deadline): Promise<void> {
  try {
    await deleteRule(network.socket, rule, deadline);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
