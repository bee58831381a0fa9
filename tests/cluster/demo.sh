#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The README's first command keeps its word: on a file with awkward lines, and its last line is the
# report. With the task queue, and with the log alone.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ] && ! unshare --user --map-root-user --mount --net true 2>/dev/null; then
	exit 77
fi
{
	printf '\n\nan empty line came first\n\377\376 not UTF-8 \000 \n'
	head -c 200000 /dev/zero | tr '\0' x
	printf '\n'
	seq 3000
	printf 'no newline at the end'
} >"$work/text"
# demo NAME JQ_CONDITION [OPTION ...]: the report's last line is as it should be.
demo() {
	"$top/scripts/demo" "${@:3}" "$work/text" >"$work/out" 2>&1 || {
		cat "$work/out"
		echo "FAILED: the demo's status is not 0"
		exit 1
	}
	tail -n 1 "$work/out" | jq -e ".machine == \"$1\"
		and .commands == 3006 and .acked == 3006 and .applied_on_every_node == 3006
		and .lost == 0 and .duplicated == 0 and .same_order and .failover_ms > 0
		and has(\"p50_us\") and has(\"p99_us\") and has(\"commits_per_s\")
		and .mode == \"durable\" and .transport == \"af_packet\" and $2" || {
		cat "$work/out"
		exit 1
	}
}

# What is no file of lines is refused before anything is built.
for name in "$work" "$work/nothing" /dev/null; do
	! "$top/scripts/demo" "$name" >"$work/out" 2>&1 && [ "$(cat "$work/out")" = "demo: cannot read '$name': name a file of lines" ] || {
		echo "FAILED: $name: $(cat "$work/out")"
		exit 1
	}
done

# What it takes for two holders: a reservation that two have, a later one than that which deleted the job, two deletes, somebody who is
# told so. A holder whose server died before it knew its token is none.
PYTHONPATH=$top/scripts python3 - <<'END' || exit 1
from demo_queue import two_holders
rows = [
    ([(1, 1), (2, 1)], [(1, 1), (2, 1)], [], 0),
    ([(1, 1), (1, 2)], [(1, 2)], [], 0),
    ([(1, 0), (1, 2)], [(1, 2)], [], 0),
    ([(1, 1), (1, 1)], [(1, 1)], [], 1),
    ([(1, 1), (1, 2)], [(1, 1)], [], 1),
    ([(1, 1), (1, 2)], [(1, 1), (1, 2)], [], 2),
    ([(1, 1)], [], [1], 1),
]
for reserved, deleted, denied, count in rows:
    assert two_holders(reserved, deleted, denied) == count, (reserved, deleted, denied)
END
demo queue '.two_holders == 0 and .jobs_per_s > 0'
demo log true --machine log
