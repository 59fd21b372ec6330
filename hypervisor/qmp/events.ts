/** What QEMU says unasked. */
export interface QmpEvent {
  readonly event: string;
  /** When QEMU noted it, in microseconds of the host's wall clock (`timestamp`); NaN: it does not say. */
  readonly atMicroseconds: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The events Tapir looks at, with the fields it looks at (QEMU's QMP reference manual). */
export interface QmpEvents {
  /** Noted just before the guest's clocks go on (vm_prepare_start in softmmu/cpus.c). */
  RESUME: Readonly<Record<string, never>>;
  SHUTDOWN: { readonly guest: boolean; readonly reason: string };
  /** With the capability "events": "setup", "active", "completed", "failed", ... */
  MIGRATION: { readonly status: string };
  GUEST_PANICKED: { readonly action: string };
  /** `device` is missing for a device without an id; then there is only the path. */
  DEVICE_DELETED: { readonly device?: string; readonly path: string };
  /** The guest refused to let go of the device. Since QEMU 6.2. */
  DEVICE_UNPLUG_GUEST_ERROR: { readonly device?: string; readonly path: string };
  /** The same for memory devices. */
  MEM_UNPLUG_ERROR: { readonly device: string; readonly msg: string };
}

export function isEvent<Name extends keyof QmpEvents>(
  event: QmpEvent,
  name: Name,
): event is QmpEvent & {
  readonly event: Name;
  readonly data: QmpEvents[Name] & Readonly<Record<string, unknown>>;
} {
  return event.event === name;
}
