import test from "ava";
import { compilersFor } from "./compiler.ts";

test("an emulated processor gets the compiler that does not optimize, a real one all", (t) => {
  const emulated = "processor\t: 0\nmodel name\t: QEMU TCG CPU version 2.5+\nstepping\t: 3\n";
  const real = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz\n";
  t.deepEqual(compilersFor(emulated), ["--sparkplug"]);
  t.deepEqual(compilersFor(real), ["--sparkplug", "--maglev", "--opt"]);
});
