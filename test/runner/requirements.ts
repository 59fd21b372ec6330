import { accessSync, constants } from "node:fs";

/** What the integration tests need and the set-up cannot bring: one sentence each, with the way out. */
export function missingRequirements(): readonly string[] {
  return [
    ...(process.getuid?.() === 0
      ? []
      : ["not root: run `sudo npm test`, or `npm test -- checks` without root"]),
    ...(isWritable("/dev/net/tun") ? [] : ["/dev/net/tun cannot be opened: run `modprobe tun`"]),
  ];
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
