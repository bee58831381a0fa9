#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that know one address: HAProxy, with the very configuration of docs/operating.md, takes them away from a node that was killed, and
# from one that is cut off from the others, though it still accepts connections.
. "$(dirname "$0")/queue_lib.sh"

command -v haproxy >/dev/null || {
	echo "skipped: haproxy is not installed (scripts/deps test)"
	exit 77
}

# What HAProxy thinks of the nodes, one word for each.
states() {
	cluster exec python3 - "$work/admin" <<-'END'
		import csv, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"show stat\n")
		rows = csv.DictReader(s.makefile("r"))
		print(*(row["status"] for row in rows if row["svname"].startswith("node")))
	END
}

are() {
	[ "$(states)" = "$*" ]
}

# are_but N: all nodes serve but this one
are_but() {
	local n words=()

	for n in 1 2 3; do
		[ "$n" = "$1" ] && words+=(DOWN) || words+=(UP)
	done
	are "${words[@]}"
}

# converse PREFIX: three connections that are answered; with `leastconn` each is at another node
converse() {
	local n

	for n in 1 2 3; do
		talk "$1$n" 127.0.0.1:11300
		say "$1$n" list-tube-used
		wait_until "connection $n was answered" heard "$1$n" USING
	done
}

one_is_gone() {
	[ "$(gone_of "$1")" -eq 1 ]
}

gone_of() {
	grep -l '^GONE' "$work/$1"[123].out | wc -l
}

# serves PREFIX TUBE: one of the connections has ended, the others go on; new ones are answered, and jobs come and go
serves() {
	local n

	wait_until "the connection to it ended" one_is_gone "$1"
	for n in 1 2 3; do
		heard "$1$n" GONE || say "$1$n" "use $2"
		wait_until "the other connections went on" grep -qE "^(GONE|USING $2)" "$work/$1$n.out"
	done
	one_is_gone "$1" || fail "connections to other nodes ended"
	[ "$(beans crowd 127.0.0.1:11300 6)" = 6 ] || fail "a new connection is not answered"
	beans put 127.0.0.1:11300 "$2" 1 50 "$work/acked" || fail "no jobs are taken"
	beans work 127.0.0.1:11300 "$2" 50 "$work/$2.done" || fail "no jobs are given"
}

begin --machine queue
printf 'global\n\tstats socket %s\n\n' "$work/admin" >"$work/haproxy.cfg"
sed -n '/^```haproxy$/,/^```$/{/^```/d;s/10\.1\.0\./10.77.1./;p}' "$top/docs/operating.md" >>"$work/haproxy.cfg"
cluster exec haproxy -c -f "$work/haproxy.cfg" >"$work/checked" 2>&1 || fail "the configuration: $(cat "$work/checked")"
! grep -i warning "$work/checked" || fail "the configuration is warned of"
cluster exec ip link set lo up
# The function would be a process around it, and the only one that undo() ends.
"$top/scripts/cluster" exec haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
wait_until "all nodes serve" are UP UP UP

read -r one other <<<"$(followers | xargs)"
note "node $one is cut off"
converse cut
for n in "$(await_leader)" "$other"; do
	cluster cut "$n" "$one"
	cluster cut "$one" "$n"
done
wait_until "node $one was not used" are_but "$one"
serves cut alone
cluster heal
wait_until "all nodes served" are UP UP UP

lead=$(await_leader)
note "the leader, node $lead, dies"
converse dead
cluster kill "$lead"
wait_until "node $lead was not used" are_but "$lead"
serves dead dying
cluster start "$lead" || fail "node $lead does not start again"
wait_until "all nodes served" are UP UP UP
