import test from "ava";
import { codeOf } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import { isIdentifier, parseArguments, requireIdentity } from "./bootstrap.ts";

test("start, as containerd 1.6 to 2.x calls it", (t) => {
  const argv =
    "-namespace k8s.io -address /run/c.sock -publish-binary /usr/bin/containerd -id abc -debug start";
  t.deepEqual(parseArguments(argv.split(" ")), {
    command: "start",
    id: "abc",
    namespace: "k8s.io",
    address: "/run/c.sock",
    bundle: "",
    debug: true,
  });
});

test("delete with its bundle, and Go's other ways to write a flag", (t) => {
  const invocation = parseArguments([
    "--id=a=b",
    "-bundle",
    "/run/b",
    "-debug=false",
    "--namespace",
    "n",
    "delete",
  ]);
  t.like(invocation, { command: "delete", id: "a=b", bundle: "/run/b", debug: false, namespace: "n" });
});

test("-v and -info need no command and no identity", (t) => {
  t.is(parseArguments(["-v"]).command, "version");
  t.is(parseArguments(["-info"]).command, "info");
});

test("what is wrong is said in one sentence", (t) => {
  t.throws(() => parseArguments(["-id"]), { message: "cannot use flag -id: it needs a value" });
  t.throws(() => parseArguments(["-pid", "1", "start"]), {
    message: "cannot use flag -pid: it is not known",
  });
  t.throws(() => parseArguments([]), {
    message: "cannot use the command: none is given; containerd calls start or delete",
  });
  t.throws(() => parseArguments(["-id", "a", "stop"]), {
    message: /^cannot use command "stop": it is not known; /,
  });
});

test("identities that would leave their directory are refused", (t) => {
  const base = parseArguments(["-namespace", "k8s.io", "-id", "a", "start"]);
  t.notThrows(() => requireIdentity(base));
  for (const id of ["../a", "a/b", ".", "", "a..b", "-a", "a b", "a".repeat(77), "a\n"]) {
    const error = t.throws(() => requireIdentity({ ...base, id }), undefined, id);
    t.is(codeOf(error), Code.INVALID_ARGUMENT);
  }
  t.true(isIdentifier("606158bce8f96f166beebac49a9f70f6a55245b63638de9a6ca5085c859bf519"));
});
