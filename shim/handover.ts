/** What `start` hands over to `serve`. */

/** Descriptor of the listening socket. */
export const LISTEN_FD = 3;
/** Environment variable with the epoch milliseconds at which containerd called `start`: the timeline's origin. */
export const CALLED_AT = "TAPIR_CALLED_AT";
