/**
 * Who may import whom, and which package may be used where. A file belongs to the longest path that is listed here;
 * it may import its own room, rooms inside its own, and what `imports` names (a room named there includes the rooms
 * inside it). Node's own modules are free; what they may be used for is in `forbidden.ts`.
 */
export interface Room {
  readonly path: string;
  readonly imports: readonly string[];
  readonly packages: readonly string[];
}

/** What is installed on a node or runs in the guest: arrows point one way only. */
const product: readonly Room[] = [
  { path: "proto", imports: [], packages: ["@bufbuild/protobuf", "@grpc/grpc-js"] },
  { path: "sys", imports: ["proto"], packages: ["koffi", "netlink"] },
  { path: "network", imports: ["sys"], packages: [] },
  { path: "hypervisor", imports: ["sys"], packages: [] },
  { path: "hypervisor/qmp", imports: ["sys"], packages: [] },
  // An operator's command may use it without the rest of the hypervisor's room.
  { path: "hypervisor/factory", imports: ["hypervisor", "sys"], packages: [] },
  { path: "agent", imports: ["sys", "proto"], packages: ["@grpc/grpc-js"] },
  {
    path: "shim",
    imports: ["network", "hypervisor", "sys", "proto"],
    packages: ["@grpc/grpc-js", "@bufbuild/protobuf"],
  },
  { path: "shim/config", imports: ["sys"], packages: ["smol-toml"] },
  // Could be published alone: nothing of containerd, nothing of pods.
  { path: "shim/ttrpc", imports: ["sys"], packages: ["@bufbuild/protobuf"] },
  // What an operator's command has to know of a pod: the files it keeps.
  { path: "shim/state", imports: ["sys"], packages: [] },
  {
    path: "cli",
    imports: [
      ...["shim/config", "shim/ttrpc", "shim/state", "shim/factory"],
      ...["hypervisor/factory", "hypervisor/qemu", "network", "sys", "proto"],
    ],
    packages: ["commander", "@bufbuild/protobuf"],
  },
];

/** What builds, installs, tests and measures it. */
const workshop: readonly Room[] = [
  { path: "guest", imports: ["sys"], packages: ["esbuild"] },
  { path: "setup", imports: ["guest", "sys"], packages: ["esbuild"] },
  { path: "checks", imports: ["shim/config"], packages: [] },
  { path: "test", imports: ["*"], packages: ["ava", "@grpc/grpc-js"] },
  { path: "bench", imports: ["*"], packages: ["@grpc/grpc-js"] },
  { path: "demo", imports: ["*"], packages: ["@grpc/grpc-js"] },
];

export const rooms: readonly Room[] = [...product, ...workshop];

/** A unit test beside the code may also use these: the test runner and the fakes we ship. */
export const testPackages: readonly string[] = ["ava"];
export const testImports: readonly string[] = ["test/fakes"];

/**
 * Programs that are started often and must start fast: neither they nor anything they import (lazily loaded parts
 * apart) may load these packages.
 */
export const lightPrograms: readonly { readonly file: string; readonly without: readonly string[] }[] = [
  { file: "shim/start.ts", without: ["@grpc/grpc-js", "netlink", "koffi", "smol-toml"] },
  { file: "shim/main.ts", without: ["@grpc/grpc-js", "netlink", "koffi", "smol-toml"] },
];
