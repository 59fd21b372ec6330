import { closeSync, writeSync } from "node:fs";
import { check, libc } from "./libc.ts";

// sys/epoll.h, sys/eventfd.h
const EPOLL_CLOEXEC = 0x8_0000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x001;
const EPOLLOUT = 0x004;
const EPOLLET = 0x8000_0000;
const EFD_CLOEXEC = 0x8_0000;

/** Packed on x86-64 only (EPOLL_PACKED). */
const EVENT = process.arch === "x64" ? { size: 12, data: 4 } : { size: 16, data: 8 };
const WATCHED = 0;
const WAKE = 1;

/** Tells when a descriptor that libuv does not want to poll (a character device) changed. */
export interface Readiness {
  /**
   * Resolves at the next change: data came, the peer went, or, while asked for, there is room to write.
   * Edge-triggered (epoll(7)): read until EAGAIN, or the next change is the next one only. False after `close`.
   */
  next(): Promise<boolean>;
  /** Whether room to write counts as a change. */
  watchRoom(wanted: boolean): void;
  /** Ends a waiting `next`; the descriptor itself stays open. */
  close(): void;
}

/** Watches `fd` with one thread of libuv's pool, which sleeps in epoll_wait(2) until something happens. */
export function watchReadiness(fd: number, object: string): Readiness {
  using opened = new DisposableStack();
  const owned = (made: number): number => opened.adopt(check(made, "watch", object), closeSync);
  const epoll = owned(libc.epoll_create1(EPOLL_CLOEXEC));
  const wake = owned(libc.eventfd(0, EFD_CLOEXEC));
  check(libc.epoll_ctl(epoll, EPOLL_CTL_ADD, wake, event(EPOLLIN, WAKE)), "watch", object);
  check(libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event(EPOLLIN | EPOLLET, WATCHED)), "watch", object);
  const descriptors = opened.move();
  let closed = false;
  let waiting = false;

  const release = (): void => descriptors.dispose();
  return {
    async next() {
      const events = Buffer.alloc(EVENT.size);
      waiting = true;
      // A signal that hits the pool's thread ends the wait early (EINTR, count -1): wait again.
      while (!closed && (await waitForEvent(epoll, events)) < 1);
      waiting = false;
      if (closed) release();
      return !closed;
    },
    watchRoom(wanted) {
      const mask = EPOLLIN | EPOLLET | (wanted ? EPOLLOUT : 0);
      check(libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, event(mask, WATCHED)), "watch", object);
    },
    close() {
      if (closed) return;
      closed = true;
      if (waiting) writeSync(wake, BigUint64Array.of(1n));
      else release();
    },
  };
}

function event(mask: number, data: number): Buffer {
  const buffer = Buffer.alloc(EVENT.size);
  buffer.writeUInt32LE(mask >>> 0, 0);
  buffer.writeUInt32LE(data, EVENT.data);
  return buffer;
}

function waitForEvent(epoll: number, events: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    libc.epoll_wait.async(epoll, events, 1, -1, (error: Error | null, count: number) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}
