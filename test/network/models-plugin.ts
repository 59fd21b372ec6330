import { PLUGIN as LINKS } from "../attach/plugin.ts";

/** Where the filters of a CNI send the datagrams to port 9999: a link to the node, without address. */
export const DETOUR = { pod: "abcdefghijklmno", node: "far-detour" } as const;

/**
 * A CNI plugin that makes the links of test/attach/plugin.ts. A pod called `filters` is `three`, and a CNI that steers traffic
 * was there before Tapir: filters below an ingress qdisc on eth0 and below a clsact on net1 take some of it away.
 */
const PLUGIN = `#!/bin/sh
set -e
links="$(dirname "$0")/models-links"
case "$CNI_COMMAND $CNI_ARGS;" in
"ADD "*"K8S_POD_NAME=filters;"*)
  CNI_ARGS="$(echo "$CNI_ARGS" | sed 's/K8S_POD_NAME=filters/K8S_POD_NAME=three/')"
  export CNI_ARGS
  result="$("$links")"
  ns=filters-$$
  ln -s "$CNI_NETNS" "/run/netns/$ns"
  trap 'rm -f "/run/netns/$ns"' EXIT
  ip link add ${DETOUR.node} type veth peer name ${DETOUR.pod} netns "$ns"
  ip link set ${DETOUR.node} up
  ip -n "$ns" link set ${DETOUR.pod} up
  for place in eth0:ingress net1:clsact; do
    tc -n "$ns" qdisc add dev "\${place%:*}" "\${place#*:}"
    tc -n "$ns" filter add dev "\${place%:*}" ingress protocol ip prio 5 u32 \\
      match ip protocol 17 0xff match ip dport 9999 0xffff action mirred egress redirect dev ${DETOUR.pod}
  done
  echo "$result" ;;
*)
  exec "$links" ;;
esac
`;

export const PLUGINS = { "models-test": PLUGIN, "models-links": LINKS };
