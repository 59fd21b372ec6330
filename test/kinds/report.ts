/** What begins each line that the test image's process 1 says on the console for the test. */
export const REPORT = "KINDS ";

export interface KindResult {
  readonly name: string;
  /** Name, kind and, once connected, MAC of each NIC that the guest of such a pod would have. */
  readonly nics?: readonly string[];
  /** Links whose frames went out of the pod, and those that frames for the pod came in on. */
  readonly out?: readonly string[];
  readonly in?: readonly string[];
  /** The namespace is as before once all is undone. */
  readonly undone?: boolean;
  readonly refused?: string;
}
