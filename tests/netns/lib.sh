# Sourced by the scripts of this folder: two network namespaces on a bridge, started processes, claims.
# Everything is named after the script's own process id and removed at exit.

tag=dcr$$
work=$(mktemp -d /tmp/decree-netns-XXXXXX)
pids=
port_a= port_b=

skip() {
	echo "skipped: $*"
	exit 77
}

fail() {
	echo "FAILED: $*"
	tail -n 5 "$work"/*.err 2>/dev/null
	exit 1
}

cleanup() {
	for pid in $pids; do
		kill -9 "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	ip netns del "$tag-1" 2>/dev/null
	ip netns del "$tag-2" 2>/dev/null
	ip link del "$tag" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v ip >/dev/null || skip "needs iproute2"
}

# A bridge, and namespaces 1 and 2 with an interface `eth` each.
make_bridge() {
	ip link add "$tag" type bridge || skip "no bridge in this kernel"
	ip link set "$tag" up
	for n in 1 2; do
		ip netns add "$tag-$n" || skip "no network namespaces"
		ip link add "$tag.$n" type veth peer name eth netns "$tag-$n" || skip "no veth"
		ip link set "$tag.$n" master "$tag" up
		ip -n "$tag-$n" link set eth up
		# The kernel must not answer ARP or send resets for an address it does not have; it has none.
		ip netns exec "$tag-$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
	done
}

# Start node $1 with mode $2, boot count $3, device $4. Its pid is in $started.
start() {
	n=$1 peer=$((3 - n))
	$launcher "$echo_program" "$2" "$n" "$3" gmac 60 "${count:-1000}" "10.77.0.$n" "$peer" \
		"10.77.0.$peer" "$4" >"$work/$n.out" 2>"$work/$n.err" &
	started=$!
	pids="$pids $started"
}

# Wait until node $1 has printed "session $2".
await_session() {
	i=0
	while ! grep -q "^session $2\$" "$work/$1.out" 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 200 ] || fail "node $1 has not seen session $2 within 10 s"
		sleep 0.05
	done
}

kill_hard() {
	kill -9 "$1"
	wait "$1" 2>/dev/null
}
