import { FR_ACT, RT_TABLE, RTPROT, type Rule } from "./records.ts";

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

/** What the kernel makes for each namespace and family (fib_default_rules_init). */
export const KERNEL_RULES: Readonly<Record<Rule["family"], readonly Rule[]>> = {
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
const texts = new WeakMap<object, string>();

/** Field by field, in one order whoever made the record. It is asked for several times of each. */
export function ruleText(rule: Omit<Rule, "family"> & { readonly family: number }): string {
  const known = texts.get(rule);
  if (known !== undefined) return known;
  let text = "";
  for (const name of NAMES) {
    const value = rule[name];
    text += typeof value === "object" ? `${value.start}-${value.end} ` : `${value} `;
  }
  texts.set(rule, text);
  return text;
}
