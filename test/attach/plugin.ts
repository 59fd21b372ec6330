/** Links that a pod called `three` gets besides its eth0, and the addresses of their two ends. */
export const MORE_LINKS = [
  { name: "net1", node: ["10.91.0.1", "fd91::1"], pod: ["10.91.0.2", "fd91::2"] },
  { name: "net2", node: ["10.92.0.1", "fd92::1"], pod: ["10.92.0.2", "fd92::2"] },
] as const;

const addLinks = MORE_LINKS.map(
  ({ name, node, pod }) => `
    ip link add far-${name} type veth peer name ${name} netns "$ns"
    ip link set far-${name} up
    ip addr add ${node[0]}/24 dev far-${name}
    ip addr add ${node[1]}/64 dev far-${name} nodad
    ip -n "$ns" link set ${name} up
    ip -n "$ns" addr add ${pod[0]}/24 dev ${name}
    ip -n "$ns" addr add ${pod[1]}/64 dev ${name} nodad`,
).join("");

/**
 * A CNI plugin that is the bridge plugin for most pods. A pod called `three` gets more links; one called `none` gets none, though
 * the plugin says it did: containerd starts no pod without an address.
 */
export const PLUGIN = `#!/bin/sh
set -e
bridge="$(dirname "$0")/bridge"
case "$CNI_COMMAND $CNI_ARGS;" in
"ADD "*"K8S_POD_NAME=none;"*)
  cat > /dev/null
  echo '{ "cniVersion": "0.4.0", "interfaces": [{ "name": "eth0", "sandbox": "'"$CNI_NETNS"'" }],
    "ips": [{ "version": "4", "interface": 0, "address": "10.88.255.2/16" }], "dns": {} }' ;;
"DEL "*"K8S_POD_NAME=none;"*)
  cat > /dev/null ;;
"ADD "*"K8S_POD_NAME=three;"*)
  result="$("$bridge")"
  ns=three-$$
  mkdir -p /run/netns
  ln -s "$CNI_NETNS" "/run/netns/$ns"
  trap 'rm -f "/run/netns/$ns"' EXIT${addLinks}
  echo "$result" ;;
*)
  exec "$bridge" ;;
esac
`;
