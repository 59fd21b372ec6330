import { wrapError } from "../../sys/error.ts";
import { failpoint } from "../../sys/failpoint.ts";
import { Code } from "../../sys/status.ts";
import type { Call, Handler } from "../ttrpc/server.ts";
import { StatusCode, TtrpcError } from "../ttrpc/status.ts";

/** One message type of generated code. */
interface Message<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}
interface Method {
  readonly name: string;
  readonly requestType: Pick<Message<unknown>, "decode">;
  readonly responseType: { encode(message: never): { finish(): Uint8Array } };
}
type Methods = Readonly<Record<string, Method>>;

/** The methods of a generated service that are there, on decoded messages. */
export type Implementation<M extends Methods> = {
  readonly [K in keyof M]?: (
    request: ReturnType<M[K]["requestType"]["decode"]>,
    call: Call,
  ) => Promise<Parameters<M[K]["responseType"]["encode"]>[0]>;
};

/** What happens around the methods of a service. */
export interface Around {
  /** The methods are failpoints: `<failpoints>.<method>` before the work, `<failpoints>.<method>!` after it. */
  readonly failpoints?: string;
  /** Hears of each request how many milliseconds it took, and what it failed with. */
  readonly onAnswered?: (method: string, milliseconds: number, error?: unknown) => void;
}

/** Handlers for every method of a generated service; what is not implemented says so, with its name. */
export function handlersOf<M extends Methods>(
  methods: M,
  implementation: Implementation<M>,
  around: Around = {},
): Record<string, Handler> {
  return Object.fromEntries(
    Object.entries(methods).map(([key, method]): [string, Handler] => {
      const implemented: ((request: never, call: Call) => Promise<never>) | undefined = implementation[key];
      const handle = implemented === undefined ? missing(method.name) : handler(method, implemented, around);
      return [method.name, observed(method.name, handle, around)];
    }),
  );
}

function handler(
  method: Method,
  run: (request: never, call: Call) => Promise<never>,
  { failpoints }: Around,
): Handler {
  return async (payload, call) => {
    let request: unknown;
    try {
      request = method.requestType.decode(payload);
    } catch (error) {
      throw wrapError(error, {
        code: Code.INVALID_ARGUMENT,
        operation: "decode",
        object: `${method.name} request`,
      });
    }
    if (failpoints !== undefined) await failpoint(`${failpoints}.${method.name}`);
    const answer = await run(request as never, call);
    if (failpoints !== undefined) await failpoint(`${failpoints}.${method.name}!`);
    return method.responseType.encode(answer).finish();
  };
}

function observed(name: string, handle: Handler, { onAnswered }: Around): Handler {
  if (onAnswered === undefined) return handle;
  return async (payload, call) => {
    const startMs = performance.now();
    try {
      const answer = await handle(payload, call);
      onAnswered(name, performance.now() - startMs);
      return answer;
    } catch (error) {
      onAnswered(name, performance.now() - startMs, error);
      throw error;
    }
  };
}

function missing(name: string): Handler {
  return async () => {
    throw new TtrpcError(StatusCode.UNIMPLEMENTED, `tapir: ${name} is not implemented yet`);
  };
}
