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
DECREE_BUILD=$work/file expect 1 'cannot be built' "$all" --no-install --only latency folder

# point SYSTEM IN_FLIGHT {"median": ..} {"of round 1"} {"of round 2"}
point() {
	jq -nc --arg system "$1" --argjson in_flight "$2" --argjson median "$3" --argjson rounds "[$4]" \
		'{system: $system, setting: {in_flight: $in_flight}, median: $median, rounds: $rounds}'
}
document() { jq -sc '{format: "decree-bench 1", points: .}'; }

mkdir some none
point decree 1 '{"p50_us":66,"p99_us":90,"floor_p50_us":60,"floor_p99_us":50,"p50_over_floor":1.1,"p99_over_floor":1.8}' '{}' | document >some/latency.json
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
	point 'decree, by a client' 64 '{"commits_per_s":800}' '{}'
	point etcd 64 '{"commits_per_s":100}' '{}'
} | document >some/peers.json
printf '%s\n' ' 1000 in flight, leader   240.5  1' ' 1000 in flight, follower   151.0  1' >some/budget.txt

# line WHAT END: the row about that ends so
"$all" --summary some | tr -s ' ' >table
line() { expect 0 "$2" grep -F -- "$1" table; }
line "p50 over the floor's" '<= 1.15 x 1.10 x yes'
line "p99 over the floor's" '<= 1.5 x 1.80 x MISSED'
line 'durable, 1,000 to 3,000' '>= 3 M/s 3.20 M/s yes'
line 'p50 of libraft' '>= 1.3 x 1.25 x MISSED'
line 'p50 of etcd' '>= 4 x 3.50 x MISSED'
line 'p50 of ZooKeeper' '>= 3.5 x - not measured'
line 'the most: decree over etcd' '8.00 x'
line 'full batches, leader' '<= 250 240 yes'
line 'the same, follower' '<= 150 151 MISSED'
line 'in memory (NOT DURABLE), 64' 'not measured'
line 'p50 66.0 us' 'the floor 60.0 and 50.0'
expect 0 'not measured|!yes|!MISSED' "$all" --summary none

echo "$count cases"
exit $failed
