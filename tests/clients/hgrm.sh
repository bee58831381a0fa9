#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our histogram beside an HdrHistogram that nobody here wrote: the same numbers, the same percentile distribution to the
# last digit, for few values, small and huge ones, and a tail as latencies have one.
#
#   hgrm.sh HGRM
set -u
here=$(cd "$(dirname "$0")" && pwd)
hgrm=$(realpath "$1")
folder=$("$here/fetch" --look) || {
	echo "skipped: the clients are not there (scripts/deps test)"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# numbers SEED COUNT SHAPE
numbers() {
	awk -v seed="$1" -v count="$2" -v shape="$3" 'BEGIN {
		srand(seed)
		for (i = 0; i < count; i++) {
			u = rand()
			if (shape == "tail") v = 80000 / (1 - u * 0.99999)
			else if (shape == "octaves") v = 2 ^ (u * 41.9)
			else if (shape == "edges") v = 2 ^ int(u * 42) + int(rand() * 3) - 1
			else v = u * 3000
			printf "%d\n", v
		}
	}'
}

for input in "1 0 small" "2 1 small" "3 9 small" "4 1000 small" "5 100000 tail" "6 50000 octaves" "7 20000 edges"; do
	# shellcheck disable=SC2086
	numbers $input >"$work/numbers"
	"$hgrm" <"$work/numbers" >"$work/ours"
	node "$here/hgrm.js" "$folder/node_modules" <"$work/numbers" >"$work/theirs" || exit 1
	if diff "$work/ours" "$work/theirs" >"$work/difference"; then
		echo "ok: $input: $(wc -l <"$work/ours") lines"
	else
		echo "FAILED: $input"
		head -20 "$work/difference"
		failed=1
	fi
done
exit $failed
