/** What begins each line that the test image's process 1 says on the console for the test. */
export const REPORT = "KINDS ";

export interface KindResult {
  readonly name: string;
  /** Name, kind and, once connected, MAC of each NIC that the guest of such a pod would have. */
  readonly nics?: readonly string[];
  /** RTM_NEWLINK of each link as the kernel wrote it, in hexadecimal. */
  readonly raw?: readonly string[];
  /** Links whose frames went out of the pod, and those that frames for the pod came in on, with the family. */
  readonly out?: readonly string[];
  readonly in?: readonly string[];
  /** The namespace is as before once all is undone. */
  readonly undone?: boolean;
  readonly refused?: string;
}

/** What begins the line about a device of the node. */
export const PHYSICAL_REPORT = "PHYSICAL ";

export interface PhysicalResult {
  /** What was done by when, in milliseconds. */
  readonly steps: readonly string[];
  readonly nics: readonly string[];
  /** A confined QEMU has it, the namespace does not, and what that said of it is kept. */
  readonly handedOver: boolean;
  /** Back in the namespace as it was, after the pod's end. */
  readonly unwound: boolean;
  /** And after a crash, taken from a process that had it. */
  readonly replayed: boolean;
  /** Its driver before and after. */
  readonly driver: string;
}

/** What begins the line about a kernel that may load no module. */
export const MISSING_REPORT = "MISSING ";

export interface MissingResult {
  /** What is missing for each model, a sentence with the way out. */
  readonly tcfilter: readonly string[];
  readonly macvtap: readonly string[];
  /** What a pod of tcfilter was told. */
  readonly refused: string;
  readonly undone: boolean;
}
