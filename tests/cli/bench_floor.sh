#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# decree bench floor -c: hosts, which are three processes here, measure the floor between them over the ports of their configurations. What
# is measured here is worth nothing, and is not looked at: on a busy host there may be too few samples for a percentile.
#
#   bench_floor.sh DECREE_BENCH
set -u

bench=$(realpath "$1")
. "$(dirname "$0")/expect.sh"
expect_seconds=100

# configure FOLDER: the same cluster for each of three hosts; `port NODE` prints its ports
configure() {
	local node

	mkdir "$1"
	for node in 1 2 3; do
		{
			printf '[cluster]\nid = 1\nauth = none\nbase_port = 4711\n'
			printf '[node %s]\nip = 10.77.0.%s\n' 1 1 2 2 3 3
			printf '[local]\nnode = %s\ndata_dir = data-%s\n' $node $node
			port $node
		} >"$1/$node.ini"
	done
}

holders=() # of network namespaces, one for each host; none: all are in this one
# begin FOLDER NODE [ARGUMENT ...]: in the background
begin() {
	local folder=$1 node=$2 inside=()

	shift 2
	[ -z "${holders[*]}" ] || inside=(nsenter --target "${holders[node - 1]}" --net)
	"${inside[@]}" "$bench" floor -c "$folder/$node.ini" --milliseconds 50 --rounds 2 \
		--json "$folder/$node.json" "$@" >"$folder/$node.out" 2>&1 &
	pids[node]=$!
}

# ended NODE STATUS FOLDER TEXT: all of |-separated
ended() {
	wait "${pids[$1]}"
	status=$?
	expect 0 "$4" cat "$3/$1.out"
	[ $status -eq "$2" ] || {
		echo "FAILED: host $1 ended with status $status, and not $2: $(cat "$3/$1.out")"
		failed=1
	}
}

# All come, in any order, and all end together; the lowest id has the figures.
measure() {
	begin "$1" 3
	begin "$1" 1
	begin "$1" 2
	ended 1 0 "$1" 'this node leads|round 2: round trip p50|majority echo  3 hosts, nothing written|append         1 host, |floor          3 hosts, blocks of   4096|floor to client 3 hosts|round trip     2 hosts|of the others, us|node 2 p50|node 3 p50'
	ended 2 0 "$1" 'node 1 leads, and prints the figures|has all that it wanted|!floor  '
	ended 3 0 "$1" 'node 1 leads, and prints the figures|has all that it wanted'
	expect 0 '["append",1,4096]|["floor",3,4096]|["floor to client",3,4096]|["majority echo",3,0]|["round trip",2,0]' jq -c '.floors[] | [.kind, .nodes, .block_bytes]' "$1/1.json"
	expect 0 "[\"decree-bench 1\",2,true,true]" jq -c --arg word "$2" '[.format, (.floors[0].rounds | length), ([.floors[].transport | startswith($word)] | all),
		([.floors[] | .all.count > 0 and (.rounds[0].p50_us | . == null or . > 0)] | all)]' "$1/1.json"
	expect 0 '!floor-|!data-' find "$1" -newer "$1/3.ini" -not -name '*.out'
}

# Links of memif: each peer has a port of its own.

port() {
	local peer

	for peer in 1 2 3; do
		[ $peer -eq "$1" ] || printf 'link = %s net_memif%s,role=%s,id=0,socket=%s,socket-abstract=no\n' $peer $peer \
			"$([ "$1" -lt $peer ] && echo server || echo client)" "$work/links-$(($1 * peer))"
	done
}
configure links
measure links net_memif

# Who does not come is named, and those who wait for the leader are told; who was given something else, and who ends in the middle.

begin links 2 --wait 20
begin links 1 --wait 1
ended 1 1 links 'node 3 (10.77.0.3) has not come within 1 s: run the same command there|!node 2 (10'
ended 2 1 links 'node 1 (10.77.0.1), which leads, has ended'
begin links 1 --wait 20
begin links 2 --wait 20 --bytes 512
ended 1 1 links 'node 2 (10.77.0.2) was started with --bytes 512, and this one with 4096: give all the same'
ended 2 1 links 'node 1 (10.77.0.1), which leads, has ended'
begin links 2 --wait 1
ended 2 1 links 'node 1 (10.77.0.1), which leads, has not begun|of the way to it: the link to it is down'
for node in 1 2 3; do
	begin links $node --rounds 50
done
until grep -q '^round 1:' links/1.out; do
	kill -0 "${pids[1]}" || break
	sleep 0.05
done
kill -INT "${pids[3]}"
ended 3 1 links 'interrupted'
ended 1 1 links 'node 3 (10.77.0.3) has ended: it says why there'
ended 2 1 links 'node 1 (10.77.0.1), which leads, has ended'

# What cannot be.

expect 2 '--rounds, --wait and --json go with --config' "$bench" floor --json floor.json
expect 2 '--transport goes without --config' "$bench" floor -c links/1.ini --transport af_packet
expect 1 'nowhere.ini' "$bench" floor -c nowhere.ini
expect 1 '--dir' "$bench" floor -c links/1.ini --dir nowhere
expect 1 'unknown section' "$bench" floor -c links/1.ini --set no.such=1
expect 1 'this node is no founding member' "$bench" floor -c links/1.ini --set node.1.joins=yes

# Interfaces of the kernel's in three network namespaces, which a bridge in a fourth joins.

if ! unshare -n true 2>/dev/null || ! command -v ip >/dev/null; then
	echo "$count cases; no network namespaces: the kernel's interfaces were left out"
	exit $failed
fi
port() {
	printf 'port = net_af_packet0,iface=eth%s\n' "$1"
}
configure wires
cat >wires/all.sh <<'END'
set -eu
ip link add bridge type bridge
ip link set bridge up
for node in 1 2 3; do
	unshare --net sleep 1000 &
	holders[node]=$!
	until [ "$(readlink /proc/${holders[node]}/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	ip link add port$node type veth peer name eth$node netns ${holders[node]}
	ip link set port$node master bridge up
	nsenter --target ${holders[node]} --net ip link set eth$node up
done
trap 'kill ${holders[@]}' EXIT
echo "${holders[@]}" >wires/holders
read -r _
END
coproc net { exec unshare --net bash wires/all.sh 2>&1; }
until [ -s wires/holders ]; do
	kill -0 "$net_PID" || break
	sleep 0.05
done
read -ra holders <wires/holders
measure wires net_af_packet0,iface=eth1
begin wires 1 --wait 1
ended 1 1 wires 'node 2 (10.77.0.2) has not come|node 3 (10.77.0.3) has not come|nobody answers at its address (ARP)'
echo >&"${net[1]}"
wait "$net_PID"

echo "$count cases"
exit $failed
