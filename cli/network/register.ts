import type { Command } from "commander";
import type { Output } from "./commands.ts";

/** Adds `tapir network` and its verbs. */
export function registerNetwork(program: Command): void {
  const network = program
    .command("network")
    .description("look at the network of a running pod, and change it; JSON as Kata Containers 1.x had it");
  const verb = (name: string, description: string): Command =>
    network
      .command(name)
      .description(description)
      .argument("<pod>", "id of the sandbox, or the beginning of it")
      .option("--json", "for programs");
  const verbs = () => import("./commands.ts");
  const file = ["<file>", "JSON, - for the standard input"] as const;

  verb("list-ifaces", "list the guest's interfaces").action(async (pod: string, output: Output) =>
    (await verbs()).listInterfaces(pod, output),
  );
  verb("list-routes", "list the guest's routes").action(async (pod: string, output: Output) =>
    (await verbs()).listRoutes(pod, output),
  );
  verb("list-neigh", "list the guest's ARP and NDP entries").action(async (pod: string, output: Output) =>
    (await verbs()).listNeighbors(pod, output),
  );
  verb("add-iface", "plug in a link of the pod's netns, or one of the node's, which moves there")
    .argument(...file)
    .action(async (pod: string, path: string, output: Output) =>
      (await verbs()).changeInterface("addInterface", pod, path, output),
    );
  verb("update-iface", "change name, MAC, MTU, addresses or rate limits of a link")
    .argument(...file)
    .action(async (pod: string, path: string, output: Output) =>
      (await verbs()).changeInterface("updateInterface", pod, path, output),
    );
  verb("del-iface", "unplug a link; it stays in the pod's netns, down and without addresses")
    .argument(...file)
    .action(async (pod: string, path: string, output: Output) =>
      (await verbs()).changeInterface("removeInterface", pod, path, output),
    );
  verb(
    "update-routes",
    "bring the main table, and each that they name, to these routes; the kernel's own stay",
  )
    .argument(...file)
    .action(async (pod: string, path: string, output: Output) =>
      (await verbs()).updateRoutes(pod, path, output),
    );
  verb("add-neigh", "add or replace permanent ARP and NDP entries")
    .argument(...file)
    .action(async (pod: string, path: string, output: Output) =>
      (await verbs()).addNeighbors(pod, path, output),
    );
  verb("trace", "count packets at every hop between node and guest, and name the hop where they stop")
    .option("--seconds <seconds>", "how long to count", "1")
    .action(async (pod: string, output: Output & { readonly seconds: string }) =>
      (await import("./trace.ts")).showTrace(pod, output),
    );
  verb("diff", "show where the guest is not what the pod's netns says; nothing when they are equal").action(
    async (pod: string, output: Output) => (await verbs()).showDifference(pod, output),
  );
}
