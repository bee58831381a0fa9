#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue that nobody configured is asked without a configuration, too: the commands of decree find the one that decreed has made,
# and the node hears them on an address of loopback.
#
#   found.sh DECREE DECREED
set -u

decree=$(realpath "$1")
decreed=$(realpath "$2")
if [ "${FOUND:-}" != inside ]; then
	[ "$(id -u)" -eq 0 ] || { echo "SKIPPED: another /var/lib needs root" && exit 77; }
	exec env FOUND=inside unshare --net --mount "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
. "$(dirname "$0")/expect.sh"
ip link set lo up
mkdir var none
unset HOME DECREE_CONFIG
export XDG_STATE_HOME=$work/state
pids=()
undo() {
	for pid in "${pids[@]}"; do
		kill -9 "$pid" 2>/dev/null
	done
	cd /
	umount /var/lib 2>/dev/null
	rm -rf "$work"
}
trap undo EXIT

# start PORT [OPTION ...]: and wait until it serves; what it says is in log.PORT
start() {
	local port=$1

	rm -f ready
	"$decreed" -p "$port" --ready-fd 9 "${@:2}" 9>ready 2>"log.$port" &
	pids+=($!)
	for _ in {1..600}; do
		[ -s ready ] && return
		kill -0 $! 2>/dev/null || break
		sleep 0.05
	done
	echo "FAILED: it does not start: $(cat "log.$port")"
	failed=1
}

# put PORT
put() {
	local answer

	exec 8<>"/dev/tcp/127.0.0.1/$1"
	printf 'put 0 0 60 5\r\nhello\r\n' >&8
	read -r answer <&8
	exec 8>&-
	[[ $answer == INSERTED* ]] || { echo "FAILED: a put: $answer" && failed=1; }
}

# In a home, where the system's folder cannot be written.
mount --bind -o ro none /var/lib && mount -o remount,bind,ro /var/lib || exit 77
for command in tasks status top snapshot upgrade log 'backup file' 'member list' 'transfer 1'; do # nobody there
	# shellcheck disable=SC2086
	expect 2 '-c FILE|DIR/decree.ini|/var/lib/decree' "$decree" $command
done
start 11300
put 11300
expect 0 '"ready":1,|"id":1,|"state":"ready"' "$decree" tasks --jobs --json
expect 0 'default' "$decree" tasks local.log_mode=durable # a setting
expect 0 'leader' "$decree" status
expect 0 '1 of 1 nodes' "$decree" top --once
expect 0 'q1 1, q2 1: 1' "$decree" member list
expect 0 'node 1: slot' "$decree" snapshot
expect 0 'node 1 leads' "$decree" transfer 1
expect 0 '1-1' "$decree" upgrade
expect 0 ' registration' "$decree" log
expect 0 'a snapshot of' "$decree" backup backup
expect 0 'a snapshot of' "$decree" backup --check backup
expect 2 '-c FILE' "$decree" capture --node 1 # it has no ports
expect 1 'no ports' "$decree" capture --node 1 -c state/decree/decree.ini
expect 2 '-c FILE' "$decree" submit           # nor lines of a log
grep -q '^ip = 127\.' state/decree/decree.ini || { echo "FAILED: not on loopback" && failed=1; }

# Beside it the system's, which has precedence for who may write there; each answers for itself, in a sandbox too.
umount /var/lib
mount --bind var /var/lib
start 11301 --sandbox
expect 0 '"ready":0,' "$decree" tasks --json
expect 0 '"ready":1,' "$decree" tasks --json -c state/decree/decree.ini
expect 0 '"ready":1,' setpriv --bounding-set=-all --inh-caps=-all "$decree" tasks --json -c state/decree/decree.ini

# One that the environment names comes before both, and -c before that.
expect 0 '"ready":1,' env DECREE_CONFIG=state/decree/decree.ini "$decree" tasks --json
expect 0 '"ready":0,' env DECREE_CONFIG=state/decree/decree.ini "$decree" tasks --json -c var/decree/decree.ini
expect 0 '"ready":0,' env DECREE_CONFIG= "$decree" tasks --json
expect 2 'none.ini' env DECREE_CONFIG=none.ini "$decree" status

# A queue executes a line, and says that it is none of its commands: that is no job.
echo hello >line
expect 0 '1 of 1 commands acknowledged|declined 1: ' "$decree" submit -c state/decree/decree.ini line
expect 0 '"acked":1,"declined":1,' "$decree" submit --json -c state/decree/decree.ini line
expect 0 '"ready":1,' "$decree" tasks --json -c state/decree/decree.ini
for command in 'capture --node 1' 'submit' 'read count'; do
	# shellcheck disable=SC2086
	expect 2 'none.ini' env DECREE_CONFIG=none.ini "$decree" $command
done
expect 2 '-c FILE' env DECREE_CONFIG=state/decree/decree.ini "$decree" format

# What keeps a node from being asked is said, and it serves all the same.
taken=$(sed -n 's/^ip = //p' state/decree/decree.ini)
start 11302 -b third node.1.ip="$taken"
put 11302
expect 0 "cannot ask this node: $taken:7400: Address already in use" cat log.11302
start 11303 -b fourth node.1.ip=10.0.0.1 # none of loopback
put 11303
expect 1 'no answer' "$decree" status --timeout 100 -c fourth/decree.ini node.1.ip=10.0.0.1
kill "${pids[3]}" && wait "${pids[3]}" 2>/dev/null
rm fourth/client.key
start 11303 -b fourth
put 11303
expect 0 'cannot ask this node: |client.key' cat log.11303

mkdir memory && mount -t tmpfs -o size=400m none memory
start 11304 -b memory/queue local.log_bytes=128M
expect 0 'memory/queue/data is on tmpfs, which is MEMORY' cat log.11304
expect 0 'note  disk        | is in memory (tmpfs)' "$decree" check -c memory/queue/decree.ini
kill "${pids[-1]}" && wait "${pids[-1]}" 2>/dev/null
umount -l memory

# Another key.
head -c 64 /dev/zero | tr '\0' '7' >other.key && chmod 600 other.key
expect 1 'another key' "$decree" status --timeout 100 cluster.client_key_file="$work/other.key"

rm fourth/cluster.key # of nodes, and there are no others
kill "${pids[-2]}" && wait "${pids[-2]}" 2>/dev/null
start 11303 -b fourth node.1.ip=127.9.9.9 cluster.client_key_file="$work/other.key"
put 11303 # answered once it leads
expect 0 leader "$decree" status -c fourth/decree.ini node.1.ip=127.9.9.9 cluster.client_key_file="$work/other.key"

# The system's node has ended.
kill "${pids[1]}" && wait "${pids[1]}" 2>/dev/null
expect 1 'no answer' "$decree" tasks --json --timeout 100

[ $failed -eq 0 ] && echo "$count cases"
exit $failed
