/** Keeps the end of a stream: what a process or a guest said last. Bounded, whatever is written to it. */
export interface Tail {
  push(chunk: Uint8Array): void;
  /** Printable text: a guest must not move the cursor of who reads it. */
  text(): string;
}

export function createTail(maxBytes: number): Tail {
  let kept = Buffer.alloc(0);
  return {
    push(chunk) {
      const all = chunk.length >= maxBytes ? Buffer.from(chunk) : Buffer.concat([kept, chunk]);
      kept = all.subarray(Math.max(0, all.length - maxBytes));
    },
    text: () => printable(kept.toString("utf8")),
  };
}

function printable(text: string): string {
  return (
    text
      // Colours and cursor movements go whole, other control characters one by one.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      .replaceAll(/\u001b(\[[0-9;?]*[A-Za-z]|.)/g, "")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      .replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (char) => (char === "\t" ? char : ""))
      .trim()
  );
}
