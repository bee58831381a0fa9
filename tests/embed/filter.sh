#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second program of docs/embedding.md: it owns EAL, a port, buffers and an lcore, and has a node beside them. Built by
# pkg-config alone against what `meson install` leaves, on three nodes. Rules are the same everywhere; the program's packets
# pass before, during and after the node; what a node cannot live with is one clear line, and the packets pass all the same.
#
#   filter.sh BUILD PREFIX LIBDIR
. "$(dirname "$0")/../cluster/lib.sh"
. "$(dirname "$0")/../install/installed.sh"
. "$(dirname "$0")/programs.sh"

cpus=0-$(($(nproc) - 1))
# Not --in-memory for all: the runtime files of an ordinary EAL are part of what a node has to live with.
lcores=0-1
export RUNTIME_DIRECTORY=$work # EAL's runtime files
eal=(--no-huge -m 128 --no-pci --iova-mode=va --vdev=net_ring0 --log-level=lib.eal:error)

# start_filter N ARGUMENT ...
start_filter() {
	local n=$1

	shift
	start_program "$n" "$work/filter" "--lcores=($lcores)@($cpus)" "${eal[@]}" --file-prefix="filter-$n" "$@"
}

has_passed() {
	[ "$(ask "$1" "passed $2")" -gt "$3" ]
}

# flows N FLOW: packets of it pass there.
flows() {
	wait_until "packets of flow $2 passed on node $1" has_passed "$1" "$2" "$(ask "$1" "passed $2")"
}

# stands N FLOW: none does, while those of the next one do.
stands() {
	local before next=$((($2 + 1) % 64))

	flows "$1" $next # whatever was on its way when the rule came has passed
	before=$(ask "$1" "passed $2")
	flows "$1" $next
	flows "$1" $next
	[ "$(ask "$1" "passed $2")" -eq "$before" ] || fail "flow $2 passes node $1"
}

is_blocked() {
	local before

	before=$(ask "$1" "passed $2")
	flows "$1" $((($2 + 1) % 64))
	flows "$1" $((($2 + 1) % 64))
	[ "$(ask "$1" "passed $2")" -eq "$before" ]
}

# telemetry N COMMAND: what the program's EAL answers on that node.
telemetry() {
	python3 -c '
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
    s.connect(sys.argv[1])
    s.recv(4096)  # it introduces itself
    s.send(sys.argv[2].encode())
    print(s.recv(1 << 16).decode())' "$work/dpdk/filter-$1/dpdk_telemetry.v2" "$2"
}

install_below "$work/root" "$1" "$2" "$3" || fail "it could not be installed"
DECREE_BIN=$work/root$2/bin
cc -O2 -Wall -Wextra -Werror "$top/tests/embed/filter.c" $(pkg-config --cflags --libs decree libdpdk) -o "$work/filter" ||
	fail "filter.c does not build against the installed library"

begin --no-start
for n in 1 2 3; do
	start_filter $n -- "$DECREE_CLUSTER_DIR/node$n/decree.ini"
done
for n in 1 2 3; do
	wait_until "node $n had joined" has_answers $n 1
	[ "$(cat "$work/out-$n")" = ok ] || fail "node $n did not join: $(cat "$work/out-$n")"
	expect $n ports 1 # the node's is not to be seen
	flows $n 7
done

note "a rule given on one node holds on all"
expect 1 'block 7' ok
for n in 1 2 3; do
	wait_until "flow 7 was blocked on node $n" is_blocked $n 7
	flows $n 8
done
expect 2 'block 9' ok
expect 3 'allow 7' ok
wait_until "flow 9 was blocked on node 1" is_blocked 1 9
flows 1 7

note "a node leaves its program, whose packets pass on, and comes back with what it missed"
lead=$(await_leader)
telemetry "$lead" /decree/status | grep -q "\"node\": *$lead" || fail "no node in the telemetry: $(telemetry "$lead" /decree/status)"
expect "$lead" leave ok
telemetry "$lead" /decree/status | grep -q '"node"' && fail "a node that has left is in the telemetry"
stands "$lead" 9 # it keeps its rules
flows "$lead" 7
expect "$lead" ports 1
other=$((lead % 3 + 1))
expect $other 'allow 9' ok
expect $other 'block 20' ok
stands "$lead" 9
flows "$lead" 20
for round in 1 2; do
	expect "$lead" join ok
	flows "$lead" 9
	stands "$lead" 20
	flows "$lead" 7
	expect "$lead" ports 1
	[ $round = 2 ] || expect "$lead" leave ok
done
expect "$lead" 'allow 20' ok
wait_until "all states were equal" converged 3

note "what a node cannot live with"
# refused WHAT-IT-SAYS CONFIG [EAL ARGUMENT ...]: on the last node, which goes on filtering.
refused() {
	local said=$1 config=$2

	shift 2
	end_program 3
	start_filter 3 "$@" -- "$config"
	wait_until "the program ran" has_answers 3 1
	[ "$(wc -l <"$work/out-3")" -eq 1 ] || fail "more than one line: $(cat "$work/out-3")"
	grep -q -- "$said" "$work/out-3" || fail "no word of '$said': $(cat "$work/out-3")"
	expect 3 'block 1' 'there is no node'
	expect 3 ports 1
	flows 3 1
}
ini=$DECREE_CLUSTER_DIR/node3/decree.ini
sed 's/^port = .*/port = net_ring0/' "$ini" >"$work/taken.ini"
sed 's/^port = .*/port = net_af_packet0,iface=eth9/' "$ini" >"$work/no_port.ini"
refused 'port "net_ring0" is started already' "$work/taken.ini"
refused 'port "net_af_packet0,iface=eth9" did not come up' "$work/no_port.ini"
refused 'no memory for the buffers of shard 0 .*-m' "$ini" -m 16
lcores=0-127
refused 'EAL has 0 of its 128 lcore ids left' "$ini"
lcores=0-1

note "and with another port, memory and lcores it is there again"
end_program 3
start_filter 3 -- "$ini"
wait_until "node 3 had joined" has_answers 3 1
expect 3 'block 33' ok
wait_until "flow 33 was blocked on node 1" is_blocked 1 33
