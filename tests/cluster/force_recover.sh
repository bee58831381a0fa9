#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two of three disks are lost for ever. The third begins a new cluster with all it has: its snapshot and the log
# behind it. Nodes of the lost cluster are refused, new ones join, and clients go on.
. "$(dirname "$0")/lib.sh"

# new_cluster FILE: the configuration of the new cluster, from one of the lost one.
new_cluster() {
	sed -E -e 's/^id = .*/id = 0123456789abcdef/' -e 's|(data_dir = .*)/data$|\1/data2|' \
		-e '/^\[node [12]\]/,/^$/d' "$1"
}

recover() {
	"$DECREE_BIN/decree" force-recover -c "$home/new.ini" --from "$home/data" "$@" >"$work/recover" 2>&1
}

# refused WORDS ARGUMENT...: it is not done, and why is said.
refused() {
	local words=$1

	shift
	recover "$@" && fail "force-recover did it all the same: $*"
	grep -qF -- "$words" "$work/recover" || fail "no word of '$words': $(cat "$work/recover")"
	[ ! -e "$home/data2" ] && [ ! -e "$home/data2.new" ] || fail "something was left behind"
}

begin -n 5 --joiners 2
load
acks_grow 300
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
acks_grow 300
unload
wait_until "node 3 had executed everything" has_executed 3 "$(acked)"
digest=$(decree read -c "$client_ini" --node 3 --consistency stale digest) || fail "read"
home=$DECREE_CLUSTER_DIR/node3
new_cluster "$home/decree.ini" >"$home/new.ini"

note "what is refused"
refused 'use' --accept-loss
cluster kill 3
refused 'new id' --accept-loss cluster.id="$(sed -n 's/^id = //p' "$home/decree.ini")"
refused 'joins = yes' --accept-loss node.4.joins=no
refused 'slot_bytes' --accept-loss cluster.slot_bytes=1000
refused 'keep the node' --accept-loss local.node=4 node.4.joins=no node.3.joins=yes
mv "$home/data/snapshots" "$work/snapshots"
refused 'snapshots' --accept-loss
mv "$work/snapshots" "$home/data/snapshots"
mkdir "$work/elsewhere"
refused 'No space left' --accept-loss snapshot.directory="$work/elsewhere" local.log_bytes=1024G
! ls "$work/elsewhere" | grep '^snapshot-0-' || fail "a snapshot of a cluster that never was is left behind"

note "a disk that the kernel has made read-only, with a sector that has rotted"
cp -r --sparse=always "$home/data" "$work/rotten"
recover || fail "the survey failed: $(cat "$work/recover")"
slot=$(($(sed -n 's/^group 0: .*, last //p' "$work/recover") - 2))
byte=$("$DECREE_BIN/decree" wal inspect --json -s "$slot" "$work/rotten/shard-0" |
	sed -n 's/^{"type":"block".*"byte":\([0-9]*\),.*/\1/p' | tail -1)
dd if=/dev/urandom of="$work/rotten/shard-0/segments" bs=512 seek=$((byte / 512)) count=1 conv=notrunc status=none
unshare -m bash -c 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && "$2" force-recover -c "$3" --from "$1"' \
	- "$work/rotten" "$DECREE_BIN/decree" "$home/new.ini" >"$work/rotten.log" 2>&1 ||
	fail "what is left cannot be looked at: $(cat "$work/rotten.log")"
grep -q "slot $slot is missing or damaged here: 2 slots behind it are NOT kept" "$work/rotten.log" ||
	fail "no word of the rotten sector: $(cat "$work/rotten.log")"

note "two of three are lost, for ever"
cluster kill 1
cluster kill 2
rm -rf "$DECREE_CLUSTER_DIR/node2/data"
recover || fail "the survey failed: $(cat "$work/recover")"
grep -q 'Nothing was changed' "$work/recover" || fail "it is not said that nothing was changed"
[ ! -e "$home/data2" ] || fail "a survey made something"
recover --accept-loss || fail "force-recover failed: $(cat "$work/recover")"
grep -q 'FORCED RECOVERY' "$work/recover" || fail "it is not loud"
refused_again=$(recover --accept-loss; cat "$work/recover")
grep -q 'exists already' <<<"$refused_again" || fail "done twice: $refused_again"

note "the third goes on alone"
mv "$home/new.ini" "$home/decree.ini"
new_cluster "$client_ini" >"$work/client.ini"
mv "$work/client.ini" "$client_ini"
cluster start 3 || fail "the new cluster does not start"
wait_until "node 3 led" leader
has_executed 3 "$(acked)" || fail "$(acked) commands were acknowledged, $(decree read -c "$client_ini" count) are there"
[ "$(decree read -c "$client_ini" digest)" = "$digest" ] || fail "the state is another one"
timeout 30 "$top/scripts/cluster" exec "$DECREE_BIN/decree" log -c "$client_ini" --node 3 >"$work/log" ||
	fail "a log that begins behind a snapshot is not listed to its end"

note "the lost cluster's nodes are refused"
cluster start 1 || fail "node 1 does not start"
cp -r --sparse=always "$DECREE_CLUSTER_DIR/node1" "$work/node1"
sed -e 's/^node = .*/node = 4/' -e "s|data_dir = .*|data_dir = $work/node1/data|" "$home/decree.ini" >"$work/node4.ini"
cluster exec-on 2 timeout 30 "$DECREE_BIN/decreed" --machine=log -c "$work/node4.ini" >"$work/node4.log" 2>&1 && fail "an old disk starts under the new id"
grep -q 'belongs to cluster' "$work/node4.log" || fail "no word of the cluster: $(cat "$work/node4.log")"
decree member -c "$client_ini" add 2 0123456789abcdef >"$work/member" 2>&1 && fail "node 2's number is used again"
load
acks_grow 300
cluster kill 1

note "another node joins"
for n in 4 5; do
	new_cluster "$DECREE_CLUSTER_DIR/node$n/decree.ini" >"$work/new.ini"
	mv "$work/new.ini" "$DECREE_CLUSTER_DIR/node$n/decree.ini"
	cluster kill "$n"
	disk=$("$DECREE_BIN/decree" format -c "$DECREE_CLUSTER_DIR/node$n/decree.ini" | sed -n 's/^disk //p')
	cluster start "$n" || fail "node $n does not start"
	decree member -c "$client_ini" add "$n" "$disk" || fail "decree member add $n"
done
acks_grow 300
unload
total=$(($(decree read -c "$client_ini" count)))
for n in 3 4 5; do
	wait_until "node $n had executed everything" has_executed "$n" "$total"
done
cluster kill 3
wait_until "another node led" another_leads 3
