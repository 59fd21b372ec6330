/**
 * A boot image small enough to write by hand: QEMU takes it for a Linux kernel (header of
 * Documentation/arch/x86/boot.rst), the guest runs a few real-mode instructions of ours. It lets tests have a
 * living VM without a guest system.
 */
export interface FakeKernel {
  /** Written to the first serial port, as often as told. */
  readonly says?: string;
  readonly repeat?: "forever";
  /** What the guest does then: sleep for ever, or reset the machine after a second. */
  readonly ends: "halt" | "reset";
}

const SECTOR = 512;
const SETUP_SECTORS = 4;
const CODE_OFFSET = 0x280;
const TEXT_OFFSET = 0x300;

export function fakeKernel({ says = "", repeat, ends }: FakeKernel): Buffer {
  const image = Buffer.alloc(SECTOR * (1 + SETUP_SECTORS) + 4096);
  image.writeUInt8(SETUP_SECTORS, 0x1f1);
  image.writeUInt32LE(4096 / 16, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  // jmp from the header's start over it.
  image.set([0xeb, CODE_OFFSET - 0x202], 0x200);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x020c, 0x206);
  image.writeUInt8(1, 0x211);
  image.writeUInt32LE(0x7fffffff, 0x22c);
  image.writeUInt32LE(4096, 0x238);
  image.set(program(repeat === "forever", ends), CODE_OFFSET);
  image.write(`${says}\0`, TEXT_OFFSET, "latin1");
  return image;
}

/** Real mode; the code segment starts at file offset 0x200. */
function program(forever: boolean, ends: FakeKernel["ends"]): number[] {
  const text = TEXT_OFFSET - 0x200;
  const print = [
    ...[0xbe, text & 0xff, text >> 8], // mov si, text
    ...[0xba, 0xf8, 0x03], // mov dx, 0x3f8
    ...[0x2e, 0x8a, 0x04], // next: mov al, cs:[si]
    ...[0x46], // inc si
    ...[0x84, 0xc0], // test al, al
    ...[0x74, 0x03], // jz done
    ...[0xee], // out dx, al
    ...[0xeb, 0xf5], // jmp next
  ];
  const again = forever ? [0xeb, 0x100 - print.length - 2] : [];
  const halt = [0xfa, 0xf4, 0xeb, 0xfc]; // cli; hlt; jmp cli
  // Half a billion rounds, a second or so: QEMU's monitor is to be up before its guest is gone.
  const delay = [0x66, 0xb9, 0x00, 0x00, 0x00, 0x20, 0x67, 0xe2, 0xfd]; // mov ecx, ...; loop (itself)
  const reset = [0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee]; // mov dx, 0xcf9; mov al, 6; out dx, al
  return [...print, ...again, ...(ends === "reset" ? [...delay, ...reset] : []), ...halt];
}
