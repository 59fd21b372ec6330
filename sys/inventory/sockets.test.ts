import test from "ava";
import { parseUnixSockets } from "./sockets.ts";

const TEXT = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000fb13c5: 00000002 00000000 00010000 0001 01 63248 /run/a b.sock
0000000007055271: 00000003 00000000 00000000 0001 03 63277 /run/a b.sock
0000000007055272: 00000002 00000000 00010000 0001 01 63278 @abstract
0000000007055273: 00000002 00000000 00000000 0002 01 63279 /run/datagram
0000000007055274: 00000003 00000000 00000000 0001 03 63280
`;

test("listening sockets with a name; connections and nameless ones are not", (t) => {
  t.deepEqual(parseUnixSockets(TEXT), ["/run/a b.sock", "@abstract"]);
});
