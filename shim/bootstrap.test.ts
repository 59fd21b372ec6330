import test from "ava";
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
  t.throws(() => parseArguments(["-id"]), { message: "flag -id needs a value" });
  t.throws(() => parseArguments(["-pid", "1", "start"]), { message: "flag -pid is not known" });
  t.throws(() => parseArguments([]), { message: /no command is given/ });
  t.throws(() => parseArguments(["-id", "a", "stop"]), { message: /command "stop" is not known/ });
});

test("identities that would leave their directory are refused", (t) => {
  const base = parseArguments(["-namespace", "k8s.io", "-id", "a", "start"]);
  t.notThrows(() => requireIdentity(base));
  for (const id of ["../a", "a/b", ".", "", "a..b", "-a", "a b", "a".repeat(77), "a\n"]) {
    t.throws(() => requireIdentity({ ...base, id }), undefined, id);
  }
  t.true(isIdentifier("606158bce8f96f166beebac49a9f70f6a55245b63638de9a6ca5085c859bf519"));
});
