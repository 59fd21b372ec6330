/**
 * The parts of the OCI runtime specification (config.md, config-linux.md) that the agent looks at. What it does not
 * look at is `unknown` and passed on, or not mentioned and left out.
 */
export interface OciSpec {
  readonly ociVersion?: string;
  readonly process?: OciProcess;
  readonly root?: { readonly path?: string; readonly readonly?: boolean };
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts?: readonly OciMount[];
  readonly hooks?: unknown;
  readonly annotations?: Readonly<Record<string, unknown>>;
  readonly linux?: OciLinux;
}

export interface OciProcess {
  readonly terminal?: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly user?: unknown;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly capabilities?: unknown;
  readonly rlimits?: unknown;
  readonly noNewPrivileges?: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

export interface OciMount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

export interface OciLinux {
  readonly namespaces?: readonly OciNamespace[];
  readonly cgroupsPath?: string;
  readonly resources?: OciResources;
  readonly devices?: readonly OciDevice[];
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly seccomp?: Readonly<Record<string, unknown>>;
  readonly maskedPaths?: unknown;
  readonly readonlyPaths?: unknown;
  readonly rootfsPropagation?: string;
  readonly mountLabel?: string;
  readonly uidMappings?: unknown;
  readonly gidMappings?: unknown;
  readonly personality?: unknown;
  readonly intelRdt?: unknown;
  readonly timeOffsets?: unknown;
}

export interface OciNamespace {
  readonly type: string;
  readonly path?: string;
}

/** `type` is "b", "c", "u" or "p"; numbers are missing for pipes. */
export interface OciDevice {
  readonly type: string;
  readonly path: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface OciResources {
  readonly devices?: readonly OciDeviceRule[];
  readonly memory?: Readonly<Record<string, unknown>>;
  readonly cpu?: Readonly<Record<string, unknown>>;
  readonly pids?: unknown;
  readonly hugepageLimits?: readonly OciHugepageLimit[];
  readonly unified?: Readonly<Record<string, string>>;
  readonly blockIO?: unknown;
  readonly network?: unknown;
  readonly rdma?: unknown;
}

/** `pageSize` is "2MB", "1GB", "64KB". */
export interface OciHugepageLimit {
  readonly pageSize: string;
  readonly limit: unknown;
}

/** A number that is missing stands for all. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly access?: string;
}
