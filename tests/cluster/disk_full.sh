#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk without room for the log: format or start says so at once, not the first write that fails. And
# a log that fills up, since no snapshot succeeds, refuses commands, loses none, and keeps its leader; once one
# succeeds it takes commands again.
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || { echo "SKIPPED: mounting a small disk needs root" && exit 77; }
begin --log-bytes $((32 << 20)) --set local.segment_bytes=16M --set cluster.election_ms=1000

note "no room at format"
truncate -s 24M "$work/disk.img"
mkfs.ext4 -q -F "$work/disk.img" || fail "mkfs"
sed "s|^data_dir = .*|data_dir = $work/small/data|" "$DECREE_CLUSTER_DIR/node1/decree.ini" \
	>"$work/small.ini"
unshare --mount bash -c '
	mkdir "$1/small" && mount -o loop "$1/disk.img" "$1/small" || exit 9
	"$2/decree" format -c "$1/small.ini" &&
		ip -V >/dev/null && timeout 20 "$2/decreed" --machine=log -c "$1/small.ini" --ready-fd 9 9>/dev/null' \
	small "$work" "$DECREE_BIN" >"$work/small.log" 2>&1
status=$?
[ $status -ne 9 ] || { echo "SKIPPED: no loop devices" && exit 77; }
[ $status -ne 0 ] || fail "a log of 32 MiB on a disk of 24 MiB"
grep -qiE 'space|room|full' "$work/small.log" || fail "no word of the disk: $(cat "$work/small.log")"

note "a log that fills up"
freeze() { # +i or -i: nobody may make a file there any more
	local n

	for n in 1 2 3; do
		chattr "$1" "$DECREE_CLUSTER_DIR/node$n/data/snapshots" || return 1
	done
}
freeze +i || { echo "SKIPPED: no immutable directories here" && exit 77; }
undo() {
	freeze -i
}
log_is_full() {
	field "$lead" log_full
}
lead=$(await_leader)
ballot=$(field "$lead" ballot)
log_is_full >/dev/null && fail "a fresh log is full"
head -c 64M /dev/urandom | base64 -w 1000 >"$work/text"
timeout 600 "$top/scripts/cluster" exec "$DECREE_BIN/decree" submit -c "$client_ini" --in-flight 256 \
	--acks "$work/acks" "$work/text" >"$work/submit.log" 2>&1 &
load_pid=$!
wait_until "the log was full" log_is_full
[ "$(field "$lead" ballot)" = "$ballot" ] || fail "the leader changed"
grep -q "snapshot of group 0" "$DECREE_CLUSTER_DIR/node$lead/log" || fail "no word of the snapshot"

note "and has room again"
acknowledged=$(acked)
freeze -i
wait_until "more was acknowledged" acks_reached $((acknowledged + 20000))
kill "$load_pid"
wait "$load_pid"
load_pid=
wait_until "the nodes had applied the same" converged 3
count=$(decree read -c "$client_ini" count) || fail "read"
[ "$count" -ge "$(acked)" ] || fail "$(acked) acknowledged, $count executed"
