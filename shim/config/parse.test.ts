import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { parseConfiguration } from "./parse.ts";

function problemOf(text: string): string {
  try {
    parseConfiguration(text, "/etc/x.toml");
  } catch (thrown) {
    if (thrown instanceof TapirError && thrown.code === Code.INVALID_ARGUMENT) return thrown.message;
    throw thrown;
  }
  return "no error";
}

const qemu = (line: string): string => `[hypervisor.qemu]\n${line}\n`;

test("values come back by path, with their types", (t) => {
  const text = `${qemu('default_vcpus = 4\nimage_driver = "virtio-blk"\nkernel_params = "a=1  b=\\"x y\\""')}
    [runtime]
    debug = true
    enable_annotations = ["default_.*"]`;
  t.deepEqual(Object.fromEntries(parseConfiguration(text, "f")), {
    "hypervisor.qemu.default_vcpus": 4,
    "hypervisor.qemu.image_driver": "virtio-blk",
    "hypervisor.qemu.kernel_params": ["a=1", 'b="x y"'],
    "runtime.debug": true,
    "runtime.enable_annotations": ["default_.*"],
  });
});

test("an empty text and empty tables are fine", (t) => {
  t.is(parseConfiguration("", "f").size, 0);
  t.is(parseConfiguration("[hypervisor]\n[hypervisor.qemu]\n[agent]\n", "f").size, 0);
});

const wrong: readonly [string, string, string][] = [
  [
    "text for an integer",
    qemu('default_memory_mib = "512M"'),
    'hypervisor.qemu.default_memory_mib: expected an integer of 64 to 1048576 (MiB), got "512M"',
  ],
  ["too small", qemu("default_memory_mib = 63"), "got 63"],
  ["too large", qemu("default_memory_mib = 1048577"), "got 1048577"],
  ["beyond 53 bits", qemu("default_memory_mib = 9223372036854775807"), "expected an integer"],
  ["a float that is whole", qemu("default_vcpus = 2.0"), "expected an integer of 1 to 240, got 2"],
  ["not a number", qemu("default_vcpus = nan"), "expected an integer"],
  ["text for a boolean", '[runtime]\ndebug = "true"', 'runtime.debug: expected true or false, got "true"'],
  [
    "not one of the values",
    qemu('image_driver = "nvdimm"'),
    'image_driver: expected "virtio-pmem" or "virtio-blk", got "nvdimm"',
  ],
  ["a relative path", qemu('kernel = "vmlinuz"'), "kernel: expected an absolute path"],
  ["a path with ..", qemu('kernel = "/usr/../etc/vmlinuz"'), "kernel: expected an absolute path"],
  ["a path with a zero byte", qemu('kernel = "/a\\u0000b"'), "kernel: expected an absolute path"],
  ["an open quote", qemu("kernel_params = 'a=\"b'"), "kernel_params: expected a string of at most 1024"],
  ["a control character", qemu('kernel_params = "a\\u0007"'), "kernel_params: expected a string"],
  ["a long string", qemu(`kernel_params = "${"x".repeat(2000)}"`), `got "${"x".repeat(59)}…`],
  ["a bad expression", '[runtime]\nenable_annotations = ["("]', "expected a list of regular expressions"],
  ["a mixed list", '[runtime]\nenable_annotations = ["a", 1]', 'got ["a",1]'],
  ["text for a list", '[runtime]\nenable_annotations = "a"', 'got "a"'],
  ["a date", qemu("kernel = 2024-01-01"), "got the date 2024-01-01"],
  ["a table for a key", "[hypervisor.qemu.kernel]\nx = 1", "at its end, got a table"],
  ["a key for a table", "hypervisor = 3", 'hypervisor: expected a table "[hypervisor]"'],
  ["a list of tables", "[[agent]]\n", 'agent: expected a table "[agent]"'],
  ["a misspelt key", qemu("default_vcpu = 1"), 'unknown key, did you mean "hypervisor.qemu.default_vcpus"?'],
  ["Kata's name", qemu("default_memory = 1"), 'did you mean "hypervisor.qemu.default_memory_mib"?'],
  [
    "Kata's section",
    '[runtime]\ninternetworking_model = "none"',
    'runtime.internetworking_model: unknown key, did you mean "network.internetworking_model"?',
  ],
  ["a misspelt section", '[hypervisor.kvm]\nkernel = "/k"', 'did you mean "hypervisor.qemu.kernel"?'],
  ["far from everything", "zzzzzzzzzz = 1", "zzzzzzzzzz: unknown key"],
  ["an empty unknown table", "[netmon]", "netmon: unknown key"],
  ["a name of Object's", "[constructor]\nprototype = 1", "constructor.prototype: unknown key"],
  ["__proto__", "[__proto__]\nx = 1", "__proto__.x: unknown key"],
  ["broken syntax", "[runtime]\ndebug = tru\n", "/etc/x.toml: line 2, column "],
  ["a key given twice", "[runtime]\ndebug = true\ndebug = false\n", "line 3"],
];

for (const [name, text, expected] of wrong) {
  test(`refused: ${name}`, (t) => {
    const message = problemOf(text);
    t.true(message.startsWith("cannot use configuration /etc/x.toml: "), message);
    t.true(message.includes(expected), message);
    t.false(message.includes("\n"), message);
  });
}

test("all problems of a file are said at once", (t) => {
  const message = problemOf(qemu('default_vcpus = 0\nkernel = "k"\nnonsense = 1'));
  for (const part of ["default_vcpus", "qemu.kernel", "nonsense"]) t.true(message.includes(part), message);
});

test("deep nesting and random bytes never crash", (t) => {
  t.not(problemOf(`a = ${"[".repeat(100_000)}`), "no error");
  let seed = 1;
  const next = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed;
  };
  const pieces = [
    "[",
    "]",
    "hypervisor",
    ".",
    "qemu",
    "=",
    '"',
    "\n",
    "1",
    "{",
    "}",
    ",",
    "'''",
    "\\u",
    "\0",
    "#",
    "é",
  ];
  for (let round = 0; round < 2000; round++) {
    const text = Array.from({ length: next() % 30 }, () => pieces[next() % pieces.length]).join("");
    t.notThrows(() => problemOf(text), JSON.stringify(text));
  }
});
