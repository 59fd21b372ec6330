/** What one container may use at most; 0: no limit. */
export interface ContainerLimits {
  /** CPUs, also parts of one: quota over period. */
  readonly cpus: number;
  readonly memoryBytes: number;
}

export const NO_LIMITS: ContainerLimits = { cpus: 0, memoryBytes: 0 };
/** The kernel's default, for a quota that comes without one. */
const PERIOD_US = 100_000;
/** Beyond any machine: what some write for "none". */
const ENDLESS_BYTES = 2 ** 62;

/** Those in `linux.resources` of an OCI spec; what is missing is as `before`. What makes no sense is no limit. Pure. */
export function limitsOf(resources: unknown, before: ContainerLimits = NO_LIMITS): ContainerLimits {
  const { cpu, memory } = fieldsOf(resources);
  const { quota, period } = fieldsOf(cpu);
  const { limit } = fieldsOf(memory);
  return {
    cpus: isNumber(quota)
      ? positive(quota) / (isNumber(period) && period > 0 ? period : PERIOD_US)
      : before.cpus,
    memoryBytes: isNumber(limit) ? (limit < ENDLESS_BYTES ? positive(limit) : 0) : before.memoryBytes,
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** -1 is "none". */
function positive(value: number): number {
  return Math.max(0, value);
}
