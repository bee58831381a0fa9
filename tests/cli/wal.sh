#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `decree wal` on logs of 12 records made here, whole and damaged in one way each: status and lines.
#
#   wal.sh DECREE MAKE_LOG
#
# A record of 1,000 bytes has 3 sectors: record n lies at byte 1536 * (n - 1) of `segments`, its identifier at
# byte 128 * (n - 1) of `identifiers`.
set -u

decree=$(realpath "$1")
make_log=$(realpath "$2")
. "$(dirname "$0")/expect.sh"

# fresh: the undamaged log once more, in `data`.
fresh() {
	rm -rf data
	cp -a whole data
}

# flip FILE BYTE: another value in that byte. zero FILE BYTE COUNT.
flip() {
	local old

	old=$(od -An -tu1 -j "$2" -N 1 "data/shard-0/$1")
	printf "\\x$(printf %02x $(((old + 1) % 256)))" |
		dd of="data/shard-0/$1" bs=1 seek="$2" conv=notrunc status=none
}
zero() {
	head -c "$3" /dev/zero | dd of="data/shard-0/$1" bs=1 seek="$2" conv=notrunc status=none
}

cat >good.ini <<'END'
[cluster]
id = c0ffee
key_file = cluster.key
client_key_file = client.key
[node 1]
ip = 127.0.0.1
[local]
node = 1
data_dir = data
log_bytes = 4M
segment_bytes = 1M
port = net_af_packet0,iface=lo
END
expect 0 'node 1' "$decree" format -c good.ini --new-keys
expect 0 'no node ever ran on it|clean|next lsn 1  ' "$decree" wal inspect data
expect 0 'intact 0|is sound' "$decree" wal verify data
"$make_log" data/shard-0 12 || exit 1
mv data whole
log=data/shard-0

# A sound log: every part of it is shown.

fresh
expect 0 'cluster c0ffee  node 1  shard 0  shards 1  groups 1|log bytes 4194304  segment bytes 1048576' \
	"$decree" wal inspect $log
expect 0 'of identity  copy 1  state valid|of session page  copy 0  state valid|of hard state  copy 1  state valid' \
	"$decree" wal inspect $log
expect 0 'number 1  mode durable|begins at lsn 1  byte 0|starts 7|group 0  promised 3.1  snapshot 0  doubt no' \
	"$decree" wal inspect $log
expect 0 'heard  group 0  of node 2  starts 5  promised 3.1  accepted 12  in start 5  accepted before 9' \
	"$decree" wal inspect $log
expect 0 'block  lsn 12  byte 16896  sectors 3  generation 1  kind accepted  group 0  slot 12  ballot 3.1  bytes 1000  commit 11' \
	"$decree" wal inspect $log
expect 0 'identifier matches|end  state clean  next lsn 13  byte 18432|!verdict|!damaged|!6d6d6d' "$decree" wal inspect $log
expect 0 'data/shard-0:|lsn 12  ' "$decree" wal inspect data
expect 0 'lsn 4  |lsn 5  |!lsn 3  |!lsn 6  ' "$decree" wal inspect --from 4 --count 2 $log
expect 0 'slot 7  |!slot 6  |!slot 8  ' "$decree" wal inspect --slot 7 $log
expect 0 'end  state clean|!block' "$decree" wal inspect --damaged-only $log
expect 0 'value 626262' "$decree" wal inspect --hex --slot 1 $log
expect 0 '{"type":"block","lsn":3,"byte":3072,"sectors":3,"generation":1,"kind":"accepted"|"ballot":"3.1"|{"type":"end","state":"clean"' \
	"$decree" wal inspect --json $log
expect 0 'records  intact 12  first lsn 1  last lsn 12  value bytes 12000|matching 12  bad 0  contradicting 0  missing 0' \
	"$decree" wal verify $log
expect 0 'bad copies 0|torn bytes 0|rotten sectors 0|verdict  is sound' "$decree" wal verify $log
expect 0 '{"type":"verdict","is":"sound"' "$decree" wal verify --json $log
cmp -s whole/shard-0/segments data/shard-0/segments && cmp -s whole/shard-0/identity data/shard-0/identity &&
	cmp -s whole/shard-0/hardstate data/shard-0/hardstate &&
	cmp -s whole/shard-0/identifiers data/shard-0/identifiers ||
	{ echo "FAILED: looking at it changed it" && failed=1; }

# Damaged blocks: what still names them, and why they are no torn tail.

fresh
flip segments $((1536 * 4 + 512 + 100))
expect 1 'damaged  lsn 5  byte 6144  sectors 3  kind accepted  group 0  slot 5  ballot 3.1|named by its identifier' \
	"$decree" wal inspect $log
expect 1 'sector at byte 6656: fails its checksum|sector at byte 6144: intact|no torn tail: its identifier|is damaged' \
	"$decree" wal inspect $log
expect 1 'damaged  lsn 5|!block|verdict' "$decree" wal inspect --damaged-only $log
expect 1 'verdict|!damaged  lsn 5' "$decree" wal inspect --slot 6 $log
expect 1 'intact 11|damaged 1  damaged places without a name 0|would start with this log and get what is damaged' \
	"$decree" wal verify $log
expect 1 '"type":"damaged","lsn":5|{"byte":6656,"state":"rotten"}|"named_by":"its identifier"' "$decree" wal verify --json $log

fresh
flip segments $((1536 * 4 + 512 + 100))
zero identifiers $((128 * 4)) 128
expect 1 'damaged  lsn 5|slot 5|named by its first sector  identifier missing|no torn tail: ' "$decree" wal verify $log

