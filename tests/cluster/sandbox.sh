#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Nodes with --sandbox do all that nodes do: over each kind of port, with a log that goes around and snapshots, with a node
# that dies and comes back; and the queue serves its clients.
. "$(dirname "$0")/lib.sh"

export DECREE_NODE_OPTIONS=--sandbox

lines() {
	long_lines
}

# Every thread of node N is filtered and has no capability; the kernel's own for io_uring have no rights of their own.
is_sandboxed() {
	local pid task

	read -r pid _ <"$DECREE_CLUSTER_DIR/node$1/pid"
	for task in "/proc/$pid/task"/*; do
		! grep -q '^iou-' "$task/comm" || continue
		grep -q '^Seccomp:	2$' "$task/status" && grep -q '^CapPrm:	0*$' "$task/status" &&
			grep -q '^CapEff:	0*$' "$task/status" || {
			echo "thread $(cat "$task/comm") of node $1:"
			grep -E '^(Seccomp|Cap)' "$task/status"
			return 1
		}
	done
}

check_sandboxes() {
	local n

	for n in 1 2 3; do
		is_sandboxed "$n" || fail "node $n keeps what it does not need"
	done
}

# What a library was refused, and said so.
end() {
	! grep -l 'Operation not permitted' "$DECREE_CLUSTER_DIR"/node?/log || fail "something was refused that a node needs"
	cluster down
}

note "af_packet: the log goes around"
begin --log-bytes $((8 << 20)) --set local.segment_bytes=1M --set cluster.election_ms=1000
check_sandboxes
load
wait_until "every node had cut and trimmed" all_have_trimmed
unload
wait_until "the nodes had applied the same" converged
end

note "memif: frames are captured; a node dies and comes back"
begin --transport memif
load
decree capture -c "$client_ini" --node 1 --seconds 1 || fail "no capture"
lead=$(await_leader)
cluster kill "$lead"
acks_grow 500
cluster start "$lead" || fail "node $lead does not start again"
check_sandboxes
unload
verify
end

note "af_xdp, and the queue"
begin --transport af_xdp --machine queue
check_sandboxes
lead=$(await_leader)
for n in 1 2 3; do
	cluster exec python3 "$top/tests/cluster/beans.py" put "10.77.1.$n:11300" jobs 1 20 "$work/acked.$n" ||
		fail "node $n takes no jobs"
done
cluster exec python3 "$top/tests/cluster/beans.py" work "10.77.1.$lead:11300" jobs 20 "$work/done" || fail "jobs are missing"
end
