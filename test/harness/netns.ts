import { writeFileSync } from "node:fs";
import { deadlineIn } from "../../sys/deadline.ts";
import { inNetns } from "../../sys/netns.ts";
import { runOk } from "./run.ts";

export interface TestNetns extends AsyncDisposable {
  readonly name: string;
  readonly path: string;
}

const ip = (...args: string[]): Promise<string> =>
  runOk({ command: "ip", args, deadline: deadlineIn(10_000, `ip ${args.join(" ")}`) });

/** Removes a named network namespace. */
export async function deleteNetns(name: string): Promise<void> {
  await ip("netns", "delete", name);
}

/** A named network namespace with its loopback up; disposing removes it. */
export async function makeNetns(name: string): Promise<TestNetns> {
  await ip("netns", "add", name);
  const path = `/run/netns/${name}`;
  try {
    await ip("-n", name, "link", "set", "lo", "up");
    // Addresses of the node are usable at once: the tests own every address there is.
    inNetns(path, () => {
      for (const scope of ["all", "default"]) {
        writeFileSync(`/proc/sys/net/ipv6/conf/${scope}/accept_dad`, "0");
      }
    });
  } catch (error) {
    await deleteNetns(name);
    throw error;
  }
  return {
    name,
    path,
    async [Symbol.asyncDispose]() {
      await deleteNetns(name);
    },
  };
}
