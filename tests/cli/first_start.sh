#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first start of a queue that nobody configured is killed before each of its changes to the disk. Whatever that leaves, the
# next start makes a whole folder of it, be it killed once more in between or not.
#
#   first_start.sh DECREE DECREED KILL_AT
set -u

decree=$(realpath "$1")
decreed=$(realpath "$2")
kill_at=$(realpath "$3")
. "$(dirname "$0")/expect.sh"
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$work"' EXIT

# The sanitizers' search for leaks does not work in a process that is traced.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

fail() {
	echo "FAILED: $*" >&2
	failed=1
}

# begin FOLDER [KILL_AT N]: a start that ends behind the preparation of the folder, as it is told nonsense.
begin() {
	"${@:2}" "$decreed" -b "$1" -p 0 local.cpus=99 >out 2>&1
}

# What of it is there, and nothing else.
check_whole() {
	[ "$(ls "$1" | xargs)" = 'client.key cluster.key data decree.ini' ] || fail "$2: left are $(ls "$1" | xargs)"
	[ "$(ls "$1/data/shard-0" | xargs)" = 'hardstate identifiers identity segments' ] || fail "$2: no log"
}

starts() {
	: >ready
	"$decreed" -b "$1" -p 0 --ready-fd 9 9>ready 2>out &
	pid=$!
	for _ in {1..600}; do
		[ ! -s ready ] || break
		kill -0 $pid 2>/dev/null || break
		sleep 0.05
	done
	[ -s ready ] || fail "$2: it does not start: $(cat out)"
	kill "$pid" 2>/dev/null
	wait "$pid"
	pid=
}

declare -A seen # what a killed start left, and a start of which was tried
for ((n = 1; ; n++)); do
	rm -rf queue
	begin queue "$kill_at" $n
	case $? in
	0) ;;
	1) break ;;
	*) fail "kill_at: $(cat out)" && break ;;
	esac
	left=:$(ls queue queue/decree.made 2>/dev/null | xargs)
	begin queue "$kill_at" $((n % 5 + 1))
	begin queue
	grep -qF 'CPU 99 of' out || fail "killed at change $n: $(cat out)"
	check_whole queue "killed at change $n"
	if [ -z "${seen[$left]:-}" ]; then
		"$decree" wal verify queue/data >out 2>&1 || fail "killed at change $n: $(cat out)"
		starts queue "killed at change $n"
	fi
	seen[$left]=1
done
[ $n -gt 20 ] || fail "only $((n - 1)) changes"
[ -e queue/decree.ini ] || fail "a start that was not killed made no folder"

# A folder with jobs is found as it is; one with somebody else's data or keys is not touched.
starts queue 'again'
# So it is beside a node of a cluster, whose clients would be served by a queue of this host alone.
for name in data shard-0 cluster.key client.key node node.key node-client.key east/shard-0; do
	mkdir -p "other/$name"
	expect 2 "other/${name%/*} is there without|-c FILE|decreed@NAME" "$decreed" -b other -p 0
	[ "$(ls other)" = "${name%/*}" ] || fail "another node's folder was written to"
	rm -r other
done
# Nor is beanstalkd's: its jobs would seem to be lost.
mkdir other
echo >other/binlog.17
expect 2 "other/binlog.17 is beanstalkd's|-b DIR|decree-queue-move" "$decreed" -b other -p 0
[ "$(ls other)" = binlog.17 ] || fail "beanstalkd's folder was written to"
rm -r other

# Larger jobs than its commands may be: said so, and nothing is changed.
expect 2 'job_bytes = 200000|command_bytes_max = 131072|another folder' "$decreed" -b queue -p 0 -z 200000
rm -r queue
expect 2 'CPU 99 of' "$decreed" -b queue -p 0 -z 200000 local.cpus=99
grep -q '^command_bytes_max = 200064$' queue/decree.ini || fail "no room for the jobs that -z asks for"
rm -r queue

# What only the first start takes, and a setting that is wrong: named as it was given, and nothing is made.
expect 2 "setting 'queue.bytes=9999G'" "$decreed" -b queue -p 0 queue.bytes=9999G
expect 2 "setting 'queue.listen=here'" "$decreed" -b queue -p 0 queue.listen=here
expect 2 'log_bytes = 64M is not 2 or more times segment_bytes = 64M: lower segment_bytes' "$decreed" -b queue -p 0 local.log_bytes=64M
[ -z "$(ls queue)" ] || fail "a wrong setting left $(ls queue)"
expect 2 'CPU 99 of' "$decreed" -b queue -p 0 local.log_bytes=64M local.segment_bytes=16M local.cpus=99
[ "$(stat -c %s queue/data/shard-0/segments)" = $((64 << 20)) ] || fail "the log has another size"

echo "$((n - 1)) changes, ${#seen[@]} states"
exit $failed
