import { Command } from "commander";
import { reasonOf } from "../sys/error.ts";
import { version } from "../sys/version.ts";
import { registerNetwork } from "./network/register.ts";

/** `tapir`, the operator's command. Each verb is loaded when it is called. */
const program = new Command("tapir")
  .description("look after the pods that Tapir runs on this node")
  .version(version, "-v, --version");

program
  .command("list")
  .description("list the sandboxes of this node and whether their shims live")
  .option("--json", "for programs")
  .action(async (options: { json?: boolean }) => (await import("./list.ts")).list(options));

program
  .command("guest")
  .description("ask a pod's guest for its kernel, interfaces, routes and neighbours")
  .argument("<sandbox>", "id of the sandbox, or the beginning of it")
  .option("--json", "for programs")
  .action(async (id: string, options: { json?: boolean }) =>
    (await import("./guest.ts")).showGuest(id, options),
  );

program
  .command("ping")
  .description("ping an address from inside a pod's guest")
  .argument("<sandbox>", "id of the sandbox, or the beginning of it")
  .argument("<address>", "IPv4 or IPv6 address")
  .action(async (id: string, address: string) => (await import("./ping.ts")).pingFromPod(id, address));

program
  .command("timeline")
  .description("show what took how long when a pod started")
  .argument("<sandbox>", "id of the sandbox, or the beginning of it")
  .option("--svg <file>", "write it as a picture instead")
  .option("--json", "for programs")
  .action(async (id: string, options: { svg?: string; json?: boolean }) =>
    (await import("./timeline.ts")).showTimeline(id, options),
  );

registerNetwork(program);

program
  .command("cleanup")
  .description("undo what sandboxes left whose shim is gone: after a crash, or a reboot")
  .action(async () => (await import("./cleanup.ts")).cleanup());

const check = program.command("check").description("find out whether things are as they have to be");

check
  .command("security")
  .description("show what a pod's QEMU and virtiofsd may do and see, and what is not as promised")
  .argument("<sandbox>", "id of the sandbox, or the beginning of it")
  .option("--json", "for programs")
  .action(async (id: string, options: { json?: boolean }) =>
    (await import("./check/security.ts")).checkSecurity(id, options),
  );

check
  .command("network")
  .description(
    "make everything the configured model needs, in a network namespace of its own, and name what is missing",
  )
  .option("--json", "for programs")
  .action(async (options: { json?: boolean }) => (await import("./check/network.ts")).checkNetwork(options));

const factory = program
  .command("factory")
  .description("look after the saved guests that pods are restored from");

factory
  .command("init")
  .description("save a guest for pods of this node's configuration, so that the first pod need not")
  .action(async () => (await import("./factory.ts")).initFactory());

factory
  .command("status")
  .description("list the saved guests: size, age, use, and what makes them stale")
  .option("--json", "for programs")
  .action(async (options: { json?: boolean }) => (await import("./factory.ts")).showFactory(options));

factory
  .command("destroy")
  .description("remove all saved guests; pods live on")
  .action(async () => (await import("./factory.ts")).destroyFactory());

factory
  .command("serve")
  .description("keep restored guests ready for pods, factory.cache_size of them, until told to end")
  .action(async () => (await import("./factory-serve.ts")).serveFactory());

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`tapir: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}
