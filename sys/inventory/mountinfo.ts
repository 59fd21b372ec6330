import { readText } from "./read.ts";

/** A line of /proc/<pid>/mountinfo (proc(5)), as far as it is looked at. */
export interface MountInfo {
  /** Names the file system: "0:57". */
  readonly device: string;
  /** What of the file system is mounted: `net:[4026532000]` for a namespace file. */
  readonly root: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
  /** The file system's own options: "rw,size=1024k". */
  readonly options: string;
}

/** Every mount this process sees, in order. */
export function readMounts(): MountInfo[] {
  return readText("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => line !== "")
    .map(parseMountInfo);
}

/** Fields after the target are optional and end with a lone `-`; spaces in names are written as \040. */
export function parseMountInfo(line: string): MountInfo {
  const [head = "", tail = ""] = line.split(" - ", 2);
  const [, , device = "", root = "", target = ""] = head.split(" ").map(unescaped);
  const [type = "", source = "", options = ""] = tail.split(" ").map(unescaped);
  return { device, root, target, type, source, options };
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
