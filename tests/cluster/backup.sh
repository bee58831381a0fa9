#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backup of a node that runs, under load: it holds all that was acknowledged before. What is damaged, foreign or does not fit
# is refused; what is whole begins another cluster, which the nodes and clients of the first one do not meet.
. "$(dirname "$0")/lib.sh"

backup() {
	"$DECREE_BIN/decree" backup "$@" >"$work/said" 2>&1
}

restore() {
	"$DECREE_BIN/decree" restore -c "$home/new.ini" "$@" >"$work/said" 2>&1
}

# refused WORDS COMMAND...: it is not done, and why is said; nothing is left behind.
refused() {
	local words=$1

	shift
	"$@" && fail "it was done all the same: $*"
	grep -qF -- "$words" "$work/said" || fail "no word of '$words': $(cat "$work/said")"
	[ ! -e "$home/data2" ] && [ ! -e "$home/data2.new" ] || fail "something was left behind"
}

begin
home=$DECREE_CLUSTER_DIR/node1
ini=$home/decree.ini
sed -E -e 's/^id = .*/id = 0123456789abcdef/' -e 's|(data_dir = .*)/data$|\1/data2|' \
	-e '/^\[node [23]\]/,/^$/d' "$ini" >"$home/new.ini"
printf '\n[node 4]\nip = 10.77.0.4\njoins = yes\n' >>"$home/new.ini"

note "a backup of a node that runs"
refused 'has no snapshot yet' backup -c "$ini" "$work/backup"
load
acks_grow 300
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
before=$(acked)
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
backup -c "$ini" "$work/backup" || fail "decree backup: $(cat "$work/said")"
grep -q 'from node 1' "$work/said" || fail "it does not say what it took: $(cat "$work/said")"
grep -q 'a snapshot of 20' "$work/said" || fail "it does not say how old the snapshot is: $(cat "$work/said")"
refused 'exists already' backup -c "$ini" "$work/backup"
refused 'was formatted with groups = 1' backup -c "$ini" cluster.groups=2 "$work/more"
refused 'belongs to node 1' backup -c "$ini" local.node=2 "$work/more"
refused 'No such file' backup -c "$ini" local.data_dir="$work/nowhere" "$work/more"
[ ! -e "$work/more" ] && [ ! -e "$work/more.new" ] || fail "a file is left behind"
"$DECREE_BIN/decree" backup -c "$DECREE_CLUSTER_DIR/node2/decree.ini" "$work/other" >/dev/null || fail "node 2's backup"
[ ! -e "$work/backup.new" ] || fail "an unfinished file is left behind"
backup --check "$work/backup" || fail "it is not whole: $(cat "$work/said")"

note "what is refused"
bytes=$(stat -c %s "$work/backup")
for offset in 0 8 20 40 100 130 1200 2040 2048 2100 $((bytes / 2)) $((bytes - 20)) $((bytes - 1)); do
	cp "$work/backup" "$work/damaged"
	flip "$work/damaged" "$offset"
	backup --check "$work/damaged" && fail "byte $offset may be anything"
	restore "$work/damaged" && fail "byte $offset may be anything to a restore"
	grep -qE "no backup made|version|is damaged" "$work/said" || fail "byte $offset: $(cat "$work/said")"
	[ ! -e "$home/data2" ] || fail "something was left behind"
done
cp "$work/backup" "$work/damaged" && printf '\2' | dd of="$work/damaged" bs=1 seek=8 conv=notrunc status=none
refused 'is of version 2 of the format, and this program knows version 1' restore "$work/damaged"
for length in 0 100 2047 2048 $((bytes - 1)); do
	head -c "$length" "$work/backup" >"$work/damaged"
	backup --check "$work/damaged" && fail "$length bytes suffice"
done
{ cat "$work/backup" && echo; } >"$work/damaged"
refused 'behind its end' restore "$work/damaged"
refused 'no backup made' restore "$ini"
refused 'No such file' restore "$work/none"
refused 'not a regular file' restore "$work"
refused 'has the id of the cluster of the backup' restore "$work/backup" cluster.id="$(sed -n 's/^id = //p' "$ini")"
refused 'another slot_bytes' restore "$work/backup" cluster.slot_bytes=1000
refused 'joins = yes' restore "$work/backup" node.4.joins=no
cp -r --sparse=always "$home/data" "$work/copy"
for file in "$work"/copy/snapshots/snapshot-0-*; do
	flip "$file" 4200
done
refused 'it is damaged' backup -c "$ini" local.data_dir="$work/copy" "$work/rotten"
[ ! -e "$work/rotten" ] && [ ! -e "$work/rotten.new" ] || fail "half a backup is left behind"
mkdir "$work/taken"
cp "$home"/data/snapshots/snapshot-0-* "$work/taken"
ls -l "$work/taken" >"$work/before"
refused 'holds snapshots already' restore "$work/backup" snapshot.directory="$work/taken"
ls -l "$work/taken" | cmp - "$work/before" || fail "somebody's snapshots were touched"

note "a new cluster begins with it, while the first one runs"
acks_grow 300
unload
restore "$work/backup" || fail "decree restore: $(cat "$work/said")"
refused_again=$(restore "$work/backup"; cat "$work/said")
grep -q 'exists already' <<<"$refused_again" || fail "done twice: $refused_again"
digest=$(decree read -c "$client_ini" digest)
for n in 1 2 3; do
	[ "$(decree read -c "$client_ini" --node $n --consistency stale digest)" = "$digest" ] || fail "node $n was disturbed"
done
cluster kill 1
mv "$home/new.ini" "$ini"
cluster start 1 || fail "the new cluster does not start"
sed -e 's/^id = .*/id = 0123456789abcdef/' "$client_ini" >"$work/client.ini"
restored=$(decree read -c "$work/client.ini" count)
[ "$restored" -ge "$before" ] || fail "$before commands were acknowledged before the backup, $restored are there"
[ "$restored" -lt "$(acked)" ] || fail "$restored commands are there: more than were before the backup"
seq 100 >"$work/more"
decree submit -c "$work/client.ini" "$work/more" >/dev/null || fail "the new cluster takes no commands"
[ "$(decree read -c "$work/client.ini" count)" -eq $((restored + 100)) ] || fail "commands are missing"

note "the first cluster does not meet it"
[ "$(decree read -c "$client_ini" digest)" = "$digest" ] || fail "the first cluster has another state"
decree status -c "$client_ini" --json 2>/dev/null | jq -es 'map(.node) | sort == [2, 3]' >/dev/null || fail "node 1 answers both"
restarted() {
	cluster kill 1
	cluster start 1 && decree read -c "$work/client.ini" count >"$work/count"
}
restarted || fail "the new cluster does not start again"
[ "$(cat "$work/count")" -eq $((restored + 100)) ] || fail "commands are gone after a restart"
