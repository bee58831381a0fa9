#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random commands to beanstalkd and to one other server: every reply is the same.
# differential.sh itself|one|three [COUNT [SEED]]
#
# The rows of tests/lib/beanstalk_rows.c are played to decreed as well (by $ROWS, their player): to each node of a cluster.
#
# SEED is a number, or "new": another one each time, which is printed, so that whatever it finds can be had again.
#
#   itself   beanstalkd: if these differ, what we compare with is not what we think
#   one      decreed without a configuration
#   three    a cluster, each connection to another of its nodes
#
# The logs are in memory: what is compared is what is said, and a slow disk would make it a matter of patience.
. "$(dirname "$0")/../cluster/lib.sh"

with=${1:?itself, one or three} count=${2:-5000} seed=${3:-1}
[ "$seed" != new ] || seed=$SRANDOM
echo "seed $seed: $0 $with $count $seed"
ROWS=${ROWS:-$DECREE_BIN/../tests/queue/beanstalkd_rows}
pids=()

undo() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
}

# serve NAME COMMAND...: until its socket is there
serve() {
	"${@:2}" </dev/null >"$work/$1.log" 2>&1 &
	pids+=($!)
	wait_until "$2 was ready: $(cat "$work/$1.log")" test -S "$work/$1"
}

# play_rows ADDRESS [COMMAND...]: the COMMAND runs the player, where the server is in a network of its own
play_rows() {
	"${@:2}" "$ROWS" "$1" || fail "$1 answers rows of odd input otherwise than beanstalkd"
}

compare() {
	"$@" "$top/tests/queue/differential.py" --seed "$seed" --count "$count" "${drain[@]}" "unix:$work/beanstalkd" "$other" && return
	[ ! -s "$work/other.log" ] || cat "$work/other.log"
	fail "they differ"
}

beanstalkd=$("$top/tests/queue/beanstalkd" --look || command -v beanstalkd) || {
	echo "skipped: there is no beanstalkd (scripts/deps test)"
	exit 77
}
"$beanstalkd" -v
serve beanstalkd "$beanstalkd" -l "unix:$work/beanstalkd"
other=unix:$work/other
drain=()
case $with in
itself)
	serve other "$beanstalkd" -l "$other"
	drain=(--drain "${pids[0]}" --drain "${pids[1]}")
	compare
	;;
one)
	serve other "$DECREE_BIN/decreed" -b "$work/queue" -l "$other" local.log_mode=memory
	drain=(--drain "${pids[0]}" --drain "${pids[1]}")
	compare
	serve odd "$DECREE_BIN/decreed" -b "$work/odd-queue" -l "unix:$work/odd" local.log_mode=memory
	play_rows "unix:$work/odd"
	;;
three)
	begin --machine queue --mode memory
	other=10.77.1.1:11300,10.77.1.2:11300,10.77.1.3:11300
	compare cluster exec
	for address in ${other//,/ }; do
		play_rows "$address" cluster exec
	done
	;;
esac
