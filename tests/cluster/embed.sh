#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program in the README is the program that is built here, and it works.
. "$(dirname "$0")/lib.sh"

sed -n '/^```c$/,/^```$/{/^```/d;p}' "$top/README.md" | cmp - "$top/tests/cluster/embed.c" ||
	fail "README.md and tests/cluster/embed.c differ"
begin -n 1 --no-start
out=$(cluster exec-on 1 "${EMBED:?}" "$DECREE_CLUSTER_DIR/node1/decree.ini") || fail "embed failed"
[ "$out" = "this was command 1" ] || fail "it said: $out"
