#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `sim` refuses what it would have to guess at: a seed that was mistyped would pass, and prove nothing.
sim=$(realpath "$1")
. "$(dirname "$0")/../cli/expect.sh"

expect 0 'usage: sim|snapshot-space|docs/testing.md' "$sim" --help
tail -n 1 out | grep -q 'docs/testing.md' || { echo 'FAILED: --help does not end with where to read on' && failed=1; }
expect 0 '1 seeds passed' "$sim" --seed 0x1f --events 100
for seed in abc '' 1x -1 ' 1' 1.5 18446744073709551616; do
	expect 2 '--seed|from 0 to 18446744073709551615|!passed' "$sim" --seed "$seed"
done
expect 2 '--count 0: a number from 1 to' "$sim" --count 0
expect 2 '--jobs 65: a number from 0 to 64' "$sim" --jobs 65
expect 2 '--nodes 0: a number from 1 to 7' "$sim" --nodes 0
expect 2 '--nodes 8: a number from 1 to 7' "$sim" --nodes 8
expect 2 '--machine stack: log or queue' "$sim" --machine stack
expect 0 'queues: 1;' "$sim" --machine queue --seed 2 --events 100
expect 2 '--events many: a number from 1 to 1000000' "$sim" --events many
expect 2 '--only-faults x: a number from 0 to 4294967295' "$sim" --only-faults x
expect 2 '--only-faults 3y' "$sim" --only-faults 1,2,3y
expect 2 '--only-faults: which?' "$sim" --only-faults ''
expect 2 "no kind of fault is called 'los'" "$sim" --without los
expect 2 "no kind of fault is called 'log'" "$sim" --with small-log,log
expect 0 'logs take ' "$sim" --seed 2 --events 100 --trace --with small-log
expect 0 '!logs take ' "$sim" --seed 2 --events 100 --trace --with small-log --without small-log
expect 2 "what is 'seed'?" "$sim" seed 17
expect 2 'see sim --help' "$sim" --sed 17
echo "$count command lines"
exit $failed
