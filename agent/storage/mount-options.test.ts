import test from "ava";
import { MS } from "../../sys/mount.ts";
import { mountOptions } from "./mount-options.ts";

test("flags are set and cleared in order, the rest is the file system's", (t) => {
  t.deepEqual(mountOptions([]), { flags: 0, data: "" });
  t.deepEqual(mountOptions(["ro", "nosuid", "discard", "commit=5"]), {
    flags: MS.RDONLY | MS.NOSUID,
    data: "discard,commit=5",
  });
  t.deepEqual(mountOptions(["ro", "rw", "nodev", "dev"]), { flags: 0, data: "" });
});

test("how a container binds and labels it is not the mount's", (t) => {
  t.deepEqual(mountOptions(["rbind", "rprivate", "shared", "context=x", "defaults"]), { flags: 0, data: "" });
});
