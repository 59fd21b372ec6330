import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { VmSpec } from "../hypervisor.ts";

/** virtio-pmem maps the image in pieces of this size; the image is padded to it when it is built. */
const IMAGE_ALIGNMENT = 2 * 1024 * 1024;

/**
 * Looks at the files of a VM before QEMU does, whose own words do not say which setting to change.
 * Returns the size of the image. Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT.
 */
export async function checkFiles(spec: VmSpec): Promise<{ imageBytes: number }> {
  const [, , , imageBytes] = await Promise.all([
    checkFile("QEMU binary", spec.qemu, "path", constants.X_OK),
    checkFile("guest kernel", spec.kernel, "kernel", constants.R_OK),
    checkFile("guest initramfs", spec.initramfs, "initramfs", constants.R_OK),
    checkFile("guest image", spec.image, "image", constants.R_OK),
  ]);
  if (spec.imageDriver === "virtio-pmem" && (imageBytes === 0 || imageBytes % IMAGE_ALIGNMENT !== 0)) {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "map",
      object: `guest image ${spec.image}`,
      cause: `its size, ${imageBytes} bytes, is not a multiple of 2 MiB`,
      hint: 'build it again with "npm run guest" or set hypervisor.qemu.image_driver to "virtio-blk"',
    });
  }
  return { imageBytes };
}

async function checkFile(what: string, path: string, key: string, mode: number): Promise<number> {
  try {
    const { size } = await stat(path);
    await access(path, mode);
    return size;
  } catch (error) {
    throw wrapError(error, {
      operation: "use",
      object: `${what} ${path}`,
      hint: `set hypervisor.qemu.${key} in the configuration`,
    });
  }
}
