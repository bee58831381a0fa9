#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue of three nodes under producers and workers, while nodes are killed, stopped and cut off. In the end every acknowledged
# job is done, and the log of all that was executed is held against the rules of chaos/audit.py.
#
#   chaos.sh [--seconds 60] [--seed N]
#
# A seed is a schedule: what happens to whom and how long it lasts. TRACED is the daemon with a witness (chaos/traced.c).
. "$(dirname "$0")/lib.sh"

seconds=60
seed=$SRANDOM
while [ $# -ge 2 ]; do
	case $1 in
	--seconds) seconds=$2 ;;
	--seed) seed=$2 ;;
	*) fail "usage: chaos.sh [--seconds N] [--seed N]" ;;
	esac
	shift 2
done
RANDOM=$((seed & 32767))
here=$(dirname "$0")/chaos
mkdir "$work/bin" "$work/traces"
ln -s "$DECREE_BIN/decree" "$work/bin/decree"
ln -s "${TRACED:-$DECREE_BIN/../tests/cluster/chaos/decreed}" "$work/bin/decreed"
export DECREE_BIN=$work/bin DECREE_TRACE_DIR=$work/traces
clients=

undo() {
	[ -z "$clients" ] || kill "$clients" 2>/dev/null
}

# tenths LOW HIGH: sets `pause` to some time between, in seconds
tenths() {
	local n=$(($1 + RANDOM % ($2 - $1 + 1)))

	pause=$((n / 10)).$((n % 10))
}

# isolate NODE: it hears nobody, and nobody hears it.
isolate() {
	local n

	for n in 1 2 3; do
		[ "$n" -eq "$1" ] || { cluster cut "$1" "$n" && cluster cut "$n" "$1"; }
	done
}

# The log's time, in ms. It stands still while nobody leads.
log_ms() {
	tail -qn 50 "$work"/traces/* | awk '$1 == "s" && $3 > last { last = $3 } END { printf "%d\n", last / 1000000 }'
}

log_has_come_to() {
	[ "$(log_ms)" -ge "$1" ]
}

# last PAUSE: so many seconds, or until a gateway that is not heard is given up.
last() {
	if [ "$1" = silence ]; then
		wait_until "ten seconds of the log had passed" log_has_come_to $(($(log_ms) + 10500))
	else
		sleep "$1"
	fi
}

again() {
	cluster start "$1" || fail "node $1 does not start again"
}

# serves NODE: its gateway is attached, since only then it answers what goes through the log.
serves() {
	timeout 5 "$top/scripts/cluster" exec bash -c "exec 3<>/dev/tcp/10.77.1.$1/11300 &&
		printf 'use x\\r\\n' >&3 && read -r line <&3 && [[ \$line == USING* ]]" 2>/dev/null
}

# happen WHAT NODE PEER PAUSE
happen() {
	note "$(printf '%4d s: %s, node %d, for %s' $((SECONDS - began)) "$1" "$2" "$4")"
	case $1 in
	kill) cluster kill "$2" ;;
	kill-two) cluster kill "$2" && cluster kill "$3" ;;
	stop) cluster pause "$2" ;;
	cut) cluster cut "$2" "$3" && cluster cut "$3" "$2" ;;
	cut-one-way) cluster cut "$2" "$3" ;;
	isolate) isolate "$2" ;;
	isolate-and-stop) isolate "$2" && cluster pause "$3" ;;
	esac
	last "$4"
	case $1 in
	kill) again "$2" ;;
	kill-two) again "$2" && again "$3" ;;
	stop) cluster resume "$2" ;;
	cut | cut-one-way | isolate) cluster heal ;;
	isolate-and-stop) cluster resume "$3" && cluster heal ;;
	esac
}

# Whoever leads is as good a victim as a number that was drawn.
victim() {
	node=$((1 + RANDOM % 3))
	peer=$((1 + (node + RANDOM % 2) % 3))
	[ $((RANDOM % 3)) -gt 0 ] || node=$(leader || echo $node)
	[ "$node" -ne "$peer" ] || peer=$((1 + node % 3))
}

# Longer than a gateway may be silent: one time in four.
any() {
	local kinds=(kill kill kill kill-two stop stop stop cut cut-one-way isolate isolate isolate-and-stop)

	victim
	tenths 2 35
	[ $((RANDOM % 4)) -gt 0 ] || tenths 105 140
	happen "${kinds[RANDOM % ${#kinds[@]}]}" $node $peer $pause
}

note "seed $seed, $seconds s"
# A log so small that nodes cut snapshots, and whoever was away for long takes one from a peer.
begin --machine queue --log-bytes $((16 << 20)) --set local.segment_bytes=1M
# exec, so that the pid is that of python itself.
(exec "$top/scripts/cluster" exec python3 "$here/load.py" 10.77.1.1:11300,10.77.1.2:11300,10.77.1.3:11300 \
	"$seconds" "$seed" "$work/journal") &
clients=$!
began=$SECONDS

# What a short run, too, has seen: a leader that dies, a gateway that is given up while it sleeps, one that is cut off.
sleep 2
killed=$(await_leader)
happen kill "$killed" 0 1.5
wait_until "node $killed served again, by a gateway that replaced the one before" serves "$killed"
victim
happen stop $node 0 silence
victim
happen isolate $node 0 silence
while [ $((SECONDS - began)) -lt "$seconds" ]; do
	tenths 2 30
	sleep $pause
	any
done
cluster heal

note "no new jobs: the rest is done"
wait "$clients"
status=$?
clients=
[ $status -eq 0 ] || echo "load.py ended with status $status"
wait_until "all nodes agreed" converged
for n in 1 2 3; do
	cluster logs "$n" | grep 'queue: the gateway has lost' | sed "s/^/node $n: /" | tail -n 3
done
python3 "$here/audit.py" "$work/traces" "$work/journal" >"$work/audit" || fail "the log, or what clients were told of it, is wrong (seed $seed)"
cat "$work/audit"
[ $status -eq 0 ] || fail "not all was done (seed $seed)"
jq -e '.silent > 0 and .replaced > 0' "$work/audit" >/dev/null ||
	fail "no gateway was given up, or none replaced: this run shows too little (seed $seed)"
