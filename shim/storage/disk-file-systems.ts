/** File systems that live on a disk and that the guest's kernel knows: the host does not mount them, the guest does. */
export const DISK_FILE_SYSTEMS: readonly string[] = ["ext2", "ext3", "ext4", "xfs", "erofs"];
