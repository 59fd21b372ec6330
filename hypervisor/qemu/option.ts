import type { DeviceArguments } from "../qmp/commands.ts";

export type OptionValue = string | number | boolean | undefined;

/** QEMU's `first,key=value,...`: booleans are on and off, commas are doubled, undefined is left out. */
export function option(first: string, properties: Readonly<Record<string, OptionValue>> = {}): string {
  const terms = Object.entries(properties).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${optionValue(value)}`],
  );
  return [escapeCommas(first), ...terms].join(",");
}

export function deviceOption({ driver, ...properties }: DeviceArguments): string {
  return option(driver, properties);
}

function optionValue(value: Exclude<OptionValue, undefined>): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return escapeCommas(String(value));
}

function escapeCommas(text: string): string {
  return text.replaceAll(",", ",,");
}
