#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bench/all: what it says of files that were measured: each aim that is met, missed, or not measured. It measures nothing here.
#
#   bench_all.sh ALL
set -u

all=$(realpath "$1")
. "$(dirname "$0")/expect.sh"

expect 0 'bench/all [--quick]|latency|peers' "$all" --help
expect 2 "--only: what is 'luck'?" "$all" --only latency,luck folder
touch file
expect 2 'file: File exists: name a folder' "$all" --no-install --only latency file
expect 0 'bench/queues [--transport|decreed-3+' "$(dirname "$all")/queues" --help
expect 0 'bench/peers/run [--no-install]' "$(dirname "$all")/peers/run" --help
DECREE_BUILD=$work/file expect 1 'cannot be built' "$all" --no-install --only latency folder

# point SYSTEM IN_FLIGHT {"median": ..} {"of round 1"} {"of round 2"} [{"more settings"}]
point() {
	jq -nc --arg system "$1" --argjson in_flight "$2" --argjson median "$3" --argjson rounds "[$4]" --argjson more "${5:-{\}}" \
		'{system: $system, setting: ({in_flight: $in_flight} + $more), median: $median, rounds: $rounds, all: {}}'
}
document() {
	jq -sc --argjson floors "${1:-[]}" '{format: "decree-bench 1", points: ., floors: $floors, header: {cpu: "Some CPU", cpu_count: 2, virtual: true,
		kernel: "Linux 6", governor: "none", isolated_cpus: "", huge_pages: 0, device: "vda", write_cache: "write back", fua: false,
		filesystem: "ext4", commit: "abc", build: "release", time: "2026-11-22T00:00:00Z"}}'
}

mkdir some none docs
# A thread's p50 is 1.2 times a client's floor, and 1.5 times the bare one.
{
	point decree 1 '{"p50_us":66,"p99_us":90,"floor_p50_us":60,"floor_p99_us":50,"p50_over_floor":1.1,"p99_over_floor":1.8}' \
		'{"p50_over_floor":1.0,"p99_over_floor":1.8},{"p50_over_floor":1.1,"p99_over_floor":1.4},{"p50_over_floor":1.2,"p99_over_floor":1.9}' '{"load":"inside"}'
	point decree 1 '{"p50_us":90}' '{"p50_us":90,"p50_over_floor":1.2}' '{"load":"thread"}'
} | document '[{"kind":"floor","nodes":3,"block_bytes":4096,"median":{"p50_us":60},"rounds":[{"p50_us":60}],"all":{}}]' >some/latency.json
{
	point decree 256 '{"commits_per_s":9000000,"p99_us":100}' '{}'
	point decree 1000 '{"commits_per_s":3200000,"p99_us":1900}' '{}'
	point decree 3000 '{"commits_per_s":4000000,"p99_us":2100}' '{}' # too late
} | document >some/throughput.json
{
	point decree 1 '{"commits_per_s":1}' '{"p50_us":50},{"p50_us":100}'
	point libraft 1 '{"commits_per_s":1}' '{"p50_us":75},{"p50_us":100}' # 1.5 and 1.0
	point 'decree, by a client' 1 '{"commits_per_s":1}' '{"p50_us":50},{"p50_us":50}'
	point etcd 1 '{"commits_per_s":1}' '{"p50_us":150},{"p50_us":200}'
	point 'decree, by a client' 64 '{"commits_per_s":800}' '{"commits_per_s":700},{"commits_per_s":900}'
	point etcd 64 '{"commits_per_s":100}' '{"commits_per_s":100},{"commits_per_s":100}'
} | document >some/peers.json
printf '%s\n' 'for each command  instructions wire_bytes' ' 1000 in flight, MTU 9000, leader   240.5  1' ' 1000 in flight, MTU 9000, follower   151.0  1' >some/budget.txt
# In memory 2.5 times the echo that a thread sees, 5 times the one that nobody asks for.
{
	point decree 1 '{"commits_per_s":100,"p50_us":10,"p99_us":20,"floor_p50_us":4,"p50_over_floor":2.5,"p99_over_floor":3}' \
		'{"p50_us":8,"p50_over_floor":2.25},{"p50_us":12,"p50_over_floor":2.75}' '{"mode":"memory","durable":false}'
	point decree 64 '{"commits_per_s":3100000,"p50_us":20,"p99_us":30}' '{},{}' '{"mode":"memory","durable":false}'
} | document '[{"kind": "majority echo", "transport": "memif", "rounds": [{"p50_us": 2}, {"p50_us": 2}]}]' >some/modes.json
echo '$ /here/build/bench/decree-bench --dir /disk --closed --json /tmp/x.json' >some/modes.txt
for gap in {30..49}; do # twenty kills
	echo "{\"gap_us\": ${gap}000}"
