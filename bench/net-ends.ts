/** Who is at the end of a NIC of bench:net. Each arm has a subnet of its own, 10.50.<net>.0/24. */
export interface End {
  /** Its links on the node are called so, with the number of the net. */
  readonly name: string;
  /** In its address and its MAC. */
  readonly host: number;
}

export const ENDS = {
  /** The VM whose ways are measured, and the pod without VM. */
  serving: { name: "to", host: 2 },
  /** A pod without VM that talks to them. */
  other: { name: "other", host: 3 },
  /** A VM that does, each time by the way it talks to. */
  asking: { name: "from", host: 4 },
} as const satisfies Record<string, End>;

export const addressOf = (net: number, { host }: End): string => `10.50.${net}.${host}`;

/** A guest finds the net of a NIC in the last byte of its MAC. */
export const macOf = (net: number, { host }: End): string =>
  `02:00:00:00:5${host}:${net.toString(16).padStart(2, "0")}`;
