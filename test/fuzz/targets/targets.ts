import type { Target } from "../fuzz.ts";
import { fileTargets } from "./files.ts";
import { guestTargets } from "./guest.ts";
import { netlinkTargets } from "./netlink.ts";
import { networkTarget } from "./network.ts";
import { wireTargets } from "./wire.ts";

/** Everything that reads what somebody else wrote. */
export const targets: readonly Target[] = [
  ...wireTargets,
  ...netlinkTargets,
  networkTarget,
  ...fileTargets,
  ...guestTargets,
];
