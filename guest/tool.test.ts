import test from "ava";
import { runTool } from "./tool.ts";

test("a tool's output is returned", async (t) => {
  t.regex(await runTool("dpkg-deb", ["--version"]), /dpkg-deb/);
});

test("a tool that fails says so in its own last words, with the way out", async (t) => {
  await t.throwsAsync(
    runTool("dpkg-deb", ["-x", "/nonexistent.deb", "/nonexistent"], { hint: "try again" }),
    {
      message: /^cannot run dpkg-deb -x \/nonexistent\.deb: .*\/nonexistent\.deb.*; try again$/,
    },
  );
});

test("a tool that takes too long is ended", async (t) => {
  // Reads a package from stdin, which never comes.
  await t.throwsAsync(runTool("dpkg-deb", ["-I", "-"], { timeoutMs: 300 }), { message: /it took too long/ });
});
