import test from "ava";
import { NO_LIMIT, parseFlat, parseLimit, parseNested } from "./flat-file.ts";

test("flat and nested files of cgroup v2", (t) => {
  t.deepEqual(
    [...parseFlat("usage_usec 10\nuser_usec 18446744073709551615\n\nodd\nx y\n")],
    [
      ["usage_usec", 10n],
      ["user_usec", 18446744073709551615n],
    ],
  );
  const io = parseNested("254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n254:16 \n8:0 rbytes=x\n");
  t.is(io.get("254:0")?.get("rbytes"), 4096n);
  t.deepEqual([...io.keys()], ["254:0", "254:16", "8:0"]);
  t.is(io.get("8:0")?.size, 0);
});

test("limits", (t) => {
  t.is(parseLimit("4096\n"), 4096n);
  t.is(parseLimit("max\n"), NO_LIMIT);
  t.is(parseLimit(""), NO_LIMIT, "a file that is not there limits nothing");
});
