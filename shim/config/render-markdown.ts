import { expectation } from "./key.ts";
import { tomlValue } from "./render-toml.ts";
import { type SchemaKey, schemaKeys } from "./schema.ts";

const introduction = `# Configuration

<!-- Generated from shim/config/schema.ts by \`npm run generate\`. Do not edit. -->

Tapir needs no configuration where the guest image lies in \`/usr/share/tapir\` and QEMU in \`/usr/bin\`. What is different
on your node goes into one small drop-in:

\`\`\`toml
# /etc/tapir/config.d/10-memory.toml
[hypervisor.qemu]
default_memory_mib = 512
\`\`\`

## Where it is read

The first of these that exists is the configuration; it is read when a pod is created, so a change needs no restart.

1. \`ConfigPath\` in the runtime handler's options of containerd
2. the file that the environment variable \`TAPIR_CONFIG\` of containerd names
3. \`/etc/tapir/configuration.toml\`
4. \`/usr/share/defaults/tapir/configuration.toml\`
5. none: the defaults below

Then \`config.d/*.toml\` beside it are merged in the order of their names, and \`/etc/tapir/config.d/*.toml\` for 4 and 5.
What comes later wins; a list replaces a list. A file that 1 or 2 name must exist.

Whatever is wrong in a file (TOML syntax with its line, an unknown key with the nearest known one, a wrong type, a value
out of range) fails the creation of the pod with a sentence that names file and key:

\`\`\`
cannot use configuration /etc/tapir/configuration.toml: hypervisor.qemu.default_memory_mib: expected an integer of 64 to 1048576 (MiB), got "512M"
\`\`\`

## Per pod, by annotation

An annotation \`io.tapir.config.<section>.<key>\` changes a key for one pod, where the node allows it:

\`\`\`toml
[runtime]
enable_annotations = ["default_vcpus", "default_memory_mib", "hypervisor\\\\.qemu\\\\.kernel"]
valid_annotation_paths = ["/usr/share/tapir/kernels/*"]
\`\`\`

An entry of \`enable_annotations\` is a key's name, or its whole path, or a regular expression for one of them. A key that
holds a path also needs the path in \`valid_annotation_paths\`. Keys marked *node* are never changed by a pod. Lists are not
available as annotations; everything else is written as in the file, without quotes. containerd hands a pod's annotations
to the runtime only where the handler lists them: \`pod_annotations = ["io.tapir.*"]\`.

## Keys
`;

/** The text of `docs/configuration.md`. */
export function renderMarkdown(): string {
  const sections = Map.groupBy(schemaKeys.values(), ({ section }) => section);
  const tables = [...sections].map(([section, entries]) => renderSection(section, entries));
  return `${introduction}\n${tables.join("\n")}`;
}

function renderSection(section: string, entries: readonly SchemaKey[]): string {
  const rows = entries.map(({ name, key }) => {
    const kata = key.kata === undefined ? "" : ` Kata: \`${key.kata}\`.`;
    const node = key.nodeWide ? " *node*" : "";
    const cells = [
      `\`${name}\`${node}`,
      `\`${tomlValue(key, key.default)}\``,
      expectation(key),
      `${key.doc}${kata}`,
    ];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return `### [${section}]\n\n| key | default | values | what it does |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}
