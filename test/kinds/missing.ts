import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { checkRequirements } from "../../network/check/check.ts";
import { requirementsOf } from "../../network/check/requirements.ts";
import { reasonOf } from "../../sys/error.ts";
import { openLedger } from "../../sys/ledger.ts";
import { createLink } from "../../sys/netlink/create-link.ts";
import { openRoute } from "../../sys/netlink/socket.ts";
import { attach, soon } from "./attach.ts";
import { newNetns, snapshot, take } from "./pod.ts";
import type { MissingResult } from "./report.ts";

/** The program that the kernel starts when it wants a module. */
const LOADER = "/proc/sys/kernel/modprobe";
const NOBODY = "/bin/false";

/**
 * A kernel that has a pod's link and taps, and may load nothing else of what a model needs: what `tapir check network` says of
 * it, and what becomes of a pod. To be called before anything else has made the kernel load it.
 */
export async function tryWithoutModules(): Promise<MissingResult> {
  for (const module of ["veth", "tun"]) execFileSync("/usr/sbin/modprobe", [module]);
  const loader = readFileSync(LOADER, "utf8");
  writeFileSync(LOADER, NOBODY);
  try {
    return {
      tcfilter: await missingFor("tcfilter"),
      macvtap: await missingFor("macvtap"),
      ...(await connectOne()),
    };
  } finally {
    writeFileSync(LOADER, loader.trim());
  }
}

/** As `tapir check network` finds it. */
async function missingFor(model: string): Promise<string[]> {
  const limits = { rx: 1_000_000, tx: 1_000_000 };
  const requirements = requirementsOf({ model, vcpus: 1, vhostNet: false, limits });
  const findings = await checkRequirements(requirements, soon());
  return findings.flatMap(({ requirement: { name, wayOut }, failure }) =>
    failure === undefined ? [] : [`${name}: ${failure}; ${wayOut}`],
  );
}

async function connectOne(): Promise<Pick<MissingResult, "refused" | "undone">> {
  const pod = newNetns();
  using socket = openRoute({ netns: pod });
  await createLink(socket, { name: "eth0", what: { kind: "veth", peer: "far" } }, soon());
  await take(socket, "eth0", "10.5.0.2");
  const before = await snapshot(pod);
  const ledger = openLedger(mkdtempSync("/run/kinds-"));
  const refused = await attach(pod, "tcfilter", ledger).then(() => "", reasonOf);
  await ledger.unwind();
  return { refused, undone: (await snapshot(pod)) === before };
}
