#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# decree bench: its command line, and the form of what it prints and writes. What it measures here is worth nothing, and is not
# looked at, but for what holds on the slowest of machines.
#
#   bench_commit.sh DECREE_BENCH DECREE
set -u

bench=$(realpath "$1")
decree=$(realpath "$2")
. "$(dirname "$0")/expect.sh"
mkdir disk
expect_seconds=100 # on a busy host nodes take their time to elect each other
run=("$bench" --dir disk --seconds 0.3 --warm-up 0.05 --settle 0 --rounds 2 --log-bytes 16M)

# Command lines

expect 0 'usage: decree bench [OPTION ...]|--rate LIST|--closed|--in-flight LIST|--kill-leader|--config FILE|--hgrm FILE' \
	"$decree" bench --help
expect 2 "unknown option '--frob'" "$bench" --frob
expect 2 "what is 'fast'?" "$bench" fast
expect 2 "--rate: '0' is no number from 1 to 100000000" "$bench" --rate 1000,0
expect 2 "--rate: '' is no number" "$bench" --rate 1000,
expect 2 "--rate: '1k5' is no number" "$bench" --rate 1k5
expect 2 '--rate: more than 16 values' "$bench" --rate 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
expect 2 "--bytes: '65K' is no number from 0 to 65536" "$bench" --bytes 64,65K
expect 2 "--nodes: '6' is no number from 1 to 5" "$bench" --nodes 6
expect 2 "--mode: 'fsync' is none of durable, buffered, memory" "$bench" --mode durable,fsync
expect 2 "--auth: 'yes' is none of gmac, none" "$bench" --auth yes
expect 2 "--load: 'outside' is none of thread, inside" "$bench" --load outside
expect 2 "--transport: 'tcp' is none of memif, af_packet, af_xdp" "$bench" --transport memif,tcp
expect 2 "--mtu: '9001' is no number from 1500 to 9000" "$bench" --mtu 1500,9001
expect 2 '--mtu above 1500 goes with memif and af_packet' "$bench" --mtu 9000 --transport memif,af_xdp
expect 2 '--rate is of an open loop: not with --closed' "$bench" --closed --rate 5
expect 2 '--in-flight is a list with --closed only' "$bench" --in-flight 1,2
expect 2 '--in-flight 1: 2 shards need one each' "$bench" --closed --shards 2
expect 2 '--seconds 0 measures nothing' "$bench" --seconds 0
expect 2 '--seconds x: expected seconds' "$bench" --seconds x
expect 2 '--kill-leader wants an open loop' "$bench" --closed --kill-leader
expect 2 '--kill-leader needs 3 nodes' "$bench" --kill-leader --nodes 1
expect 2 '--kill-leader goes with one shard' "$bench" --kill-leader --shards 1,2
expect 2 '--cpus 1,,2: expected CPUs' "$bench" --cpus 1,,2
expect 2 '--log-bytes: 4 MiB or more' "$bench" --log-bytes 1000K
expect 2 '--log-bytes 4X: expected bytes' "$bench" --log-bytes 4X
expect 2 '--state-bytes 99999999999G: expected bytes' "$bench" --state-bytes 99999999999G
expect 1 'nowhere.ini' "$bench" --config nowhere.ini
expect 1 '--dir nowhere: No such file' "$bench" --dir nowhere
expect 1 'unknown section' "$bench" --dir disk --set no.such=1 --no-floor
expect 1 'nowhere/one.json: No such file|!round' "$bench" --dir disk --json nowhere/one.json
expect 1 'disk: Is a directory|!round' "$bench" --dir disk --hgrm disk
expect 1 'out/plots: Not a directory|!round' "$bench" --dir disk --plot out/plots
expect 1 "CPU 999 of 'cpus' does not exist here|!panic" "${run[@]}" --no-floor --nodes 1 --cpus 999
expect 2 '--cpus: 1 CPUs for 3 nodes of 2 shards' "$bench" --shards 1,2 --cpus 0
[ ! -e one.json ] || { echo "FAILED: a file was made for nothing" && failed=1; }
if [ "$(stat -f -c %T /dev/shm)" = tmpfs ]; then
	expect 0 'on tmpfs, which is memory|log durable: NOT DURABLE' "${run[@]}" --dir /dev/shm --nodes 1 --rounds 1 --no-floor --json memory.json
	expect 0 false jq .points[0].setting.durable memory.json
fi
expect 2 '--bytes 1000: expected a multiple of 512' "$bench" floor --bytes 1000

