import type { Rule as RuleMessage } from "../../proto/gen/tapir/agent/v1/agent.ts";
import type { Deadline } from "../../sys/deadline.ts";
import { errnoOf } from "../../sys/error.ts";
import { FR_ACT, RT_TABLE, RTPROT, type Rule } from "../../sys/netlink/records.ts";
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
  const kept = new Set([...wanted.map(fromRule), ...OWN[4], ...OWN[6]].map(textOf));
  const staying: Rule[] = [];
  for (const rule of await listRules(network.socket, deadline)) {
    if (kept.has(textOf(rule))) staying.push(rule);
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
    return ofFamily.length > 0 || !current.some((rule) => rule.family === family) ? ofFamily : OWN[family];
  });
  const present = new Set(current.map(textOf));
  const kept = new Set(goal.map(textOf));
  for (const rule of goal) {
    if (!present.has(textOf(rule))) await addRule(network.socket, rule, deadline);
  }
  for (const rule of current) {
    if (!kept.has(textOf(rule))) await removeRule(network, rule, deadline);
  }
}

async function removeRule(network: Network, rule: Rule, deadline: Deadline): Promise<void> {
  try {
    await deleteRule(network.socket, rule, deadline);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

const ANY = {
  source: "",
  destination: "",
  tos: 0,
  action: FR_ACT.TO_TABLE,
  mark: 0,
  markMask: 0,
  inputInterface: "",
  outputInterface: "",
  invert: false,
  suppressPrefixLength: undefined,
  gotoPriority: 0,
  uids: undefined,
  ipProtocol: 0,
  sourcePorts: undefined,
  destinationPorts: undefined,
  protocol: RTPROT.KERNEL,
} as const;

/** fib_default_rules_init of the kernel. */
const OWN: Readonly<Record<Rule["family"], readonly Rule[]>> = {
  4: [
    { ...ANY, family: 4, priority: 0, table: RT_TABLE.LOCAL },
    { ...ANY, family: 4, priority: 32_766, table: RT_TABLE.MAIN },
    { ...ANY, family: 4, priority: 32_767, table: RT_TABLE.DEFAULT },
  ],
  6: [
    { ...ANY, family: 6, priority: 0, table: RT_TABLE.LOCAL },
    { ...ANY, family: 6, priority: 32_766, table: RT_TABLE.MAIN },
  ],
};

const FIELDS: Readonly<Record<keyof Rule, true>> = {
  family: true,
  priority: true,
  source: true,
  destination: true,
  tos: true,
  table: true,
  action: true,
  mark: true,
  markMask: true,
  inputInterface: true,
  outputInterface: true,
  invert: true,
  suppressPrefixLength: true,
  gotoPriority: true,
  uids: true,
  ipProtocol: true,
  sourcePorts: true,
  destinationPorts: true,
  protocol: true,
};
const NAMES = Object.keys(FIELDS) as (keyof Rule)[];
const texts = new WeakMap<Rule, string>();

/** Field by field, in one order whoever made the record. It is asked for several times of each. */
function textOf(rule: Rule): string {
  const known = texts.get(rule);
  if (known !== undefined) return known;
  const text = NAMES.map((name) => {
    const value = rule[name];
    return typeof value === "object" ? `${value.start}-${value.end}` : value;
  }).join(" ");
  texts.set(rule, text);
  return text;
}
