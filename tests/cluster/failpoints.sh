#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node dies, as by kill -9, at every named point of the write path, of snapshots and their transfer, and of recovery,
# most of them under load. Each time it starts again, and in the end of each part everything that was acknowledged has been
# executed once, in one order, on every node. Needs the build with -Dfailpoints=true (base/failpoint.h).
. "$(dirname "$0")/lib.sh"

victim=2
total=0 # acknowledged before the load that flows now
declare -A walked

lines() {
	long_lines
}

# die_at POINT[:COUNT] [COMMAND...]: start the victim and let it die there; COMMAND makes it come there.
die_at() {
	local point=${1%:*} arm=$1 asked=

	shift
	is_down $victim || cluster kill $victim
	DECREE_FAILPOINT=$arm cluster start $victim >/dev/null 2>&1
	if [ $# -gt 0 ]; then
		"$@" >/dev/null 2>&1 &
		asked=$!
	fi
	wait_until "node $victim had died at $point" is_down $victim
	said_since_start $victim | grep -q "failpoint: killed at $point\$" || fail "node $victim did not die at $point"
	[ -z "$asked" ] || wait "$asked"
	walked[$point]=1
}

start_whole() {
	! is_down $victim || cluster start $victim || fail "node $victim does not start again"
	wait_until "node $victim had caught up" caught_up $victim
}

# What was acknowledged is what all have executed; the digest of their states is one of the order, too.
settle() {
	local n count

	start_whole
	unload
	total=$((total + $(acked)))
	wait_until "the nodes had applied the same" converged 3
	for n in 1 2 3; do
		count=$(decree read -c "$client_ini" --node "$n" --consistency stale count) || fail "node $n: read"
		[ "$count" -eq "$total" ] || fail "node $n executed $count commands, $total were acknowledged"
	done
}

ask_snapshot() {
	until decree snapshot -c "$client_ini" --timeout 1000 || is_down $victim; do
		sleep 0.1
	done
}

has_snapshot() {
	[ "$(field $victim snapshot)" -gt 0 ]
}

# Away for longer than the logs of the others reach back.
fall_behind() {
	local applied

	start_whole
	applied=$(field $victim applied)
	cluster kill $victim || fail "node $victim has ended by itself"
	decree snapshot -c "$client_ini" --timeout 1000 >/dev/null 2>&1
	wait_until "the leader's log had left it behind" low_is_beyond "$(leader)" "$applied"
}

# A sector of noise where the next record would go, as a disk may leave it that loses power while it writes.
spoil_head() {
	python3 - "$DECREE_CLUSTER_DIR/node$victim/data/shard-0/segments" <<'END'
import os, struct, sys
last = (0, 0)
with open(sys.argv[1], "r+b") as file:
    while sector := file.read(512):
        last = max(last, (struct.unpack_from("<Q", sector, 496)[0], file.tell()))
    file.seek(last[1])
    file.write(os.urandom(512))
END
}

all=$(DECREE_FAILPOINT=list "$DECREE_BIN/decreed" --machine=log 2>/dev/null) || {
	echo "SKIPPED: this build has no failpoints (meson setup -Dfailpoints=true)"
	exit 77
}
count=$(wc -l <<<"$all")
note "$count points"
[ "$count" -ge 30 ] || fail "only $count points"

begin --no-start --log-bytes $((8 << 20)) --set local.segment_bytes=1M --set cluster.election_ms=1000
cluster start 1 && cluster start 3 || fail "nodes 1 and 3 do not start"

note "a new log is prepared"
die_at wal.prewrite.piece_written
die_at wal.prewrite.piece_written:20
die_at wal.note.sealed
die_at wal.note.between_copies
die_at wal.note.written
cluster start $victim || fail "node $victim does not start again"
wait_until "there was a leader" leader

note "the write path"
load
for point in runtime.persist.{records_appended,before_release,released} runtime.apply.executed \
	wal.append.{block_encoded,write_completed} wal.submit.{write_chosen,queued,kicked} wal.reap.durable \
	wal.identifiers.{staged,written}; do
	die_at $point:25
done
for point in wal.hard_state.{sealed,between_copies,written} wal.reap.hard_state_durable \
	wal.hearsay.{sealed,written} runtime.persist.hard_state_noted; do
	die_at $point
done
settle

note "snapshots"
load
for point in snapshot.cut.{begun,agreed,pointed_to} \
	snapshot.file.{opened,piece_written,page_written,before_rename,renamed,verified,before_forgotten} \
	runtime.trim.stepped wal.trim.{advanced,noted}; do
	die_at $point ask_snapshot
done
settle

note "a start"
load
for point in runtime.start.{restore_begun,snapshot_restored,shards_recovered,boot_count_noted,boot_count_durable} \
	wal.open.{identity_read,session_read,hard_state_read,recovered,session_begun,copies_repaired,synced} \
	wal.open.{identifiers_piece,identifiers_repaired,prewritten,done} wal.page.copy_stored{,:2} \
	wal.recover.block_kept:100; do
	die_at $point
done
settle

note "a start behind a torn sector"
load
acks_grow 100
cluster kill $victim || fail "node $victim has ended by itself"
spoil_head
for point in wal.recover.damage_told wal.recover.end_sealed wal.open.boot_record_{encoded,written}; do
	die_at $point
done
settle

note "another node's snapshot"
load
fall_behind
for point in transfer.fetch.{begun,bytes_written,all_here,kept} transfer.install.asked; do
	die_at $point
done
for point in transfer.install.{pointed_to,restored}; do
	fall_behind
	die_at $point
done
settle

for point in $all; do
	[ -n "${walked[$point]:-}" ] || fail "nothing dies at $point"
done
note "$total lines acknowledged, none lost"
