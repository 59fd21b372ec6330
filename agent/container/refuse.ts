import { isIP } from "node:net";
import type {
  ConfigurePodRequest,
  CreateContainerRequest,
  MountSource,
  OnlineResourcesRequest,
  PortForwardRequest,
  SignalProcessRequest,
  Storage,
  StoragePath,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** Every check of what the host sends for containers, apart from the specification's own (parse-spec.ts). */
const LIMIT = {
  idCharacters: 128,
  pathBytes: 4096,
  sysctls: 256,
  storages: 256,
  mounts: 1024,
  devices: 1024,
  lowerFolders: 256,
  options: 64,
  optionBytes: 256,
  fileBytes: 1 << 20,
  vcpus: 1024,
  terminal: 0xffff,
} as const;
const MAX_SIGNAL = 64;

export function refuseId(what: string, id: string): void {
  when(
    !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(id) || id.length > LIMIT.idCharacters,
    what,
    id,
    "1 to 128 letters, digits, _ . -",
  );
}

/** Empty is init. */
export function refuseProcess({ containerId, execId }: { containerId: string; execId: string }): void {
  refuseId("container id", containerId);
  if (execId !== "") refuseId("exec id", execId);
}

export function refuseConfigurePod({ sysctls }: ConfigurePodRequest): void {
  tooMany("sysctls", Object.keys(sysctls).length, LIMIT.sysctls);
}

export function refuseStorage(storage: Storage | undefined): void {
  if (storage === undefined) throw refusal("storage", "", "it is missing");
  const { id, virtioFs, blockDevice, tmpfs, overlay } = storage;
  refuseId("storage id", id);
  exactlyOne(`kind of storage ${id}`, [virtioFs, blockDevice, tmpfs, overlay]);
  if (virtioFs !== undefined)
    when(!/^[\x21-\x7e]{1,36}$/.test(virtioFs.tag), "tag", virtioFs.tag, "1 to 36 visible characters");
  if (blockDevice !== undefined) refuseBlockDevice(blockDevice);
  if (tmpfs !== undefined) refuseMode(tmpfs.mode);
  if (overlay === undefined) return;
  when(overlay.lower.length === 0, "overlay", id, "it lies over nothing");
  tooMany("overlay folders", overlay.lower.length, LIMIT.lowerFolders);
  const paths = [...overlay.lower, ...(overlay.upper === undefined ? [] : [overlay.upper])];
  for (const path of paths) {
    refuseStoragePath(path);
    when(/[:,\\]/.test(path.path), "overlay folder", path.path, "no colon, comma or backslash");
  }
}

export function refuseStoragePath({ storageId, path }: StoragePath): void {
  refuseId("storage id", storageId);
  const parts = path.split("/");
  const bad = path !== "" && parts.some((part) => part === "" || part === "." || part === "..");
  when(bad || path.includes("\0"), "storage path", path, 'relative, without "." and ".."');
  when(Buffer.byteLength(path) > LIMIT.pathBytes, "storage path", path, "at most 4096 bytes");
}

export function refuseCreateContainer(request: CreateContainerRequest): void {
  const { containerId, storages, rootfs, mountSources, deviceSources, pidNamespaceOf } = request;
  refuseId("container id", containerId);
  if (pidNamespaceOf !== "") refuseId("container id", pidNamespaceOf);
  tooMany("storages", storages.length, LIMIT.storages);
  for (const storage of storages) refuseStorage(storage);
  if (rootfs === undefined) throw refusal("rootfs", "", "it is missing");
  refuseStoragePath(rootfs);
  tooMany("mount sources", mountSources.length, LIMIT.mounts);
  for (const source of mountSources) refuseMountSource(source);
  const indexes = new Set(mountSources.map(({ index }) => index));
  when(indexes.size < mountSources.length, "mount sources", containerId, "one of them is there twice");
  tooMany("device sources", deviceSources.length, LIMIT.devices);
  for (const { serial } of deviceSources) refuseSerial(serial);
}

function refuseMountSource({ index, storage, tmpfs, blockDevice, file, skip }: MountSource): void {
  exactlyOne(`source of mount ${index}`, [storage, tmpfs, blockDevice, file, skip]);
  if (storage !== undefined) refuseStoragePath(storage);
  if (tmpfs !== undefined) refuseMode(tmpfs.mode);
  if (blockDevice !== undefined) refuseBlockDevice(blockDevice);
  if (file === undefined) return;
  refuseMode(file.mode);
  when(file.content.length > LIMIT.fileBytes, "file size", String(file.content.length), "at most 1 MiB");
}

function refuseBlockDevice({ serial, fileSystem, options }: NonNullable<Storage["blockDevice"]>): void {
  refuseSerial(serial);
  when(!/^[a-z0-9]{1,16}$/.test(fileSystem), "file system", fileSystem, "1 to 16 letters and digits");
  tooMany("mount options", options.length, LIMIT.options);
  for (const option of options)
    when(
      !/^[\x21-\x2b\x2d-\x7e]+$/.test(option) || option.length > LIMIT.optionBytes,
      "mount option",
      option,
      "one word",
    );
}

function refuseSerial(serial: string): void {
  when(!/^[\x21-\x7e]{1,20}$/.test(serial), "disk serial", serial, "1 to 20 visible characters");
}

function refuseMode(mode: number): void {
  when(mode > 0o7777, "mode", mode.toString(8), "at most 7777");
}

export function refuseSignal(request: SignalProcessRequest): void {
  refuseProcess(request);
  const { signal, all, execId } = request;
  when(signal < 1 || signal > MAX_SIGNAL, "signal", String(signal), "1 to 64");
  when(all && execId !== "", "signal to all", execId, "it goes to the container, not to one process");
}

export function refuseTerminalSize({ rows, columns }: { rows: number; columns: number }): void {
  when(Math.max(rows, columns) > LIMIT.terminal, "terminal size", `${columns}x${rows}`, "at most 65535 each");
}

export function refusePortForward({ port, address }: PortForwardRequest): void {
  when(port < 1 || port > 0xffff, "port", String(port), "1 to 65535");
  when(address !== "" && isIP(address) === 0, "address", address, "an IPv4 or IPv6 address");
}

export function refuseOnlineResources({ vcpus }: OnlineResourcesRequest): void {
  when(vcpus > LIMIT.vcpus, "vcpus", String(vcpus), "at most 1024");
}

function exactlyOne(what: string, choices: readonly unknown[]): void {
  const count = choices.filter((choice) => choice !== undefined).length;
  when(count !== 1, what, String(count), "exactly one is given");
}

function tooMany(what: string, count: number, limit: number): void {
  when(count > limit, `number of ${what}`, String(count), `at most ${limit}`);
}

function when(wrong: boolean, what: string, value: string, cause: string): void {
  if (wrong) throw refusal(what, value, cause);
}

function refusal(what: string, value: string, cause: string): TapirError {
  // Quoted and cut: the value goes back to the host and into its log.
  const object = `${what} ${JSON.stringify(value.slice(0, 64))}`;
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "accept", object, cause });
}
