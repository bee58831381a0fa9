#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/queue-move: all jobs of Debian's beanstalkd come to a decreed, with everything that they have; those of a decreed whose memory
# is full to a larger one; and none is lost when it is killed on the way, or when the new server refuses one.
. "$(dirname "$0")/lib.sh"

command -v beanstalkd >/dev/null || {
	echo "skipped: beanstalkd is not installed (scripts/deps test)"
	exit 77
}
old=unix:$work/old
new=unix:$work/new
declare -A servers

undo() {
	local server

	for server in $(jobs -p); do
		kill -9 "$server" 2>/dev/null
	done
	wait 2>/dev/null
}

# queue NAME FOLDER [OPTION ...]: a decreed at unix:$work/NAME
queue() {
	local name=$1 folder=$work/$2

	: >"$work/$name.ready"
	: >"$work/$name.log"
	"$DECREE_BIN/decreed" -b "$folder" -l "unix:$work/$name" --ready-fd 9 "${@:3}" 9>"$work/$name.ready" 2>"$work/$name.log" &
	servers[$name]=$!
	wait_until "the queue was ready: $(cat "$work/$name.log")" test -s "$work/$name.ready"
}

end() {
	kill "${servers[$1]}"
	wait "${servers[$1]}" 2>/dev/null
}

jobs_of() {
	python3 "$top/tests/cluster/queue_move.py" "$@" || fail "$1: see above"
}

# moves STATUS WORDS FROM TO [OPTION]
moves() {
	local got

	"$top/scripts/queue-move" "${@:3}" >"$work/said" 2>&1
	got=$?
	[ $got -eq "$1" ] || fail "the status is $got instead of $1: $(cat "$work/said")"
	grep -qF -- "$2" "$work/said" || fail "no word of '$2': $(cat "$work/said")"
}

move_everything() {
	mkfifo "$work/worker"
	jobs_of fill "$old" <"$work/worker" >"$work/filled" &
	exec 8>"$work/worker"
	wait_until "the jobs were put" grep -q filled "$work/filled"
	moves 0 'mails: 1 ready, 2 delayed, 2 buried' --dry-run "$old" "$new"
	moves 0 'mails: 1 ready, 2 delayed, 2 buried' --dry-run "$old"
	moves 1 '1 jobs stay' "$old" "$new"
	grep -q '^12 jobs moved' "$work/said" || fail "not all were moved: $(cat "$work/said")"
	moves 1 '0 jobs moved' "$old" "$new"
	jobs_of check "$new"
	exec 8>&- # the worker is gone
	wait_until "what its worker held was moved" moves_last
	rm "$work/worker"
}

moves_last() (
	is_trial=yes
	moves 0 '1 jobs moved' "$old" "$new"
)

note "from beanstalkd"
beanstalkd -l "$old" &
servers[old]=$!
queue new first
wait_until "beanstalkd was there" test -S "$work/old"
move_everything

note "one queue is not moved to itself"
moves 1 'are one queue' "$new" "$new"

moves 2 'TO is missing' "$new"

note "killed on the way, nothing is lost, and what is there twice is no more than one hand can hold"
jobs_of bulk "$old" 5000
"$top/scripts/queue-move" "$old" "$new" >/dev/null 2>&1 &
mover=$!
some_moved() {
	[ "$(python3 "$top/tests/cluster/queue_move.py" count "$new")" -gt 500 ]
}
wait_until "some jobs were moved" some_moved
kill -9 $mover
wait $mover 2>/dev/null
moves 0 'jobs moved' "$old" "$new"
grep -q '^5000 jobs' "$work/said" && fail "it was killed before it did anything"
jobs_of drink "$new" >"$work/bodies"
seq 0 4999 | sort >"$work/all"
sort -u "$work/bodies" | cmp - "$work/all" || fail "jobs were lost"
[ "$(wc -l <"$work/bodies")" -le 5032 ] || fail "$(wc -l <"$work/bodies") jobs have come of 5000"

note "a server that refuses a job"
end new
queue new second -z 3
jobs_of bulk "$old" 2000
moves 1 'start it with -z 4' "$old" "$new"
end new
queue new second
moves 0 'jobs moved' "$old" "$new"
"$top/scripts/queue-move" 127.0.0.1:1 "unix:$work/nothing" 2>&1 | grep -qx 'queue-move: 127.0.0.1:1: Connection refused' || fail "a server that is not there"
[ "$(jobs_of drink "$new" | wc -l)" -eq 2000 ] || fail "the refused job was not moved, or others were twice"
end old
end new

note "from a decreed whose memory is full to a larger one"
queue old small queue.bytes=16M
queue new large queue.bytes=64M
move_everything
# fill SERVER: how many jobs it takes until it is full
fill() {
	python3 - "$1" <<-'END'
		import itertools, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1][5:])
		f = s.makefile("rb")
		for count in itertools.count():
		    s.sendall(b"put 0 0 60 60000\r\n" + b"x" * 60000 + b"\r\n")
		    if f.readline() == b"OUT_OF_MEMORY\r\n":
		        sys.exit(print(count))
	END
}
first=$(fill "$old")
[ "$first" -gt 100 ] || fail "it was full after $first jobs"
moves 0 "default: $first ready" "$old" "$new"
[ "$(fill "$new")" -gt "$first" ] || fail "the new one has no more room than the old one had"
