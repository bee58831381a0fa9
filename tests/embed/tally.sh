#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program of docs/embedding.md in C++, built by pkg-config alone against what `meson install` leaves, with every
# compiler there is: on three nodes and on a host without one, over a node that is killed and one that begins with a snapshot.
#
#   tally.sh BUILD PREFIX LIBDIR
. "$(dirname "$0")/../cluster/lib.sh"
. "$(dirname "$0")/../install/installed.sh"
. "$(dirname "$0")/programs.sh"

install_below "$work/root" "$1" "$2" "$3" || fail "it could not be installed"
DECREE_BIN=$work/root$2/bin
for compiler in clang++-14 g++; do
	command -v $compiler >/dev/null || continue
	for std in 17 20; do
		$compiler -std=c++$std -Wall -Wextra -Wpedantic -Werror "$top/tests/embed/tally.cc" \
			$(pkg-config --cflags --libs decree) -o "$work/tally" || fail "$compiler, C++$std"
	done
done
[ -x "$work/tally" ] || { echo "SKIPPED: no compiler for C++" && exit 77; }

start_tally() {
	start_program "$1" "$work/tally" "$DECREE_CLUSTER_DIR/node$1/decree.ini"
}

begin --no-start
for n in 1 2 3; do
	start_tally $n
done
wait_until "there was a leader" leader

note "words are counted once, wherever they come from"
expect 1 one 1
expect 2 one 2
expect 3 '? one' 2
expect 3 '? two' 0
expect 1 "$(printf '%033d' 1)" 'Invalid argument'
expect 2 "? $(printf '%0257d' 1)" 'Message too long'
seq 100 | sed 's/.*/word-&\none/' >"$work/words"
cluster exec "$work/tally" --client "$client_ini" <"$work/words" >"$work/said" || fail "the client ended with $?"
[ "$(tail -n 1 "$work/said")" = 102 ] || fail "the client's last answer is $(tail -n 1 "$work/said")"
expect 1 '? one' 102

note "a node is killed behind a snapshot, and begins with it"
decree snapshot -c "$client_ini" >"$work/snapshot.log" 2>&1 || fail "decree snapshot: $(cat "$work/snapshot.log")"
victim=$(await_leader)
end_program "$victim" KILL
other=$((victim % 3 + 1))
expect $other one 103
start_tally "$victim"
expect "$victim" '? one' 103
expect "$victim" word-100 2
wait_until "all states were equal" converged 3
[ "$(field "$victim" snapshot)" -gt 0 ] || fail "node $victim did not begin with its snapshot"

note "what is refused is a sentence, and an end"
said=$("$work/tally" /nowhere.ini 2>&1) && fail "it started without a configuration"
[ "$said" = "/nowhere.ini: cannot read the configuration: No such file or directory" ] || fail "it said: $said"
