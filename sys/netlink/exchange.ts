import { decodeAttributes } from "./attribute.ts";
import { align, type Message, malformed, NLM_F, NLMSG } from "./message.ts";

/** What the kernel said about a request: errno 0 is success. */
export interface Acknowledgement {
  readonly errno: number;
  /** Extended-ack text, when the kernel gave one. */
  readonly text: string | undefined;
}

/** The answers to one request so far; pure, so that it can be tested without a kernel. */
export interface Exchange {
  /** Takes the next answer; true once the last one came. */
  accept(message: Message): boolean;
  readonly replies: readonly Message[];
  readonly acknowledgement: Acknowledgement;
  /** NLM_F_DUMP_INTR: the table changed while it was read, the dump must be repeated. */
  readonly interrupted: boolean;
}

/** An exchange ends with an acknowledgement (NLMSG_ERROR) or, for dumps, with NLMSG_DONE. */
export function newExchange(): Exchange {
  const replies: Message[] = [];
  const exchange = {
    replies,
    acknowledgement: { errno: 0, text: undefined } as Acknowledgement,
    interrupted: false,
    accept(message: Message): boolean {
      if (message.type === NLMSG.NOOP) return false;
      if ((message.flags & NLM_F.DUMP_INTR) !== 0) exchange.interrupted = true;
      if (message.type !== NLMSG.ERROR && message.type !== NLMSG.DONE) {
        replies.push(message);
        return false;
      }
      exchange.acknowledgement = decodeAcknowledgement(message);
      return true;
    },
  };
  return exchange;
}

const NLMSGERR_ATTR_MSG = 1;

/**
 * NLMSG_ERROR is errno, the header of the request, its payload (unless capped), then the extended ack;
 * NLMSG_DONE is errno, then the extended ack.
 */
function decodeAcknowledgement(message: Message): Acknowledgement {
  const { type, flags, payload } = message;
  if (payload.length < 4) {
    if (type === NLMSG.DONE) return { errno: 0, text: undefined };
    throw malformed("acknowledgement without errno");
  }
  const errno = Math.abs(payload.readInt32LE(0));
  if ((flags & NLM_F.ACK_TLVS) === 0) return { errno, text: undefined };
  return {
    errno,
    text: decodeAttributes(payload, extendedAckOffset(message)).text(NLMSGERR_ATTR_MSG),
  };
}

function extendedAckOffset({ type, flags, payload }: Message): number {
  if (type === NLMSG.DONE) return 4;
  if ((flags & NLM_F.CAPPED) !== 0) return 20;
  return payload.length < 8 ? payload.length : 4 + align(payload.readUInt32LE(4));
}
