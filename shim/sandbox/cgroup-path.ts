import { posix } from "node:path";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/**
 * Where in each cgroup hierarchy a `linux.cgroupsPath` lies: "/kubepods/pod7/abc" as it is; systemd's form
 * "kubepods-pod7.slice:cri-containerd:abc" is the scope cri-containerd-abc.scope in that slice, which lies in all slices
 * whose names it continues. "" stays "". Throws INVALID_ARGUMENT for a path that leads elsewhere.
 */
export function cgroupPath(cgroupsPath: string): string {
  const [slice = "", prefix, name, ...rest] = cgroupsPath.split(":");
  if (prefix !== undefined && name !== undefined && rest.length === 0 && !cgroupsPath.includes("/")) {
    const unit = name.endsWith(".slice") ? name : `${prefix === "" ? "" : `${prefix}-`}${name}.scope`;
    return posix.join("/", ...slicePath(slice), unit);
  }
  if (cgroupsPath === "") return "";
  if (cgroupsPath.split("/").includes("..") || cgroupsPath.includes("\0")) throw refused(cgroupsPath);
  return posix.join("/", cgroupsPath);
}

/** "a-b.slice" lies in "a.slice"; "-.slice" and "" are the root. */
function slicePath(slice: string): string[] {
  if (slice === "" || slice === "-.slice") return [];
  const words = slice.replace(/\.slice$/, "").split("-");
  if (!slice.endsWith(".slice") || words.includes("") || words.includes("..")) throw refused(slice);
  return words.map((_, index) => `${words.slice(0, index + 1).join("-")}.slice`);
}

function refused(path: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "use",
    object: `cgroup ${JSON.stringify(path)}`,
    cause: "it is no path below the root of the cgroups",
    hint: "give /PARENT/NAME, or SLICE:PREFIX:NAME for systemd",
  });
}