done | jq -sc '{points: [{setting: {in_flight: 4096}, kills: ., rounds: [{max_us: 60000}, {max_us: 80000}]}]}' >some/kill.json
cat >some/steady.txt <<'END'
1 in flight: 10494 commits/s, each:
            allocations        locks system calls   io_uring_enter to collect    futex   others |   yields   sleeps    kicks
follower         0.0000       0.0000       0.9965           0.9965     0.0003   0.0000   0.0000 |    11.99   0.0116   0.0000
leader           0.0000       0.0000       1.0012           1.0012     0.0003   0.0000  -0.0000 |     8.17   0.0000   0.0000

1000 in flight: 2157748 commits/s, each:
            allocations        locks system calls   io_uring_enter to collect    futex   others |   yields   sleeps    kicks
follower         0.0000       0.0000       0.0020           0.0020     0.0000   0.0000   0.0000 |     0.01   0.0000   0.0000
leader           0.5000       0.0000       0.0031           0.0031     0.0000   0.0000   0.0000 |     0.01   0.0000   0.0000
END
echo '{"rows":[{"load":"put:1","server":"f0","per_s":100,"p50_us":50,"p99_us":70,"rate_ratio":1,"p50_ratio":1},
	{"load":"put:1","server":"decreed-3","per_s":80,"p50_us":0,"rate_ratio":0.8,"p50_ratio":0}]}' >some/queue.json

# line WHAT END: the row about that ends so
"$all" --summary some | tr -s ' ' >table
line() { expect 0 "$2" grep -F -- "$1" table; }
line "flight: p50 over the floor's" '<= 1.15 x 1.10 x yes (2 of 3 rounds)'
line "p99 over the floor's" '<= 1.5 x 1.80 x MISSED (1 of 3 rounds)'
line "floor's to a client" '<= 1.15 x 1.20 x MISSED'
line 'the floor that nobody asks for' '1.50 x'
line 'durable, 1,000 to 3,000' '>= 3 M/s 3.20 M/s yes'
line 'p50 of libraft' '>= 1.3 x 1.25 x MISSED (1 of 2 rounds)'
line 'p50 of etcd' '>= 4 x 3.50 x MISSED (1 of 2 rounds)'
line 'p50 of ZooKeeper' '>= 3.5 x - not measured'
line 'the most: decree over etcd' '8.00 x'
line 'an MTU of 9,000, leader' '<= 250 240 yes'
line 'the same, follower' '<= 150 151 MISSED'
line 'in memory (NOT DURABLE), 64' '>= 3 M/s 3.10 M/s yes'
line 'in memory (NOT DURABLE), one in flight' '<= 2 x 2.50 x MISSED'
line 'the echo that nobody asks for' ' 5.00 x'
line 'one node: two shards' 'not measured'
line 'allocations for each commit' '<= 0 0.5000 MISSED'
line 'locks' '<= 0 0.0000 yes'
line 'system calls, one in flight' '<= 1 1.0012 yes'
line 'one put to three nodes' '<= 1.5 x - not measured'
line 'leader killed 20 times' '40 ms without an answer, 49 at most'
line 'p50 66.0 us' 'the floor 60.0 and 50.0'
expect 0 'not measured|!yes|!MISSED' "$all" --summary none
expect 0 '!other commits' cat table
sed 's/"commit":"abc"/"commit":"def"/' some/modes.json >some/other.json && mv some/modes.json some/kept.json && mv some/other.json some/modes.json
expect 0 'Of other commits than abc: modes (def).' "$all" --summary some
mv some/kept.json some/modes.json

