#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program of docs/embedding.md, built by pkg-config alone against what `meson install` leaves, on three nodes: what one
# writes another one reads, a node that was killed comes back with all of it, and the states are equal.
#
#   kv.sh BUILD PREFIX LIBDIR
. "$(dirname "$0")/../cluster/lib.sh"
. "$(dirname "$0")/../install/installed.sh"
. "$(dirname "$0")/programs.sh"

start_kv() {
	start_program "$1" "$work/kv" "$DECREE_CLUSTER_DIR/node$1/decree.ini"
}

# many N FIRST LAST: sets those keys, in lines that do not wait for each other.
many() {
	local count

	count=$(wc -l <"$work/out-$1")
	seq "$2" "$3" | sed "s/.*/set key-& $1-&/" >"$work/in-$1"
	wait_until "node $1 had answered lines $2 to $3" has_answers "$1" $((count + $3 - $2 + 1))
	[ "$(tail -n +$((count + 1)) "$work/out-$1" | sort -u)" = ok ] || fail "not every set was ok"
}

[ "$(wc -l <"$top/tests/embed/kv.c")" -lt 300 ] || fail "kv.c has 300 lines or more"
install_below "$work/root" "$1" "$2" "$3" || fail "it could not be installed"
DECREE_BIN=$work/root$2/bin
cc -Wall -Wextra -Werror "$top/tests/embed/kv.c" $(pkg-config --cflags --libs decree) -o "$work/kv" ||
	fail "kv.c does not build against the installed library"

begin --no-start
for n in 1 2 3; do
	start_kv $n
done
wait_until "there was a leader" leader

note "what one node writes another one reads"
expect 1 'get a' none
expect 1 'set a first value' ok
expect 2 'get a' 'first value'
expect 2 'add a second' exists
expect 3 'del a' ok
expect 3 'del a' none
expect 1 'get a' none
expect 2 'add a second' ok
refused='set KEY VALUE, add KEY VALUE, del KEY, or get KEY; 31 and 95 bytes at most'
expect 3 'put a' "$refused"
expect 3 "set $(printf '%032d' 1) x" "$refused"
expect 3 "set b $(printf '%096d' 1)" "$refused"
expect 3 "get $(printf '%032d' 1)" "$refused"
expect 3 'get b' none
many 1 1 500

note "a node is killed behind a snapshot, the others go on, it comes back"
decree tasks -c "$client_ini" 2>&1 | grep -q "is no task queue" || fail "decree tasks of a store: $(decree tasks -c "$client_ini" 2>&1)"
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
victim=$(leader)
end_program "$victim" KILL
other=$((victim % 3 + 1))
many $other 400 900
expect $other 'set a third' ok
start_kv "$victim"
expect "$victim" 'get a' third
expect "$victim" 'get key-399' 1-399
expect "$victim" 'get key-400' $other-400
expect "$victim" 'get key-900' $other-900
wait_until "all states were equal" converged 3
[ "$(field "$victim" snapshot)" -gt 0 ] || fail "node $victim did not begin with its snapshot"

note "and so do all of them at once"
before=$(field 1 digest)
for n in 1 2 3; do
	end_program $n KILL
done
for n in 1 2 3; do
	start_kv $n
done
expect 2 'get a' third
wait_until "all states were equal" converged 3
[ "$(field 3 digest)" = "$before" ] || fail "the state changed over a restart"
