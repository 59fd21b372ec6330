import type { Link } from "../../sys/netlink/records.ts";

const ETHERNET = 1;

/** Why a link that no detector knows cannot be the guest's, and what can be done. Undefined: its kind says enough. */
export function refusalOf(link: Link): { readonly cause: string; readonly hint: string } | undefined {
  if (link.ipvlanMode === "l3s") return aboveLinks();
  if (link.kind === "tun") return noEthernet("tun");
  if (link.type !== ETHERNET) return noEthernet(link.kind ?? `hardware type ${link.type}`);
  return undefined;
}

/** The node's stack hands packets to the pod's where they are delivered locally: no tc filter of the link sees them. */
function aboveLinks(): { cause: string; hint: string } {
  const cause = 'link kind "ipvlan" in mode l3s gives packets to the namespace\'s stack, past the link';
  return { cause, hint: "use ipvlan in mode l2 or l3, or macvlan" };
}

function noEthernet(kind: string): { cause: string; hint: string } {
  const cause = `link kind "${kind}" carries no Ethernet frames`;
  return { cause, hint: 'end the tunnel on the node, or use internetworking_model "none"' };
}
