/**
 * Text of a guest as a terminal may show it: control characters and those that reorder or hide what follows become "�", so
 * that no guest steers the operator's terminal (ECMA-48; Unicode, "Bidirectional Text").
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "�");
}
