import type { Event } from "../../proto/gen/tapir/agent/v1/container.ts";

/** What happens to containers and processes, for whoever listens now. */
export interface Events {
  tell(event: Event): void;
  listen(listener: (event: Event) => void): Disposable;
}

export function createEvents(): Events {
  const listeners = new Set<(event: Event) => void>();
  return {
    tell(event) {
      for (const listener of listeners) listener(event);
    },
    listen(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => listeners.delete(listener) };
    },
  };
}