# One load, durable, as an open loop: etcd's layout, the header, stages, floors, files; nothing stays behind.

expect 0 'program     decree bench|disk        |governor|log durable|open loop, 300 commands/s due|Summary:|Commits/sec:|Sent late by|Latency distribution:|Stages: |floor          3 processes, blocks of   4096|append         3 proc|round trip     2 proc|round 2: p50|!NOT DURABLE' \
	"${run[@]}" --rate 300 --json one.json --hgrm one.hgrm
expect 0 '["decree-bench 1",1,2,"decree","open",300,true,"memif","gmac"]' \
	jq -c '.points[0] as $p | [.format, (.points | length), ($p.rounds | length), $p.system, $p.setting.loop, $p.setting.rate, $p.setting.durable,
		$p.setting.transport, $p.setting.auth]' one.json
# What was due was measured, or counted as not sent; a percentile takes ten samples above it, and there are too few for p99.
expect 0 'true' jq -c '.points[0] | .all as $a | .median as $m | (.rounds | map(.unsent) | add) as $unsent | $a.count + $unsent >= 178
	and $a.count + $unsent <= 182 and $m.p99_us == null and $m.p9999_us == null and $m.unanswered == 0 and $m.floor_p50_us > 0
	and $m.min_us > 0 and $m.min_us <= $m.mean_us and $m.mean_us <= $m.max_us and .min.mean_us <= $m.mean_us and $m.mean_us <= .max.mean_us
	and $m.lag_max_us >= 0' one.json
expect 0 'true' jq -c '.points[0] as $p | [range(2) | $p.rounds[.] | select(.p50_over_floor) | (.p50_over_floor * .floor_p50_us / .p50_us - 1 | fabs) < 1e-4] | all' one.json
expect 0 '["apply","chosen","decode","durable","follower_apply","follower_decode","follower_durable","follower_rx","follower_step","follower_submit","follower_tx","rx","step","submit","tx"]' \
	jq -c '.points[0].stages | keys' one.json
expect 0 '["append","floor","floor to client","round trip"]' jq -c '[.floors[].kind] | sort' one.json
expect 0 'true' jq -c '[.points[0].all.curve, .floors[0].all.curve | length > 10 and (. == sort) and (map(.[1]) | . == sort)] | all' one.json
expect 0 '["commit","cpu","cpu_count","device","fua","governor","kernel"]' \
	jq -c '.header | keys - (keys - ["commit", "cpu", "cpu_count", "kernel", "governor", "device", "fua"])' one.json
expect 0 'Value     Percentile TotalCount 1/(1-Percentile)|#[Mean    =|#[Buckets =           32, SubBuckets     =         2048]' cat one.hgrm
[ "$(sed -n 's/.*Total count *= *\([0-9]*\)]/\1/p' one.hgrm)" = "$(jq .points[0].all.count one.json)" ] || {
	echo "FAILED: one.hgrm has another count than one.json"
	failed=1
}
expect 0 '!disk/' find disk -mindepth 1

# A sweep: a row for each combination; what is not durable says so.

expect 0 'NOT DURABLE|1 node, 2 shards, no network|3 nodes, 2 shards, memif, auth none, log memory: NOT DURABLE|#bytes' \
	"${run[@]}" --closed --in-flight 2,100 --bytes 16,64K --nodes 1,3 --shards 2 --mode memory --auth none --rounds 1 --seconds 0.2 \
	--json sweep.json --hgrm sweep.hgrm
expect 0 '[8,2,4,4,true]' jq -c '[(.points | length), ([.points[].setting | [.nodes, .shards]] | unique | length),
	([.points[] | select(.setting.bytes == 65536)] | length), ([.points[] | select(.setting.in_flight == 100)] | length),
	([.points[] | .setting.durable == false and .setting.loop == "closed" and .rounds[0].lag_p99_us == null] | all)]' sweep.json
expect 0 'true' jq -c '[.points[] | select(.all.count > 100) | .stages.step.mean_us > 0 and .stages.submit.mean_us > 0 and .stages.tx.mean_us > 0 and .stages.chosen.mean_us > 0 and .stages.apply.mean_us > 0 and .median.leader_log_bytes_per_commit > 0
	and .median.cpu_us_per_commit > 0 and .rounds[0].p50_us <= .rounds[0].max_us] | any' sweep.json # who leads may change meanwhile
