import test from "ava";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { createTopology, MAX_ROOT_PORTS, portOf, releasePort, reservePort } from "./topology.ts";

test("reserves the first free port and reuses released ones", (t) => {
  const empty = createTopology(2);
  const first = reservePort(empty, "eth0");
  const second = reservePort(first.topology, "eth1");
  t.deepEqual([first.port, second.port], ["rp0", "rp1"]);
  const freed = releasePort(second.topology, "eth0");
  t.is(reservePort(freed, "eth2").port, "rp0");
  t.is(portOf(freed, "eth1"), "rp1");
  t.is(portOf(empty, "eth0"), undefined, "the record that was given is not changed");
});

test("says when all ports are taken, and when a device has one", (t) => {
  const { topology } = reservePort(createTopology(1), "eth0");
  const full = t.throws(() => reservePort(topology, "eth1"));
  t.is(codeOf(full), Code.RESOURCE_EXHAUSTED);
  t.regex(full.message, /^cannot reserve PCIe root port for eth1: all 1 are in use; raise hypervisor/);
  t.is(codeOf(t.throws(() => reservePort(topology, "eth0"))), Code.ALREADY_EXISTS);
});

test("releasing what is not there changes nothing", (t) => {
  const topology = createTopology(1);
  t.is(releasePort(topology, "eth9"), topology);
});

test("200 rounds lose no port", (t) => {
  let topology = createTopology(3);
  for (let round = 0; round < 200; round += 1) {
    topology = reservePort(topology, `nic${round}`).topology;
    if (round > 1) topology = releasePort(topology, `nic${round - 2}`);
  }
  t.is(topology.ports.filter(({ device }) => device === undefined).length, 1);
});

test("a machine has room for a bounded number", (t) => {
  t.is(createTopology(MAX_ROOT_PORTS).ports.length, 26);
  for (const count of [-1, 1.5, MAX_ROOT_PORTS + 1]) {
    t.is(codeOf(t.throws(() => createTopology(count))), Code.INVALID_ARGUMENT);
  }
});
