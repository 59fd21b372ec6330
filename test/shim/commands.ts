import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestFn } from "ava";
import { CreateTaskRequest, DeleteResponse } from "../../proto/gen/containerd/task/task.ts";
import { type Client, connect } from "../../shim/ttrpc/client.ts";
import { bundleFakeShim, FAKE_STATE } from "../fakes/shim-bundle.ts";
import { useInventory } from "../harness/fixture.ts";
import { command } from "./command.ts";

/** A shim that serves. */
export interface Started {
  readonly bundle: string;
  readonly socket: string;
  readonly pid: number;
}

export const netns = { linux: { namespaces: [{ type: "network", path: "/run/netns/x" }] } };

type Ended = Awaited<ReturnType<typeof command>>;

/** The shim's commands as containerd runs them, with fake pods. */
export interface ShimCommands {
  /** Everything of the test file lies below. */
  readonly directory: string;
  /** Of the bundled shim; there once the tests run. */
  program(): string;
  /** Where the pod with this id keeps its state. */
  stateOf(id: string): string;
  makeBundle(name: string, config?: object | string): string;
  run(bundle: string, args: string, more?: { input?: Uint8Array; env?: NodeJS.ProcessEnv }): Promise<Ended>;
  start(name: string, config?: object): Promise<Started>;
  startIn(bundle: string, id: string): Promise<Started>;
  /** Create over a connection of its own. */
  create(shim: Started, id: string): Promise<void>;
  connect(shim: Started): Promise<Client>;
  remove(
    shim: { readonly bundle: string },
    id: string,
  ): Promise<Ended & { readonly response: DeleteResponse }>;
}

/** The message of a Create. */
export const createRequest = (id: string, bundle: string): Uint8Array =>
  CreateTaskRequest.encode(CreateTaskRequest.fromPartial({ id, bundle })).finish();

/** Bundles the shim before the first test; after the last one nothing is left. Call it once per file. */
export function useShimCommands(test: TestFn): ShimCommands {
  const directory = mkdtempSync(join(tmpdir(), "shim-commands-"));
  const environment = {
    [FAKE_STATE]: join(directory, "state"),
    TAPIR_SOCKET_DIR: join(directory, "s"),
    MAX_SHIM_VERSION: "2",
  };
  let program = "";

  useInventory(test, directory, async () => {
    rmSync(directory, { recursive: true, force: true });
    if (program !== "") rmSync(dirname(program), { recursive: true, force: true });
  });
  test.before("bundle the shim", async () => {
    program = join(await bundleFakeShim(), "containerd-shim-tapir-v2");
  });

  const commands: ShimCommands = {
    directory,
    program: () => program,
    stateOf: (id) => join(directory, "state/n", id),
    makeBundle(name, config = netns) {
      const bundle = join(directory, name);
      mkdirSync(bundle);
      const text = typeof config === "string" ? config : JSON.stringify(config);
      if (text !== "") writeFileSync(join(bundle, "config.json"), text);
      return bundle;
    },
    async run(bundle, args, { input, env } = {}) {
      const flags = `-namespace n -address ${directory}/containerd.sock ${args}`;
      return command({
        program,
        args: flags.split(" "),
        cwd: bundle,
        env: { ...process.env, ...environment, ...env },
        ...(input === undefined ? {} : { input }),
      });
    },
    start: (name, config) => commands.startIn(commands.makeBundle(name, config), name),
    async startIn(bundle, id) {
      const { stdout } = await commands.run(bundle, `-id ${id} start`);
      const { address } = JSON.parse(stdout.toString()) as { address: string };
      return {
        bundle,
        socket: address.replace("unix://", ""),
        pid: Number(readFileSync(join(bundle, "shim.pid"), "utf8")),
      };
    },
    connect: ({ socket }) => connect(socket, 1000),
    async create(shim, id) {
      const client = await commands.connect(shim);
      try {
        const request = createRequest(id, shim.bundle);
        await client.call("containerd.task.v3.Task", "Create", request, { timeoutMs: 10_000 });
      } finally {
        client.close();
      }
    },
    async remove({ bundle }, id) {
      const result = await commands.run(bundle, `-id ${id} -bundle ${bundle} delete`);
      return { ...result, response: DeleteResponse.decode(result.stdout) };
    },
  };
  return commands;
}
