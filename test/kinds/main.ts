// Process 1 of a test image: makes the kinds of link that only the guest's kernel can make, as a CNI would, connects them with
// the code of the shim, sends frames both ways, and says on the console what became of it.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, writeSync } from "node:fs";
import { init, surviveErrors } from "../../agent/init.ts";
import { powerOff } from "../../agent/power.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { connect } from "../../network/connect.ts";
import { discover } from "../../network/discover.ts";
import { endpointsOf } from "../../network/endpoint.ts";
import { modelNamed } from "../../network/models.ts";
import { planNics } from "../../network/nic-plan.ts";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { type Ledger, openLedger } from "../../sys/ledger.ts";
import { frameFrom } from "../fakes/pod-pair.ts";
import { type Case, cases } from "./cases.ts";
import { udpFrame } from "./frames.ts";
import { tryPhysical } from "./physical.ts";
import { FAR, makePlace, type Place, snapshot } from "./pod.ts";
import { type KindResult, PHYSICAL_REPORT, REPORT } from "./report.ts";

const CONNECT_MS = 60_000;
/** Long enough for a frame, also under emulation. */
const FRAME_MS = 2000;

const soon = (): Deadline => deadlineIn(CONNECT_MS, "connect");

async function attach(netns: string, name: string, ledger: Ledger): Promise<AttachedNic[]> {
  const model = modelNamed(name);
  const network = await discover(netns, soon());
  const plans = planNics(network, { model, vcpus: 1 });
  return connect(network, plans, { model, ledger, vhostNet: false }, soon());
}

/** Whether a frame with `text` comes out of a tap. */
async function arrives(nic: AttachedNic | undefined, text: string): Promise<boolean> {
  const waiting = frameFrom(nic?.tapFds ?? [], (frame) => frame.includes(text), deadlineIn(FRAME_MS, text));
  return waiting.then(
    () => true,
    () => false,
  );
}

async function exchange(
  tried: Case,
  place: Place,
  nics: readonly AttachedNic[],
  wire: AttachedNic | undefined,
) {
  const [out, into]: [string[], string[]] = [[], []];
  for (const [at, nic] of nics.entries()) {
    const {
      name,
      what,
      address = "10.8.0.2",
    } = tried.links.find((link) => link.name === nic.plan.name) ?? {};
    if (name === undefined || what === undefined) continue;
    const text = `frame of ${name} ${at}`;
    const { mac } = nic.plan;
    const leaving = {
      from: mac,
      to: FAR.mac,
      sourceAddress: address,
      address: FAR.address,
      text: `${text} out`,
    };
    writeSync(nic.tapFds[0] ?? -1, udpFrame(leaving));
    if (await arrives(wire, leaving.text)) out.push(name);
    const vlan = what.kind === "vlan" ? what.id : undefined;
    // What shares its device's MAC is told apart by its address.
    const to = what.kind === "ipvlan" ? place.lower.mac : mac;
    const coming = { from: FAR.mac, to, sourceAddress: FAR.address, address, text: `${text} in`, vlan };
    writeSync(wire?.tapFds[0] ?? -1, udpFrame(coming));
    if (await arrives(nic, coming.text)) into.push(name);
  }
  return { out, in: into };
}

async function attempt(tried: Case): Promise<KindResult> {
  const { name, model } = tried;
  const place = await makePlace(tried);
  const before = await snapshot(place.pod);
  const ledger = openLedger(mkdtempSync("/run/kinds-"));
  const farLedger = openLedger(mkdtempSync("/run/kinds-"));
  try {
    const [wire] = await attach(place.far, "tcfilter", farLedger);
    const network = await discover(place.pod, soon());
    const { endpoints } = endpointsOf(network, modelNamed(model));
    const nics = endpoints.map(({ kind, link }) => `${link.name} ${kind}`);
    const attached = await attach(place.pod, model, ledger);
    const passed = await exchange(tried, place, attached, wire);
    await ledger.unwind();
    return { name, nics, ...passed, undone: (await snapshot(place.pod)) === before };
  } catch (error) {
    await ledger.unwind();
    return { name, refused: reasonOf(error), undone: (await snapshot(place.pod)) === before };
  } finally {
    await farLedger.unwind();
  }
}

function say(report: string, result: unknown): void {
  appendFileSync("/dev/console", `\n${report}${JSON.stringify(result)}\n`);
}

surviveErrors();
init();
// The device that makes the kernel ask for its driver is made by the driver.
execFileSync("/usr/sbin/modprobe", ["tun"]);
for (const tried of cases) {
  const failed = (error: unknown) => ({ name: tried.name, refused: `failed: ${reasonOf(error)}` });
  say(REPORT, await attempt(tried).catch(failed));
}
say(PHYSICAL_REPORT, await tryPhysical().catch((error: unknown) => ({ failed: reasonOf(error) })));
powerOff("all kinds were tried");
