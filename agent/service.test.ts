// Needs root: the service works on a network namespace of its own, reached over a unix socket.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createListener } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import test from "ava";
import {
  CreateSandboxRequest,
  type CreateSandboxResponse,
  type GetGuestDetailsResponse,
  Greeting,
  GreetingAnswer,
  type ListInterfacesResponse,
  type ListRoutesResponse,
  UpdateInterfaceRequest,
  type UpdateInterfaceResponse,
  UpdateRoutesRequest,
  type UpdateRoutesResponse,
} from "../proto/gen/tapir/agent/v1/agent.ts";
import { AgentClient } from "../proto/gen/tapir/agent/v1/agent_service.ts";
import { openRoute } from "../sys/netlink/socket.ts";
import { greet } from "./greet.ts";
import type { Guest } from "./sandbox.ts";
import { createServer } from "./serve.ts";
import { createService } from "./service.ts";

const MAC = "02:00:00:00:00:0a";
const NAME = `tapir-service-${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), "tapir-service-"));
const became: string[] = [];
const poweredOff = Promise.withResolvers<string>();

execFileSync("ip", ["netns", "add", NAME]);
execFileSync("ip", [
  "-n",
  NAME,
  "link",
  "add",
  "wire0",
  "address",
  MAC,
  "type",
  "veth",
  "peer",
  "name",
  "far0",
]);
const netns = `/run/netns/${NAME}`;
const guest: Guest = {
  network: { socket: openRoute({ netns }), netns },
  becomePod: ({ hostname }) => void became.push(hostname),
  writeFiles: () => undefined,
  powerOff: poweredOff.resolve,
};
const service = createService(guest);
const injector = createServer(service);
const listener = createListener((socket) => injector.injectConnection(socket));
const path = join(directory, "agent.sock");
listener.listen(path);
await once(listener, "listening");
const client = new AgentClient(`unix:${path}`, credentials.createInsecure());

test.after.always(() => {
  client.close();
  injector.destroy();
  listener.close();
  guest.network.socket[Symbol.dispose]();
  execFileSync("ip", ["netns", "del", NAME]);
  rmSync(directory, { recursive: true });
});

type Unary<Q, R> = (request: Q, callback: (error: ServiceError | null, response: R) => void) => unknown;
const call = <Q, R>(method: Unary<Q, R>) => promisify(method.bind(client) as Unary<Q, R>);
const create = call<CreateSandboxRequest, CreateSandboxResponse>(client.createSandbox);
const updateInterface = call<UpdateInterfaceRequest, UpdateInterfaceResponse>(client.updateInterface);
const updateRoutes = call<UpdateRoutesRequest, UpdateRoutesResponse>(client.updateRoutes);
const listInterfaces = call<object, ListInterfacesResponse>(client.listInterfaces);
const listRoutes = call<object, ListRoutesResponse>(client.listRoutes);
const details = call<object, GetGuestDetailsResponse>(client.getGuestDetails);

const nic = { name: "eth0", mac: MAC, mtu: 1500, up: true, multicast: true, txQueueLength: 1000 };
const stray = UpdateInterfaceRequest.create({
  interface: { ...nic, addresses: [{ address: "10.77.0.1", prefixLength: 24 }] },
}).interface;
const sandbox = (more: object = {}): CreateSandboxRequest =>
  CreateSandboxRequest.create({
    sandboxId: "pod-1",
    hostname: "web-0",
    unixTimeNanoseconds: BigInt(Date.now()) * 1_000_000n,
    entropy: Buffer.alloc(64),
    interfaces: [{ ...nic, addresses: [{ address: "10.0.0.5", prefixLength: 32, label: "eth0" }] }],
    routes: [
      {
        destination: "0.0.0.0/0",
        family: 4,
        gateway: "169.254.1.1",
        device: "eth0",
        table: 254,
        protocol: 3,
        type: 1,
      },
      {
        destination: "169.254.1.1/32",
        family: 4,
        device: "eth0",
        scope: 253,
        table: 254,
        protocol: 3,
        type: 1,
      },
    ],
    neighbors: [{ device: "eth0", address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee", state: 0x80 }],
    ...more,
  });

test.serial("one call makes the guest the pod's", async (t) => {
  const request = sandbox();
  const { milestones } = await create(request);
  const { interfaces } = await listInterfaces({});
  t.deepEqual(
    // Settings of a veth are not those of a guest's NIC.
    interfaces.filter(({ mac }) => mac === MAC).map((one) => ({ ...one, sysctls: {} })),
    request.interfaces,
  );
  t.true(milestones.some(({ name }) => name === "init"));
  t.deepEqual(became, ["web-0"]);
  const { routes } = await listRoutes({});
  const own = routes.filter(({ protocol }) => protocol === 3);
  t.deepEqual(own, request.routes);
  t.false((await listInterfaces({})).interfaces.find(({ name }) => name === "far0")?.up);
});

test.serial("the same pod may ask again, another one may not", async (t) => {
  await t.notThrowsAsync(create(sandbox()));
  const error: ServiceError = await t.throwsAsync(create(sandbox({ sandboxId: "pod-2" })));
  t.is(error.code, 6);
  t.is(error.details, "this guest belongs to sandbox pod-1");
  t.is(error.metadata.get("tapir-object")[0], "sandbox pod-2");
});

test.serial("what the kernel says reaches the caller", async (t) => {
  const request = UpdateRoutesRequest.create({
    routes: [
      { destination: "10.9.0.0/16", family: 4, gateway: "10.200.0.1", device: "eth0", table: 254, type: 1 },
    ],
  });
  const error: ServiceError = await t.throwsAsync(updateRoutes(request));
  t.is(error.metadata.get("tapir-operation")[0], "add");
  t.is(error.metadata.get("tapir-object")[0], "route 10.9.0.0/16 via 10.200.0.1 dev eth0");
  t.is(error.metadata.get("tapir-errno")[0], "ENETUNREACH");
});

test.serial("refused input changes nothing", async (t) => {
  const before = await listInterfaces({});
  const request = UpdateInterfaceRequest.create({ interface: { ...nic, name: "a/b" } });
  t.like(await t.throwsAsync(updateInterface(request)), { code: 3 });
  t.deepEqual(await listInterfaces({}), before);
});

test.serial("changes are made one after the other", async (t) => {
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, at) =>
      updateInterface(UpdateInterfaceRequest.create({ interface: { ...nic, mtu: 1400 + at } })),
    ),
  );
  t.deepEqual(
    answers.map((answer) => answer.interface?.mtu),
    Array.from({ length: 10 }, (_, at) => 1400 + at),
  );
});

test.serial("a wait for a NIC ends with its own deadline, and the next change is served", async (t) => {
  const late = UpdateInterfaceRequest.create({
    interface: { ...nic, name: "eth1", mac: "02:00:00:00:00:99" },
    linkTimeoutMilliseconds: 50,
  });
  const error: ServiceError = await t.throwsAsync(updateInterface(late));
  t.is(error.code, 4);
  t.is(error.metadata.get("tapir-object")[0], "network interface with MAC 02:00:00:00:00:99");
  await t.notThrowsAsync(updateInterface(UpdateInterfaceRequest.create({ interface: nic })));
});

test.serial("details name the kernel and tell the milestones in order", async (t) => {
  const answer = await details({});
  t.true(answer.kernelRelease.length > 0);
  t.true(answer.vcpus > 0 && answer.uptimeSeconds > 0 && answer.memoryTotalBytes > 0n);
  const times = answer.milestones.map(({ seconds }) => seconds);
  t.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  );
});

test.serial("a greeting that is refused is answered as by gRPC", async (t) => {
  const say = async (message: Uint8Array) =>
    GreetingAnswer.decode(await greet(service, message, new AbortController().signal)).failure;
  const other = sandbox({ sandboxId: "pod-3" });
  t.like(await say(Greeting.encode({ createSandbox: other, timeoutMilliseconds: 5000 }).finish()), {
    code: 6,
    details: "this guest belongs to sandbox pod-1",
    metadata: { "tapir-operation": "create", "tapir-object": "sandbox pod-3" },
  });
  t.is((await say(Greeting.encode({ createSandbox: undefined, timeoutMilliseconds: 1 }).finish()))?.code, 3);
  t.truthy(await say(Buffer.from("no message")));
});

test.serial("destroying leaves a clean guest; with power_off the answer comes first", async (t) => {
  const destroy = call<{ powerOff: boolean }, object>(client.destroySandbox);
  await destroy({ powerOff: false });
  const { interfaces } = await listInterfaces({});
  t.like(
    interfaces.find(({ mac }) => mac === MAC),
    { up: false, addresses: [] },
  );
  t.deepEqual((await listRoutes({})).routes, []);
  // Once on blank ground, and once where somebody left something.
  for (const leaveSomething of [false, true]) {
    if (leaveSomething) await updateInterface({ interface: stray, linkTimeoutMilliseconds: 0 });
    const request = sandbox({ sandboxId: "pod-2" });
    const greeting = Greeting.encode({ createSandbox: request, timeoutMilliseconds: 5000 }).finish();
    const answer = await greet(service, greeting, new AbortController().signal);
    t.truthy(GreetingAnswer.decode(answer).created);
    const now = (await listInterfaces({})).interfaces.find(({ mac }) => mac === MAC);
    t.deepEqual(now?.addresses, request.interfaces[0]?.addresses);
    const { routes } = await listRoutes({});
    t.deepEqual(
      routes.filter(({ protocol }) => protocol === 3),
      request.routes,
    );
    await destroy({ powerOff: false });
  }
  await destroy({ powerOff: true });
  t.is(await poweredOff.promise, "the host asked for it");
});
