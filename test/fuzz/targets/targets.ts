import type { Target } from "../fuzz.ts";
import { containerTarget } from "./container.ts";
import { fileTargets } from "./files.ts";
import { guestTargets } from "./guest.ts";
import { guestByteTargets } from "./guest-bytes.ts";
import { netlinkTargets } from "./netlink.ts";
import { networkTarget } from "./network.ts";
import { wireTargets } from "./wire.ts";

/** Everything that reads what somebody else wrote. */
export const targets: readonly Target[] = [
  ...wireTargets,
  ...netlinkTargets,
  networkTarget,
  ...fileTargets,
  containerTarget,
  ...guestByteTargets,
  ...guestTargets,
];