expect 0 'true' jq -c '[.points[] | (.median.floor_p50_us != null) == (.setting.nodes == 3)] | all' sweep.json
expect 0 '8' bash -c 'ls sweep-*.hgrm | wc -l'
# A floor has one round under way: with more in flight there is no ratio to it.
expect 0 '[null]' jq -c '[.points[].rounds[].p50_over_floor] | unique' sweep.json

# Slots follow the MTU, up to their own limit: a batch of 64 commands is one frame, where the usual MTU takes several.

expect 0 '3 nodes, 1 shard, memif, auth gmac, log memory: NOT DURABLE, load inside the shards, idle|3 nodes, 1 shard, memif, auth gmac, log memory: NOT DURABLE, load inside the shards, MTU 9000' \
	"${run[@]}" --closed --load inside --in-flight 1000 --mtu 1500,9000 --mode memory --no-floor --rounds 1 --json mtu.json
expect 0 '[[1500,9000],true]' jq -c '[[.points[].setting.mtu], ([.points[].rounds[0].commands_per_slot] | .[0] <= 20 and .[1] > 20)]' mtu.json
expect 0 '' "${run[@]}" --closed --nodes 1 --mode memory --no-floor --rounds 1 --set cluster.mtu=9000 --set cluster.slot_bytes=8192

# One in flight has a ratio, more have none; floors and clusters take turns at going first, and a percentile that has too few samples is not told.

expect 0 'round 2: #2|-' "${run[@]}" --closed --in-flight 1,8 --nodes 3 --mode memory --seconds 0.2 --json ratio.json
expect 0 'true' jq -c '[.points[] | (.rounds[0].p50_over_floor != null) == (.setting.in_flight == 1 and .rounds[0].p50_us != null)] | all' ratio.json
# One node leads all shards, or there is no leader to tell of.
expect 0 'true' jq -c '[.points[].rounds[] | (.leaders == 1) == (.leader_frames_per_commit != null)] | all' sweep.json
# Stages add up with one in flight, and with more do not.
expect 0 'Stages: |  stages add up to| of the leader|followers' "${run[@]}" --closed --mode memory --no-floor --rounds 1
expect 0 'Stages: |!add up|followers' "${run[@]}" --closed --in-flight 8 --mode memory --no-floor --rounds 1
expect 0 'majority echo|p99.9         -' "$bench" floor --dir disk --milliseconds 5

# What else the host did is told, and marked: here a loop of the shell takes a CPU.

while :; do :; done &
busy=$!
expect 0 'other programs |: DISTURBED' "${run[@]}" --closed --nodes 1 --mode memory --rounds 1 --seconds 0.5 --no-floor --json others.json
kill $busy
# How it was measured is in the header and in the file: what was set, by an option or not, and how the nodes waited.
expect 0 'command    |--set local.idle=sleep|nodes       16 MiB of log for a shard, pre-written; idle sleep; CPUs 0; state of 5 bytes; local.idle=sleep|, idle sleep' \
	"${run[@]}" --nodes 1 --mode memory --rounds 1 --no-floor --set local.idle=sleep --cpus 0 --state-bytes 5 --json set.json
expect 0 '[16777216,5,true,"sleep",[0],["local.idle=sleep"],"--set","sleep",[]]' jq -c '.settings as $s | [$s.log_bytes, $s.state_bytes, $s.prewritten, $s.idle, $s.cpus, $s.set,
	($s.argv | .[index("--set")]), .points[0].setting.idle, .points[0].retried_rounds]' set.json
expect 0 'true' jq -c '.points[0].rounds[0] | .others_cpu_percent > 5 and .others_cpu_percent <= 100 and .stolen_cpu_percent >= 0' others.json
expect 0 'true' jq -c '[.floors[].rounds[].others_cpu_percent | . != null and . >= 0] | all' ratio.json

# The load in the shards' own turns: of one node, of three, and as an open loop.

expect 0 'load inside the shards|1 node, 2 shards|3 nodes, 2 shards|!  echo to client' \
	"${run[@]}" --closed --load inside --in-flight 4 --nodes 1,3 --shards 2 --mode memory --rounds 1 --seconds 0.2 --json inside.json
expect 0 '[2,true]' jq -c '[(.points | length), ([.points[] | .setting.load == "inside" and .all.count > 0] | all)]' inside.json
expect 0 'commands/s due|load inside the shards' "${run[@]}" --rate 300 --load inside --mode memory --nodes 1 --rounds 1 --no-floor --json open.json
expect 0 'true' jq -c '.points[0] | .all.count + .median.unsent | . >= 88 and . <= 91' open.json

