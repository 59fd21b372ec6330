/** Kernel parameters that every boot of the image gets; the reasons are in README.md. */
export const KERNEL_PARAMETERS = ["quiet", "panic=-1"] as const;
