export interface ContainerdConfigOptions {
  /** Major version of containerd: 1 (1.6, 1.7) or 2. */
  readonly major: number;
  /** Everything the daemon keeps lies below. */
  readonly directory: string;
  readonly cniBinDirectory: string;
  readonly cniConfDirectory: string;
  readonly pauseImage: string;
}

/** Paths of a private containerd below its directory. */
export const containerdPaths = (directory: string) => ({
  config: `${directory}/containerd.toml`,
  log: `${directory}/containerd.log`,
  root: `${directory}/root`,
  state: `${directory}/state`,
  socket: `${directory}/containerd.sock`,
});

// Plugins that look for devices or services a test has no use for.
const DISABLED = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
];

/**
 * The configuration of a private containerd with the runtime handlers `runc` (default) and `tapir`.
 * What differs from a node on purpose: the pods' netns files lie below the state directory, where they cannot be taken
 * for a stranger's, and a negative oom_score_adj is not demanded: machines for tests often lack CAP_SYS_RESOURCE.
 */
export function containerdConfig(options: ContainerdConfigOptions): string {
  const paths = containerdPaths(options.directory);
  const head = `version = ${options.major === 1 ? 2 : 3}
root = "${paths.root}"
state = "${paths.state}"
disabled_plugins = ${JSON.stringify(DISABLED)}
[grpc]
  address = "${paths.socket}"
`;
  return head + (options.major === 1 ? criVersion2(options) : criVersion3(options));
}

function criVersion2(options: ContainerdConfigOptions): string {
  const cri = `plugins."io.containerd.grpc.v1.cri"`;
  return `[${cri}]
  sandbox_image = "${options.pauseImage}"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
[${cri}.cni]
  bin_dir = "${options.cniBinDirectory}"
  conf_dir = "${options.cniConfDirectory}"
[${cri}.containerd]
  default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.tapir]
  runtime_type = "io.containerd.tapir.v2"
  pod_annotations = ["io.tapir.*"]
  container_annotations = ["io.tapir.*"]
  privileged_without_host_devices = true
`;
}

function criVersion3(options: ContainerdConfigOptions): string {
  const cri = "plugins.'io.containerd.cri.v1.runtime'";
  return `[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "${options.pauseImage}"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
[${cri}]
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
[${cri}.cni]
  bin_dir = "${options.cniBinDirectory}"
  conf_dir = "${options.cniConfDirectory}"
[${cri}.containerd]
  default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.tapir]
  runtime_type = "io.containerd.tapir.v2"
  pod_annotations = ["io.tapir.*"]
  container_annotations = ["io.tapir.*"]
  privileged_without_host_devices = true
`;
}