# A thread's load and the shards' in one run, each compared with what it cannot be faster than.
expect 0 'load inside the shards|load of a thread' "${run[@]}" --closed --load inside,thread --rounds 1 --json both.json
expect 0 'true' jq -c '(.floors | map({(.kind): .rounds[0].p50_us}) | add) as $f | [.points[] | .setting.load as $load | .rounds[0]
	| .p50_us == null or .floor_p50_us == $f[if $load == "inside" then "floor" else "floor to client" end]] | all' both.json

# A node that stops by itself in the middle, here since it may write no file any further, ends the benchmark with what it says.

# stop_in_the_middle WORD...: as soon as a node under load has written so much that it is the load's
stop_in_the_middle() {
	local child written pid

	trap '' XFSZ # what is written too far is an error, and not the end of the process
	"${run[@]}" --closed --rounds 1 --seconds 60 --no-floor "$@" >stopped 2>&1 &
	pid=$!
	trap - XFSZ
	until [ -n "${written:-}" ]; do
		for child in $(pgrep -P $pid); do
			! awk '$1 == "write_bytes:" && $2 > 1000000 { found = 1 } END { exit !found }' "/proc/$child/io" 2>/dev/null || written=$child
		done
		kill -0 $pid 2>/dev/null || break
	done
	for child in $(pgrep -P $pid); do
		prlimit --pid "$child" --fsize=4096
	done
	wait $pid
}
for where in thread inside; do
	count=$((count + 1))
	stop_in_the_middle --load $where --nodes 1
	status=$?
	[ $status -eq 1 ] && grep -q '^decree bench: node 1: .*File too large' stopped || {
		echo "FAILED: a node that stops under a load from $where: status $status: $(cat stopped)"
		failed=1
	}
done

# Interfaces of the kernel's, in a namespace that nobody sees; without the right to make one, a word and no cluster.

expect 1 'no network namespace for --transport af_packet or af_xdp: |run it as root' \
	setpriv --bounding-set -sys_admin --inh-caps -sys_admin "${run[@]}" --transport af_packet --mode memory --no-floor
if unshare -n true 2>/dev/null && command -v ip >/dev/null; then
	before=$(ip -o link | wc -l)
	expect 0 'transport   af_packet and af_xdp over veth pairs|3 nodes, 1 shard, memif|3 nodes, 1 shard, af_packet, auth gmac|majority echo  3 processes, nothing|echo to client 3 processes, af_packet, nothing|round trip     2 processes, af_packet' \
		"${run[@]}" --closed --transport memif,af_packet --mode memory --rounds 1 --seconds 0.2 --json kernel.json
	expect 0 '["memif","af_packet",true,true]' jq -c '[.points[].setting.transport] + [([.points[] | .all.count > 0] | all),
		([.points[].rounds[0] | .floor_p50_us == null or .floor_p50_us > 0] | all)]' kernel.json
	# Each is compared with the echo that a thread sees, over what joins its own nodes.
	expect 0 'true' jq -c '[.points[] as $p | .floors[] | select(.kind == "echo to client" and .transport == $p.setting.transport)
		| .rounds[0].p50_us == $p.rounds[0].floor_p50_us] | length == 2 and all' kernel.json
	expect 0 'af_packet, auth gmac, log memory: NOT DURABLE, load inside the shards, MTU 9000' \
		"${run[@]}" --closed --load inside --in-flight 1000 --mtu 9000 --transport af_packet --mode memory --no-floor --rounds 1 --json wide.json
	expect 0 'true' jq -c '.points[0].rounds[0].commands_per_slot > 17' wide.json
	expect 0 'round trip|majority echo|echo to client|append|floor ' "$bench" floor --dir disk --transport af_packet --milliseconds 20
	[ "$(ip -o link | wc -l)" -eq "$before" ] || {
		echo "FAILED: interfaces stay behind: $(ip -o link)"
		failed=1
	}
fi

# The leader is killed in the middle: every command is answered all the same, after a while without any.

expect 0 'leader killed:|Leader killed 1 time|every command was answered|No floor was measured' \
	"${run[@]}" --rate 200 --kill-leader --mode memory --rounds 1 --seconds 2 --no-floor --json kill.json
expect 0 'true' jq -c '.points[0] as $p | $p.kills[0] | .gap_us > 20000 and .next_us > 0 and (.bins | length) == 200
	and ((.bins | map(.[0]) | add) + $p.rounds[0].unsent - 400 | fabs) <= 4' kill.json
