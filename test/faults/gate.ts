/** Lets so many at a time be busy with the machine's processors. Who only waits leaves it. */
export interface Gate {
  /** Resolves when there is room; what it returns makes room for the next, once however often it is called. */
  enter(): Promise<() => void>;
}

export function gateFor(places: number): Gate {
  let free = places;
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return {
    async enter() {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      let inside = true;
      return () => {
        if (inside) leave();
        inside = false;
      };
    },
  };
}
