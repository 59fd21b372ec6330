import { readNames, readText } from "./read.ts";
import type { Things } from "./things.ts";

/** Loop devices with a file behind them, and device-mapper devices. */
export function listBackedDevices(mark: string | undefined): Things {
  const things: Record<string, string> = {};
  for (const name of readNames("/sys/block")) {
    if (!/^(loop|dm-)/.test(name)) continue;
    const backing =
      `${readText(`/sys/block/${name}/loop/backing_file`)}${readText(`/sys/block/${name}/dm/name`)}`.trim();
    if (backing !== "" && (mark === undefined || backing.includes(mark))) things[name] = backing;
  }
  return things;
}
