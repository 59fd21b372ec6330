/** Addresses that the cloud's plugin gives, and what lies behind its gateway. */
export const CLOUD = {
  pod: ["10.9.0.5", "fd09::5"],
  node: ["192.0.2.1", "fd09:ffff::1"],
  gateways: ["169.254.1.1", "fe80::1"],
} as const;

/**
 * A CNI plugin as clouds have them: the pod's address alone, a gateway beside every subnet that nobody has and that answers no
 * ARP and no neighbour solicitation, and a permanent entry that says where to send.
 */
export const CLOUD_PLUGIN = `#!/bin/sh
set -e
cat > /dev/null
case "$CNI_COMMAND" in
VERSION)
  echo '{"cniVersion":"0.4.0","supportedVersions":["0.4.0"]}' ;;
DEL)
  ip link del cloud0 2> /dev/null || true
  ip addr flush dev lo scope global ;;
ADD)
  ns=cloud-$$
  mkdir -p /run/netns
  ln -s "$CNI_NETNS" "/run/netns/$ns"
  trap 'rm -f "/run/netns/$ns"' EXIT
  ip link add cloud0 address 02:00:00:00:09:01 type veth peer name "$CNI_IFNAME" address 02:00:00:00:09:05 netns "$ns"
  ip link set cloud0 addrgenmode none
  ip link set cloud0 arp off up
  ip addr add ${CLOUD.node[0]}/32 dev lo
  ip addr add ${CLOUD.node[1]}/128 dev lo nodad
  ip -n "$ns" link set "$CNI_IFNAME" up
  for pod in ${CLOUD.pod.join(" ")}; do
    ip route add "$pod" dev cloud0
    ip neigh replace "$pod" lladdr 02:00:00:00:09:05 dev cloud0 nud permanent
  done
  ip -n "$ns" addr add ${CLOUD.pod[0]}/32 dev "$CNI_IFNAME"
  ip -n "$ns" addr add ${CLOUD.pod[1]}/128 dev "$CNI_IFNAME" nodad
  ip -n "$ns" route add ${CLOUD.gateways[0]} dev "$CNI_IFNAME" scope link
  for gateway in ${CLOUD.gateways.join(" ")}; do
    ip -n "$ns" neigh replace "$gateway" lladdr 02:00:00:00:09:01 dev "$CNI_IFNAME" nud permanent
  done
  ip -n "$ns" route add default via ${CLOUD.gateways[0]} dev "$CNI_IFNAME"
  ip -n "$ns" -6 route add default via ${CLOUD.gateways[1]} dev "$CNI_IFNAME"
  cat << EOF
{
  "cniVersion": "0.4.0",
  "interfaces": [{ "name": "$CNI_IFNAME", "mac": "02:00:00:00:09:05", "sandbox": "$CNI_NETNS" }],
  "ips": [
    { "version": "4", "interface": 0, "address": "${CLOUD.pod[0]}/32", "gateway": "${CLOUD.gateways[0]}" },
    { "version": "6", "interface": 0, "address": "${CLOUD.pod[1]}/128", "gateway": "${CLOUD.gateways[1]}" }
  ],
  "dns": {}
}
EOF
  ;;
esac
`;
