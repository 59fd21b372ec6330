import { isIP } from "node:net";
import test from "ava";
import { TapirError } from "../error.ts";
import { formatIp, formatMac, parseCidr, parseIp, parseMac } from "./address-text.ts";

test("IPv6 text follows RFC 5952", (t) => {
  const cases: [string, string][] = [
    ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["fe80:0:0:0:0:0:0:0", "fe80::"],
    // One zero group is not shortened; of two runs the longer, of equal ones the first is.
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:10.1.2.3", "::ffff:10.1.2.3"],
    ["64:ff9b::10.1.2.3", "64:ff9b::a01:203"],
  ];
  for (const [text, expected] of cases) t.is(formatIp(parseIp(text)), expected, text);
});

test("IPv4 goes both ways", (t) => {
  for (const text of ["0.0.0.0", "10.1.2.3", "255.255.255.255"]) t.is(formatIp(parseIp(text)), text);
});

test("what is no address is refused by name", (t) => {
  for (const text of ["", "10.1.2", "10.1.2.256", "fe80::1%eth0", "1::2::3", "host"]) {
    const error = t.throws(() => parseIp(text), { instanceOf: TapirError });
    t.true(error.message.includes(`"${text}"`));
  }
  t.throws(() => formatIp(Buffer.alloc(5)), { message: /neither IPv4 nor IPv6/ });
});

test("what is an address is what Node says", (t) => {
  const parts = [
    "",
    "::",
    ":",
    ".",
    "0",
    "1",
    "01",
    "255",
    "256",
    "-1",
    "1e1",
    "ffff",
    "10000",
    "1.2.3.4",
    "g",
    " ",
  ];
  // A small generator of its own, for the same texts each time.
  let seed = 1;
  const pick = (): string => {
    seed = (seed * 48_271) % 2_147_483_647;
    return parts[seed % parts.length] ?? "";
  };
  const few = [...parts, ...parts.flatMap((one) => parts.map((other) => one + other))];
  const many = Array.from({ length: 20_000 }, (_, at) =>
    Array.from({ length: 2 + (at % 15) }, pick).join(""),
  );
  const groups = many.map((text) =>
    text.replaceAll(/[ge -]/g, "").replaceAll(/([0-9a-f])(?=[0-9a-f])/g, "$1:"),
  );
  const accepted = { 0: 0, 4: 0, 6: 0 };
  for (const text of [...few, ...many, ...groups]) {
    const version = isIP(text) as 0 | 4 | 6;
    accepted[version]++;
    if (version === 0) t.throws(() => parseIp(text), undefined, text);
    else t.is(parseIp(text).length, version === 4 ? 4 : 16, text);
  }
  t.true(accepted[4] > 5 && accepted[6] > 300, JSON.stringify(accepted));
});

test("CIDR: prefix checked, none means a host", (t) => {
  t.deepEqual(parseCidr("10.0.0.0/8"), { bytes: Buffer.from([10, 0, 0, 0]), prefixLength: 8 });
  t.is(parseCidr("10.1.2.3").prefixLength, 32);
  t.is(parseCidr("::/0").prefixLength, 0);
  t.throws(() => parseCidr("10.0.0.0/33"), { message: /longer than 32/ });
  t.throws(() => parseCidr("10.0.0.0/"), { message: /no number/ });
  t.throws(() => parseCidr("10.0.0.0/x"), { message: /no number/ });
});

test("MAC addresses of any length", (t) => {
  t.is(formatMac(parseMac("02:AB:00:00:00:01")), "02:ab:00:00:00:01");
  t.is(formatMac(Buffer.alloc(0)), "");
  t.throws(() => parseMac("02:ab:0"));
  t.throws(() => parseMac(""));
});