# As Markdown: the host once, each command as somebody types it, a line for each load; nothing of what was not measured.
expect 0 'Some CPU, 2 CPUs, virtual; Linux 6; |disk vda with a volatile cache and no FUA, ext4; commit abc|`decree bench --dir /disk --closed`|!--json|!## Sizes' "$all" --tables some
"$all" --tables some | tr '|' ';' >every
for row in '; memory: NOT DURABLE ; 1 ; 100 ; 10.0 (8.0 to 12.0) ; 20.0 ; - ; 4.0 ; 2.50 (2.25 to 2.75) ; 3.00 ;' \
	'; 1,000 in flight, MTU 9,000, leader ; 240.5 ; 1 ;' '; 1,000 in flight, 2,157,748/s, leader ; 0.5000 ; 0.0000 ; 0.0031 ;' \
	'; 20 ; 30 ; 35 ; 40 ; 44 ; 49 ; 70 ; 80 ;' 'Every gap, ms: 30, 31, ' \
	'; libraft ; - ; 1 ; - ; - ; - ; 1.25 (1.00 to 1.50) ;' '; etcd ; - ; 64 ; 100 ; - ; - ; - ; 8.0 (7.0 to 9.0) ;' \
	'; `put:1` ; 100 / 50.0 / 70.0 ; 80 / - / - ; 0.80 ; - ;'; do
	expect 0 "$row" cat every
done

# Into a page: what stands between the marks is replaced, once; what was not measured, and all other text, stays.
printf '%s\n' before '<!-- bench/all steady -->' old '<!-- end -->' between '<!-- bench/all sizes -->' kept '<!-- end -->' after >docs/benchmarks.md
for time in once again; do
	expect 0 'docs/benchmarks.md: steady' "$all" --docs docs some
	expect 0 'before|<!-- bench/all steady -->|io_uring_enter|between|<!-- bench/all sizes -->|kept|after|!old' cat docs/benchmarks.md
	[ "${lines:-$(wc -l <docs/benchmarks.md)}" = "$(wc -l <docs/benchmarks.md)" ] || {
		echo "FAILED: a page that is filled again has $lines lines and then $(wc -l <docs/benchmarks.md)"
		failed=1
	}
	lines=$(wc -l <docs/benchmarks.md)
done
# The page of the project has a place for each of them, also those of which nothing is here.
page=$(dirname "$all")/../docs/benchmarks.md
expect 0 'aims|latency|stages|throughput|rates|sizes|nodes|modes|transports|jumbo|auth|shards|kill|peers|budget|steady|queue' grep -o '<!-- bench/all [a-z]* -->' "$page"
cp "$page" docs/benchmarks.md
expect 0 'latency, throughput, modes, kill, peers, budget, steady, queue|!sizes|!aims|!host' "$all" --docs docs some
expect 0 '!Some CPU, 2 CPUs|**Files.**|10.0 (8.0 to 12.0)' cat docs/benchmarks.md
# Where it was, and the aims, are of all steps; one that failed has left its text.
touch some/{latency,throughput,rates,sizes,nodes,transports,jumbo,auth,shards,kill,peers,queue}.txt
expect 0 'host, aims, latency, throughput|!sizes' "$all" --docs docs some
expect 0 'Some CPU, 2 CPUs|3.10 M/s' cat docs/benchmarks.md
printf '%s\n' '<!-- bench/all luck -->' '<!-- end -->' >docs/benchmarks.md
expect 1 'luck: there is no such table' "$all" --docs docs some

echo "$count cases"
exit $failed
