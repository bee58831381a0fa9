#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# decree beside other systems: each that is there is started, loaded and ended, and the table and the file have it. What it
# measures here is worth nothing, and is not looked at.
#
#   bench_peers.sh PEERS RUN
set -u

peers=$(realpath "$1")
run=$(realpath "$2")
. "$(dirname "$0")/expect.sh"
mkdir disk
expect_seconds=150 # a JVM on a busy host takes its time
export DECREE_BUILD
DECREE_BUILD=$(dirname "$(dirname "$peers")")

expect 0 'usage: peers [OPTION ...]|--systems LIST|--in-flight LIST|--no-prewrite|1,64,256,1000,2000,4000,8000' "$peers" --help
expect 2 "--systems: what is 'paxos'?" "$peers" --systems decree,paxos
expect 2 '--in-flight: expected numbers from 1 to 16384' "$peers" --in-flight 1,,2
expect 2 '--seconds 0 measures nothing' "$peers" --seconds 0
expect 1 '--dir nowhere: No such file' "$peers" --dir nowhere

expect 0 'program     decree bench|command    |NOT PRE-WRITTEN|CLOSED LOOP|other programs |p50:floor|floor: three processes|floor to client: three processes|round 1: decree |One in flight, 40 bytes:|The most that each does, 40 bytes:|-- embedded|Medians of 1 round' \
	"$run" --no-install --dir disk --rounds 1 --seconds 0.2 --warm-up 0.1 --settle 0 --in-flight 1,20,40 --bytes 40 --connections 3 --no-prewrite \
	--log-bytes 16777216 --json peers.json
expect 0 '!disk/' find disk -mindepth 1

# On a busy host one of these short loads may end without an answer, all of a system's do not. Whoever was not skipped has its three loads in the file, all answered, with what they took.
systems=$(jq '[.points[].system] | unique | length' peers.json)
expect 0 "[\"decree-bench 1\",$((3 * systems)),true]" jq -c '[.format, (.points | length), ([.points[] | (.rounds | length) == 1
	and .setting.nodes == 3 and .setting.durable and .setting.version != "" and .setting.bytes == 40] | all)]' peers.json
expect 0 'true' jq -c '.points | group_by(.system) | map(map(.all.count) | add > 0) | all' peers.json
expect 0 'true' jq -c '[.points[] | select(.all.count > 0) | .median.commits_per_s > 0 and .median.cpu_us_per_commit > 0 and .median.max_us >= .median.min_us] | all' peers.json
expect 0 '[[1,20,40]]' jq -c '[.points | group_by(.system)[] | [.[].setting.in_flight] | sort] | unique' peers.json
# What was set, how it was started, and a floor of the same round, to which one in flight has a ratio, where both had answers enough for a p50.
expect 0 'true' jq -c '[.points[] | .setting.load == (if .system | IN("decree", "libraft") then "inside" elif .system == "decree, by a thread" then "thread" else "client" end)] | all' peers.json
expect 0 '[3,false,["floor","floor to client"]]' jq -c '[.settings.connections, .settings.prewritten, ([.floors[].kind] | sort)]' peers.json
expect 0 'true' jq -c '([.floors[].median.p50_us != null] | all) as $floors | [.points[] | (.setting.in_flight == 1 and .median.p50_us != null) as $own
	| (if .median.p50_over_floor != null then $own else ($own and $floors | not) end) and .retried_rounds != null] | all' peers.json
expect 0 'true' jq -c '[.points[] | (.setting.started != null) == (.system | startswith("decree") | not)] | all' peers.json
# The load is a process of its own, or it is not: then the servers' share is known.
expect 0 'true' jq -c '[.points[] | select(.all.count > 0) | (.median.server_cpu_us_per_commit != null) == ([.system] | inside(["decree", "decree, by a thread", "libraft"]) | not)] | all' peers.json

# All of them in one picture, if there is anything to draw.
if command -v gnuplot >/dev/null && jq -e '[.points[].median.p50_us != null] | any' peers.json >/dev/null; then
	expect 0 'percentiles.svg|knee.svg' "$DECREE_BUILD/bench/decree-bench-plot" peers.json plots
	for system in $(jq -r '[.points[] | select(.median.commits_per_s > 0) | .system] | unique | .[] | split(",")[0]' peers.json); do
		expect 0 "$system" cat plots/knee.svg
	done
fi

echo "$count cases, $systems systems"
exit $failed