expect 0 '[0]' jq -c '[.points[0].rounds[].unanswered]' kill.json

# One node of a cluster on several hosts, which are three processes here: whoever leads measures, all serve until they are interrupted.

mkdir hosts
for node in 1 2 3; do
	{
		printf '[cluster]\nid = 1\nkey_file = cluster.key\n'
		printf '[node %s]\nip = 10.77.0.%s\n' 1 1 2 2 3 3
		printf '[local]\nnode = %s\ndata_dir = data-%s\nlog_mode = memory\nlog_bytes = 16M\nsegment_bytes = 4M\n' $node $node
		for peer in 1 2 3; do
			[ $peer -eq $node ] || printf 'link = %s net_memif%s,role=%s,id=0,socket=%s,socket-abstract=no\n' $peer $peer \
				"$([ $node -lt $peer ] && echo server || echo client)" "$work/hosts/$((node * peer))"
		done
	} >hosts/$node.ini
	expect 0 '' "$decree" format -c hosts/$node.ini $([ $node -gt 1 ] || echo --new-keys)
	"$bench" -c hosts/$node.ini --closed --bytes 64,1K --seconds 0.2 --warm-up 0.1 --settle 0 --rounds 2 --json hosts/$node.json >hosts/$node.out 2>&1 &
	pids[node]=$!
done
for try in {1..600}; do
	ls hosts/*.json >/dev/null 2>&1 && break
	sleep 0.1
done
kill -INT "${pids[@]}"
for node in 1 2 3; do
	wait "${pids[node]}" || {
		echo "FAILED: the bench of host $node ended with status $?: $(cat hosts/$node.out)"
		failed=1
	}
done
expect 0 'this node serves, and measures once it leads|3 nodes, 1 shard, net_memif|,role=|, auth gmac, log memory: NOT DURABLE|round 2: #2' cat hosts/{1,2,3}.out
expect 0 '[2,3,0,true]' jq -c '[(.points | length), .points[0].setting.nodes, (.floors | length), ([.points[] | .all.count > 0] | any)]' hosts/*.json

# Plots, and what cannot be drawn.

expect 2 'usage: decree bench-plot JSON... FOLDER' "$bench-plot" one.json
expect 1 'one.hgrm' "$bench-plot" one.hgrm plots
expect 1 'was not written by' "$bench-plot" <(echo '{}') plots
expect 1 'gnuplot is not installed' env PATH=/nonexistent "$(python3 -c 'import sys; print(sys.executable)')" "$bench-plot" one.json plots
expect 1 'nowhere/out.json: No such file' "${run[@]}" --rounds 1 --mode memory --no-floor --json nowhere/out.json
if command -v gnuplot >/dev/null; then
	expect 0 'percentiles.svg|stages.png|knee.svg|failover.png' "$bench-plot" one.json ratio.json sweep.json kill.json plots
	expect 0 'plots2/results.json|percentiles.png' bash -c '"$@" && ls plots2/*' bash "${run[@]}" --rate 300 --rounds 1 --mode memory --no-floor --plot plots2
	expect 0 '<svg|by percentile|NOT DURABLE' cat plots2/percentiles.svg
	# Stages that do not add up to the latency leave a rest that is named; stages that are more than it are told beside it.
	jq '.points |= [.[0]] | .points[0].median.mean_us = 1000 | .points[0].stages |= map_values(.mean_us = 10)
		| .points[0].stages.chosen.mean_us = 300' ratio.json >less.json
	expect 0 'stages.svg' "$bench-plot" less.json plots3
	expect 0 "not accounted for|the floor's mean|(decode)|!of stages" cat plots3/stages.svg
	jq '.points[0].stages.chosen.mean_us = 3000' less.json >more.json
	expect 0 'stages.svg' "$bench-plot" more.json plots3
	expect 0 '1000, of stages 3' cat plots3/stages.svg
	# Of what was not sent as it was due, points are hollow; what rounds differ by are bars.
	jq '.points |= [.[0], .[0], .[0]] | .points[1].setting.rate = 5000 | .points[1].median.commits_per_s = 4000 | .points[1].max.unsent = 7
		| .points[2].setting.rate = 900 | .points[2].median.commits_per_s = 900' one.json >unsent.json
	expect 0 'knee.svg' "$bench-plot" unsent.json plots3
	expect 0 'hollow: commands that were due were never sent|bars: from the lowest' cat plots3/knee.svg
fi

echo "$count cases"
exit $failed
