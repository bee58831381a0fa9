#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The power goes out for all three nodes at once, under load, ten times: the disk forgets what was not flushed. Nothing
# that was acknowledged is lost.
#
#   power_cut.sh --not-durable   the same, once, without the durable flag of the log's writes: it must be lost. This
#                                shows that the test can tell. Needs the build with -Dfailpoints=true
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/disks.sh"

cuts=10
expects_loss=
case "${1:-}" in
--not-durable)
	cuts=1
	expects_loss=1
	DECREE_FAILPOINT=list "$DECREE_BIN/decreed" --machine=log >/dev/null 2>&1 ||
		{ echo "SKIPPED: this build has no failpoints (meson setup -Dfailpoints=true)" && exit 77; }
	export DECREE_FAULT=disk.not_durable
	;;
esac

power_on() {
	local n

	disk_attach disk cache cache=writeback
	[ -z "${1:-}" ] || for n in 1 2 3; do live_on $n disk; done
	for n in 1 2 3; do
		cluster start $n &
		starts[n]=$!
	done
	wait "${starts[1]}" && wait "${starts[2]}" && wait "${starts[3]}" || return 1
	wait_until "there was a leader" leader
}

power_off() {
	local n

	kill -KILL "${nbdkit_pid[disk]}"
	for n in 1 2 3; do
		cluster kill $n 2>/dev/null # it may have found out already
	done
	disk_detach disk
}

disks_or_skip
begin --no-start --log-bytes $((16 << 20)) --set local.segment_bytes=2M --set cluster.election_ms=1000
disk_make disk 256M
load
power_on first || fail "the nodes do not start"
for i in $(seq $cuts); do
	acks_grow 300
	note "power cut $i, $(acked) lines acknowledged"
	power_off
	[ -z "$expects_loss" ] || break
	power_on || fail "a node does not start after a power cut"
done

if [ -n "$expects_loss" ]; then
	touch "$work/unload"
	kill "$load_pid" && load_pid=
	power_on || { note "a node does not start: the loss is noticed" && exit 0; }
	(is_trial=1; verify) >"$work/verdict" 2>&1 && fail "nothing is lost without the durable flag"
	grep '"lost"' "$work/verdict" || fail "no word of the loss: $(cat "$work/verdict")"
	note "lost, as it must be"
	exit 0
fi
unload
verify
