// Process 1 of a test image: makes the kinds of link that only the guest's kernel can make, as a CNI would, connects them with
// the code of the shim, sends frames both ways, and says on the console what became of it.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, writeSync } from "node:fs";
import { init, surviveErrors } from "../../agent/init.ts";
import { powerOff } from "../../agent/power.ts";
import type { AttachedNic } from "../../network/attached-nic.ts";
import { discover } from "../../network/discover.ts";
import { endpointsOf } from "../../network/endpoint.ts";
import { modelNamed } from "../../network/models.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { reasonOf } from "../../sys/error.ts";
import { openLedger } from "../../sys/ledger.ts";
import { frameFrom } from "../fakes/pod-pair.ts";
import { attach, soon } from "./attach.ts";
import { type Case, cases } from "./cases.ts";
import { udpFrame } from "./frames.ts";
import { tryWithoutModules } from "./missing.ts";
import { tryPhysical } from "./physical.ts";
import { FAR, makePlace, type Place, rawLinks, sixOf, snapshot } from "./pod.ts";
import { type KindResult, MISSING_REPORT, PHYSICAL_REPORT, REPORT } from "./report.ts";

/** Long enough for a frame, also under emulation. */
const FRAME_MS = 2000;
const FAMILIES = ["IPv4", "IPv6"] as const;

/** Which of `texts` come out of a tap, each in a frame. */
async function arriving(nic: AttachedNic | undefined, texts: readonly string[]): Promise<string[]> {
  const missing = new Set(texts);
  const last = (frame: Buffer): boolean => {
    for (const text of missing) if (frame.includes(text)) missing.delete(text);
    return missing.size === 0;
  };
  await frameFrom(nic?.tapFds ?? [], last, deadlineIn(FRAME_MS, "frames")).catch(() => undefined);
  return texts.filter((text) => !missing.has(text));
}

async function exchange(
  tried: Case,
  place: Place,
  nics: readonly AttachedNic[],
  wire: AttachedNic | undefined,
) {
  const [out, into]: [string[], string[]] = [[], []];
  for (const nic of nics) {
    const { name, what, address = "10.8.0.2" } = tried.links.find((one) => one.name === nic.plan.name) ?? {};
    if (name === undefined || what === undefined) continue;
    const { mac } = nic.plan;
    const ends = {
      IPv4: { own: address, far: FAR.address },
      IPv6: { own: sixOf(address), far: sixOf(FAR.address) },
    };
    const texts = FAMILIES.map((family) => `${name} ${family}`);
    for (const family of FAMILIES) {
      const { own, far } = ends[family];
      const leaving = { from: mac, to: FAR.mac, sourceAddress: own, address: far };
      writeSync(nic.tapFds[0] ?? -1, udpFrame({ ...leaving, text: `${name} ${family}` }));
    }
    out.push(...(await arriving(wire, texts)));
    const vlan = what.kind === "vlan" ? what.id : undefined;
    // What shares its device's MAC is told apart by its address.
    const to = what.kind === "ipvlan" ? place.lower.mac : mac;
    for (const family of FAMILIES) {
      const { own, far } = ends[family];
      const coming = { from: FAR.mac, to, sourceAddress: far, address: own, vlan };
      writeSync(wire?.tapFds[0] ?? -1, udpFrame({ ...coming, text: `${name} ${family}` }));
    }
    into.push(...(await arriving(nic, texts)));
  }
  return { out, in: into };
}

async function attempt(tried: Case): Promise<KindResult> {
  const { name, model } = tried;
  const place = await makePlace(tried);
  const before = await snapshot(place.pod);
  const raw = await rawLinks(place.pod);
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
    return { name, nics, raw, ...passed, undone: (await snapshot(place.pod)) === before };
  } catch (error) {
    await ledger.unwind();
    return { name, raw, refused: reasonOf(error), undone: (await snapshot(place.pod)) === before };
  } finally {
    await farLedger.unwind();
  }
}

function say(report: string, result: unknown): void {
  appendFileSync("/dev/console", `\n${report}${JSON.stringify(result)}\n`);
}

surviveErrors();
init();
say(MISSING_REPORT, await tryWithoutModules().catch((error: unknown) => ({ failed: reasonOf(error) })));
// The device that makes the kernel ask for its driver is made by the driver.
execFileSync("/usr/sbin/modprobe", ["tun"]);
for (const tried of cases) {
  const failed = (error: unknown) => ({ name: tried.name, refused: `failed: ${reasonOf(error)}` });
  say(REPORT, await attempt(tried).catch(failed));
}
say(PHYSICAL_REPORT, await tryPhysical().catch((error: unknown) => ({ failed: reasonOf(error) })));
powerOff("all kinds were tried");
