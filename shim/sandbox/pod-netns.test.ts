import test from "ava";
import { codeOf, reasonOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { applyAnnotations } from "../config/annotations.ts";
import { podNetns, taskNetns } from "./pod-netns.ts";

type Network = Parameters<typeof podNetns>[1]["network"];

const network = (more: Partial<Network>): { network: Network } => ({
  network: {
    internetworkingModel: "tcfilter",
    disableNewNetns: false,
    rxRateLimiterMaxRate: 0,
    txRateLimiterMaxRate: 0,
    monitor: true,
    ...more,
  },
});
const HOST = { id: "p", hostNetwork: true, netns: undefined };
const OWN = "/proc/self/ns/net";

test("a pod has the namespace of its spec", (t) => {
  const pod = { id: "p", hostNetwork: false, netns: "/run/netns/cni-1" };
  t.is(podNetns(pod, network({})), pod.netns);
  t.is(podNetns({ ...pod, netns: undefined }, network({})), undefined);
});

test("the node's network is refused, with the way out", (t) => {
  const error = t.throws(() => podNetns(HOST, network({})));
  t.is(codeOf(error), Code.INVALID_ARGUMENT);
  t.regex(reasonOf(error), /would be the host's; a VM cannot share .*disable_new_netns/);
  t.throws(() => podNetns(HOST, network({ internetworkingModel: "none" })));
});

test("disable_new_netns: such a pod has no network; with a model that connects it is a contradiction", (t) => {
  const without = network({ disableNewNetns: true, internetworkingModel: "none" });
  t.is(podNetns(HOST, without), undefined);
  t.is(podNetns({ ...HOST, hostNetwork: false, netns: OWN }, without), undefined);
  for (const internetworkingModel of ["tcfilter", "macvtap"] as const) {
    const error = t.throws(() => podNetns(HOST, network({ disableNewNetns: true, internetworkingModel })));
    t.regex(reasonOf(error), new RegExp(`"${internetworkingModel}" would connect .*"none"`));
  }
});

test("a pod chooses its model where the node lets it; an unknown one lists those there are", async (t) => {
  const { loadConfiguration } = await import("../config/load.ts");
  const loaded = loadConfiguration({ optionsPath: "" });
  const { runtime } = loaded.configuration;
  const allowed = {
    ...loaded,
    configuration: {
      ...loaded.configuration,
      runtime: { ...runtime, enableAnnotations: ["internetworking_model"] },
    },
  };
  const name = "io.tapir.config.network.internetworking_model";
  t.is(
    applyAnnotations(allowed, { [name]: "macvtap" }).configuration.network.internetworkingModel,
    "macvtap",
  );
  t.regex(
    reasonOf(t.throws(() => applyAnnotations(allowed, { [name]: "bridge" }))),
    /expected "tcfilter" or "macvtap" or "none", got "bridge"/,
  );
  t.regex(
    reasonOf(t.throws(() => applyAnnotations(loaded, { [name]: "none" }))),
    /this node does not allow it/,
  );
});

test("the network of a container on its own comes into the namespace of its task", (t) => {
  const alone = { kind: "single", netns: undefined, hostNetwork: false } as const;
  t.is(taskNetns(alone, network({}), 42), "/proc/42/ns/net");
  t.is(taskNetns({ ...alone, netns: "/run/netns/x" }, network({}), 42), undefined);
  t.is(taskNetns({ ...alone, kind: "sandbox" }, network({}), 42), undefined);
  t.is(taskNetns({ ...alone, hostNetwork: true }, network({}), 42), undefined);
  t.is(taskNetns(alone, network({ disableNewNetns: true, internetworkingModel: "none" }), 42), undefined);
});
