#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A queue that nobody configured: one command, one node. Jobs survive kill -9; SIGUSR1 drains; SIGTERM ends it.
. "$(dirname "$0")/lib.sh"

server=
pid=
limit=()

undo() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
}

beans() {
	python3 "$top/tests/cluster/beans.py" "$1" "127.0.0.1:$(port)" "${@:2}"
}

# Of the process that runs; it writes the number that it got.
port() {
	sed -n 's/^decreed: queue on 127\.0\.0\.1://p' "$server"
}

is_ready() {
	kill -0 "$pid" && [ -s "$work/ready" ]
}

# start [OPTION ...]
start() {
	server=$work/server.$SRANDOM
	rm -f "$work/ready"
	: >"$server"
	"${limit[@]}" "$DECREE_BIN/decreed" -b "$work/queue" -p 0 --ready-fd 9 "$@" 9>"$work/ready" 2>"$server" &
	pid=$!
	wait_until "the queue was ready: $(cat "$server")" is_ready
}

killed() {
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
}

# answers WORDS COMMAND...
answers() {
	local got

	got=$(beans ask "${@:2}" | tail -n 1)
	[ "$got" = "$1" ] || fail "'${*:2}' is answered '$got' instead of '$1': $(cat "$server")"
}

note "a first start makes what it needs, the log as large as it is told"
start local.log_bytes=128M queue.bytes=64M
[ "$(stat -c %s "$work/queue/data/shard-0/segments")" = $((128 << 20)) ] || fail "the log has another size"
grep -qx 'log_bytes = 128M' "$work/queue/decree.ini" || fail "the configuration has another size"
grep -qx 'bytes = 64M' "$work/queue/decree.ini" || fail "the configuration has another size of the queue"
[ -f "$work/queue/decree.ini" ] || fail "no configuration in the folder"
beans put jobs 1 200 "$work/acked" || fail "a put was refused"
[ "$(wc -l <"$work/acked")" -eq 200 ] || fail "not every put was acknowledged"

note "the jobs are there after kill -9"
killed
start
beans work jobs 120 "$work/done" || fail "jobs are missing"
seq 120 | cmp - "$work/done" || fail "jobs came in another order"
killed
start
seq 200 >"$work/all"
beans work jobs 200 "$work/done" || fail "jobs are missing"
cmp "$work/all" "$work/done" || fail "a job came back that was deleted, or in another order"

note "what was reserved when it died is there when it is back, before anybody is served"
answers 'INSERTED 201' 'use held' 'put 1 0 3600 4|held'
python3 "$top/tests/cluster/beans.py" hold "127.0.0.1:$(port)" held >"$work/holder" 2>&1 &
holder=$!
wait_until "a client had the job" grep -qx held "$work/holder"
killed
kill "$holder"
start
answers 'RESERVED 201 4 held' 'watch held' 'reserve-with-timeout 0'

note "job sizes of its own"
killed
start -z 10
answers 'INSERTED 202' 'put 1 0 60 10|0123456789'
answers JOB_TOO_BIG 'put 1 0 60 11|0123456789x'

note "more clients than the files that a shell allows"
killed
ulimit -Sn 64
start
ulimit -Sn "$(ulimit -Hn)"
[ "$(beans crowd 200)" = 200 ] || fail "not every client was answered: $(cat "$server")"

note "more clients than the files that it may open: they leave some for a snapshot"
killed
limit=(prlimit --nofile=128:128)
start
limit=()
mkfifo "$work/crowd.in"
beans fill 200 <"$work/crowd.in" &
crowd=$!
exec {filling}>"$work/crowd.in"
wait_until "it was full: $(cat "$server")" grep -q 'queue: no new clients for now' "$server"
"$DECREE_BIN/decree" snapshot -c "$work/queue/decree.ini" || fail "no snapshot: $(cat "$server")"
exec {filling}>&-
wait "$crowd" || fail "a client was sent away"
answers 'USING default' list-tube-used

note "draining: no new jobs, and the old ones are served"
kill -USR1 "$pid"
draining() {
	[ "$(beans ask 'put 1 0 60 1|x')" = DRAINING ]
}
wait_until "it drains" draining
answers 'RESERVED 202 10 0123456789' reserve

note "SIGTERM"
kill "$pid"
wait "$pid" || fail "the status after SIGTERM is $?: $(cat "$server")"
grep -q 'SIGTERM: stopping' "$server" || fail "no word of the signal"