fresh
flip segments $((1536 * 4 + 100))
flip identifiers $((128 * 4 + 40))
expect 1 'damaged  lsn 5|slot 5  ballot 3.1|named by its last sector  identifier bad|bad 1  contradicting 0' \
	"$decree" wal verify $log

fresh
zero segments $((1536 * 4)) 1536
zero identifiers $((128 * 4)) 128
expect 1 'damaged  lsn 5  byte 6144  sectors 3  kind unknown  named by nothing|holds nothing but zeros|nothing says which slots' \
	"$decree" wal inspect --slot 6 $log
expect 1 'damaged 0  damaged places without a name 1' "$decree" wal verify $log

# The last record half written, its identifier not yet: never acknowledged.

fresh
zero segments $((1536 * 11 + 512)) 1024
zero identifiers $((128 * 11)) 128
expect 0 'end  state torn  next lsn 12  byte 16896  cut to lsn 12  cut bytes 512|never acknowledged' "$decree" wal inspect $log
expect 0 'intact 11|torn bytes 512|is sound' "$decree" wal verify $log
expect 0 '!slot 12  ' "$decree" wal inspect $log

# The same with a sector that fails its checksum: perhaps it was acknowledged.

flip segments $((1536 * 11 + 5))
expect 1 'damaged  lsn 12|end  state sealed|named by nothing|fails its checksum' "$decree" wal inspect $log

# Identifiers that are bad, missing, or speak of something else while their block is intact.

fresh
flip identifiers $((128 * 2 + 50))
expect 1 'lsn 3  |identifier bad|the block is intact|bad 1|every record is intact' "$decree" wal verify $log
fresh
zero identifiers $((128 * 2)) 128
expect 0 'matching 11|missing 1  not written yet 0' "$decree" wal verify $log
fresh
dd if=whole/shard-0/identifiers of=$log/identifiers bs=128 skip=6 seek=2 count=1 conv=notrunc status=none
expect 1 'lsn 3  |identifier contradicts|contradicting 1' "$decree" wal verify $log
fresh
flip identifiers $((128 * 2000 + 50))
expect 1 'matching 12  bad 1' "$decree" wal verify $log

# Blocks in each other's place.

fresh
dd if=whole/shard-0/segments of=$log/segments bs=1536 skip=7 seek=4 count=1 conv=notrunc status=none
expect 1 "damaged  lsn 5|slot 5  |sector at byte 6144: is intact, but record 8's" "$decree" wal verify $log

# Space that holds no record: rot in it harms nobody; a record far behind the end is another matter.

fresh
flip segments 3000000
expect 0 'rotten sectors 1  first at byte 2999808|nothing is lost' "$decree" wal verify $log
fresh
zero segments 1536 $((1536 * 11))
zero identifiers 0 $((128 * 12))
dd if=whole/shard-0/segments of=$log/segments bs=512 skip=30 seek=6000 count=3 conv=notrunc status=none
expect 1 'sectors of later records 3  first later at byte 3072000|traces of records behind the end' "$decree" wal verify $log

# Copies of pages.

fresh
flip hardstate 100
expect 1 'of hard state  copy 0  state bad  file hardstate  byte 0|bad copies 1|every record is intact' "$decree" wal verify $log
flip hardstate 4200
expect 3 "both copies of the log's hard state|new node id|intact 12|is refused" "$decree" wal verify $log
expect 3 'of hard state  copy 1  state bad|block  lsn 12|no node would start' "$decree" wal inspect $log
fresh
flip hardstate $((8192 + 100))
expect 1 'of hearsay  copy 0  state bad  file hardstate  byte 8192|bad copies 1|every record is intact' "$decree" wal verify $log
flip hardstate $((40960 + 100))
expect 1 'hearsay  state forgotten|!heard  group' "$decree" wal inspect $log
fresh
flip identity 8200
flip identity $((12288 + 64))
expect 3 "session page|both copies|of session page  copy 1  state bad" "$decree" wal inspect $log
fresh
flip identity 4300
expect 1 'of identity  copy 1  state bad' "$decree" wal verify $log

# Not a log, or not a whole one.

fresh
rm $log/identifiers
expect 3 'file identifiers is missing|new node id|cluster c0ffee' "$decree" wal verify $log
fresh
truncate -s 1M $log/segments
expect 3 'file segments was cut or extended' "$decree" wal verify $log
mkdir foreign
expect 3 'not a log directory' "$decree" wal verify foreign
expect 3 'not a log directory' "$decree" wal inspect foreign
expect 2 'nowhere: No such file' "$decree" wal verify nowhere
expect 2 'good.ini is not a directory' "$decree" wal inspect good.ini

# A running node keeps its log to itself.

fresh
coproc "$make_log" $log 0 --hold
read -r _ <&"${COPROC[0]}"
expect 2 'a node runs on this log|stop the node first' "$decree" wal inspect $log
expect 2 'a node runs on this log' "$decree" wal verify data
holder=$COPROC_PID # bash forgets it as soon as it is over
exec {COPROC[1]}>&-
wait "$holder" || : # over already
expect 0 'number 2|is sound' "$decree" wal verify $log

# Usage

expect 0 'usage: decree wal|inspect DIR|verify DIR|--damaged-only' "$decree" wal --help
expect 2 'inspect or verify?' "$decree" wal
expect 2 'inspect or verify?' "$decree" wal look $log
expect 2 'which log?' "$decree" wal verify
expect 2 "what is 'twice'?" "$decree" wal verify $log twice
expect 2 "unknown option '--frob'" "$decree" wal verify --frob $log
expect 2 '--from 0' "$decree" wal inspect --from 0 $log
expect 2 '--count x' "$decree" wal inspect --count x $log
expect 2 'options that choose are for inspect' "$decree" wal verify --slot 3 $log

echo "$count cases"
exit $failed
