import test from "ava";
import type { Address, Link, Route } from "../../sys/netlink/records.ts";
import type { NicPlan } from "../nic-plan.ts";
import { probeAddresses } from "./probe.ts";

const link = { index: 2, name: "eth0" } as Link;
const plan = { name: "eth0", link } as NicPlan;

function probes(addresses: readonly string[], gateways: readonly string[]): string[] {
  const found = {
    links: [
      {
        link,
        addresses: addresses.map((text) => {
          const [address = "", length] = text.split("/");
          return { family: address.includes(":") ? 6 : 4, address, prefixLength: Number(length) } as Address;
        }),
        neighbors: [],
        sysctls: {},
      },
    ],
    routes: gateways.map((gateway) => ({ index: 2, gateway }) as Route),
  };
  return probeAddresses({ netns: "", netnsInode: 0, loopbackIndex: 1, rules: [], ...found }, [plan]);
}

test("gateways, each once; one of the link alone with its link", (t) => {
  t.deepEqual(probes(["10.0.0.7/24"], ["10.0.0.1", "fd00::1", "10.0.0.1", "fe80::1"]), [
    "10.0.0.1",
    "fd00::1",
    "fe80::1%eth0",
  ]);
  t.deepEqual(probes(["fe80::7/64"], ["fe80::1"]), ["fe80::1%eth0"]);
});

test("without one, the first other address of the subnet", (t) => {
  t.deepEqual(probes(["10.1.130.7/23"], []), ["10.1.130.1"]);
  t.deepEqual(probes(["10.0.0.1/24"], []), ["10.0.0.2"]);
  t.deepEqual(probes(["fd00::7/64", "10.0.0.7/32"], []), []);
});
