#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bench/queue: its command line, and the form of what it prints, against a server of our own in a network of its own. What it
# measures here is worth nothing, and is not looked at.
#
#   bench_queue.sh QUEUE DECREED CEILING
set -u

if [ -z "${BENCH_QUEUE_INSIDE:-}" ]; then
	BENCH_QUEUE_INSIDE=1 exec unshare --net --map-root-user "$0" "$(realpath "$1")" "$(realpath "$2")" "$(realpath "$3")"
fi
ip link set lo up || exit 1
queue=$1
decreed=$2
ceiling=$3
. "$(dirname "$0")/expect.sh"
run=("$queue" --rounds 2 --seconds 0.1 --body 40)

# Command lines

expect 0 'usage: queue [OPTION ...] NAME=ADDRESS:PORT|--loads LIST|--backlog N|put:N@RATE' "$queue" --help
expect 2 'no server' "$queue"
expect 2 'a: expected NAME=ADDRESS:PORT' "$queue" a
expect 2 '=127.0.0.1:1: expected NAME' "$queue" =127.0.0.1:1
expect 2 'a=localhost:1: expected' "$queue" a=localhost:1
expect 2 'a=127.0.0.1:0: expected' "$queue" a=127.0.0.1:0
expect 2 'a=127.0.0.1:70000: expected' "$queue" a=127.0.0.1:70000
expect 2 'a=127.0.0.1:1,b: expected' "$queue" a=127.0.0.1:1,b
for load in put put: put:0 pull:1 put:1x put:1@ put:1@0 put:-1 put:1:2 fan:3@5 fan:1 put:10001 cycle:1: cycle:1:0 cycle:1:257 cycle:1:2@5; do
	expect 2 "--loads: $load: expected" "$queue" --loads "$load" a=127.0.0.1:1
done
expect 2 '--against b: no server' "$queue" --against b a=127.0.0.1:1
expect 2 'amqp: there is neither cycle:N@RATE nor --backlog' "$queue" --backlog 1 a=amqp:127.0.0.1:1
expect 2 'amqp: there is neither cycle:N@RATE nor --backlog' "$queue" --loads put:1,cycle:1@5 b=127.0.0.1:1 a=amqp:127.0.0.1:1
expect 2 'a=amqp:: expected' "$queue" a=amqp:
expect 1 'a, put:1: ' "$queue" --loads put:1 a=amqp:127.0.0.1:1
expect 2 '--body 15' "$queue" --body 15 a=127.0.0.1:1
expect 2 '--seconds 0: expected' "$queue" --seconds 0 a=127.0.0.1:1
expect 1 'a, put:1: cannot connect to 127.0.0.1:1: Connection refused' "$queue" --loads put:1 a=127.0.0.1:1

# Runs

mkdir data
"$decreed" -p 11300 -b data >server.log 2>&1 &
server=$!
"$ceiling" 11301 &
nothing=$!
trap 'kill $server $nothing; wait $server $nothing; rm -rf "$work"' EXIT
for _ in $(seq 600); do
	grep -q 'queue on' server.log && break
	sleep 0.1
done
a=a=127.0.0.1:11300
b=b=127.0.0.1:11300,127.0.0.1:11300

expect 0 'put:2: 2 connections, jobs of 40 bytes, closed loop|cycle:3: 3|fan:4: 4|put:1@200: 1 connection, jobs of 40 bytes, open loop at 200/s|lag p99|unsent|cycle:2@400: 2 connections, jobs of 40 bytes, open loop at 400/s|cycle:2:5: 2 connections, jobs of 40 bytes, closed loop, 5 under way on each|Medians of 2 rounds|ratio to b' \
	"${run[@]}" --loads put:2,cycle:3,fan:4,put:1@200,cycle:2@400,cycle:2:5 --against b --json out.json --markdown out.md "$a" "$b"
expect 0 '| load | server | per s | p50 us | p99 us | p99.9 us | rate : b | p50 : b |' head -n 1 out.md
expect 0 '14 8' awk -F'|' '{ n += NF == 10 } END { print NR, n / NR * 8 }' out.md
expect 0 '[12,"queue",2,"b"]' jq -c '[(.rows | length), .bench, .rounds, .against]' out.json
# Within so short a time a slow disk may leave a load without any answer, but not all of them.
expect 0 '[6,6,true]' jq -c '[([.rows[] | select(.server == "b" and (.rate_ratio == 1 or .per_s == 0))] | length),
	([.rows[] | select(.server == "a" and .per_s >= 0 and .max_us >= 0 and has("lag_us"))] | length),
	any(.rows[]; .server == "a" and .per_s > 0 and .max_us > 0)]' out.json
# What a server that does nothing says is what the client expects of one.
expect 0 'put:2: 2|cycle:3: 3|cycle:2:5: 2' "${run[@]}" --loads put:2,cycle:3,cycle:2:5 --json nothing.json c=127.0.0.1:11301
expect 0 '[3,true]' jq -c '[(.rows | length), any(.rows[]; .per_s > 0)]' nothing.json
expect 2 'usage: ceiling PORT' "$ceiling" 0
expect 0 'cycle:1' "${run[@]}" --backlog 700 --loads cycle:1 "$a"
printf 'stats-tube bench-backlog\r\nquit\r\n' >question
expect 0 'current-jobs-ready: 700' bash -c 'exec 3<>/dev/tcp/127.0.0.1/11300; cat question >&3; cat <&3'
expect 0 'no plot|install gnuplot' bash -c "PATH=/nonexistent ${run[*]} --loads put:1 --plot out.svg $a; [ \$? = 1 ] && echo no plot"
expect 1 'nowhere/out.json: No such file' "${run[@]}" --loads put:1 --json nowhere/out.json "$a"
expect 1 'nowhere/out.md: No such file' "${run[@]}" --loads put:1 --markdown nowhere/out.md "$a"
if command -v gnuplot >/dev/null; then
	expect 0 'put:1' "${run[@]}" --loads put:1,cycle:1 --plot out.svg "$a" "$b"
	expect 0 '<svg|throughput' cat out.svg
fi

echo "$count cases"
exit $failed
