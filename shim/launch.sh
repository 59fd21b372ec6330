#!/bin/sh
# containerd-shim-tapir-v2, as containerd executes it. A shell is there in a millisecond, Node takes thirty.
node='@NODE@'
program='@PROGRAM@'

for command; do :; done

case $command in
delete)
	# After a good end the answer lies in the bundle: there is nothing to undo.
	bundle=. previous=
	for word; do
		case $previous in -bundle | --bundle) bundle=$word ;; esac
		case $word in -bundle=* | --bundle=*) bundle=${word#*=} ;; esac
		previous=$word
	done
	[ -s "$bundle/deleted" ] && exec cat "$bundle/deleted"
	;;
esac

# Settings for other people's Node programs are not for this one. Names, not a search: that would take a process.
unset NODE_ENV NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_V8_COVERAGE NODE_COMPILE_CACHE NODE_DISABLE_COMPILE_CACHE NODE_DEBUG \
	NODE_DEBUG_NATIVE NODE_PATH NODE_ICU_DATA NODE_NO_WARNINGS NODE_PENDING_DEPRECATION NODE_REDIRECT_WARNINGS \
	NODE_PRESERVE_SYMLINKS NODE_PRESERVE_SYMLINKS_MAIN NODE_TLS_REJECT_UNAUTHORIZED NODE_USE_ENV_PROXY \
	NODE_USE_SYSTEM_CA NODE_TEST_CONTEXT NODE_CHANNEL_FD NODE_UNIQUE_ID

[ "$command" = start ] || exec "$node" --no-warnings --expose-gc "$program" "$@"

# One Node answers containerd and stays as the pod's shim, in a session of its own: it writes the answer to stdout,
# lets go of containerd's descriptors, and says so on descriptor 3. Without that word it has failed, and said why.
own=
[ -x /usr/bin/setsid ] && own=/usr/bin/setsid
exec 4>&1 5<&0
ready=$($own "$node" --no-warnings --expose-gc "$program" "$@" <&5 5<&- 3>&1 >&4 4>&- &)
[ "$ready" = ready ]
