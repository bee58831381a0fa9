# SPDX-License-Identifier: Apache-2.0
# What the cluster tests share. Sourced by each of them; the usual shape is
#
#   begin                 a cluster of three, started, with a leader
#   load                  lines flow in from the client's host, without end
#   acks_grow 500         wait until that many more are acknowledged
#   cluster kill 1        something bad happens
#   acks_grow 500         and work goes on
#   unload                the last lines are acknowledged
#   verify                what was acknowledged is what every node applied
#
# Every wait is for a condition and has a deadline far beyond what a slow machine takes. The cluster and
# all processes are gone when the test ends, however it ends; KEEP=1 leaves a failed one up.
set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DECREE_BIN=${DECREE_BIN:-$top/build/apps}
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d /var/tmp/decree-test-XXXXXX)
DECREE_CLUSTER_DIR=$work/cluster
client_ini=$DECREE_CLUSTER_DIR/client.ini
export DECREE_BIN DECREE_CLUSTER_DIR PATH
load_pid=
wait_s=60

cluster() {
	"$top/scripts/cluster" "$@"
}

# decree on the client's host.
decree() {
	cluster exec "$DECREE_BIN/decree" "$@"
}

note() {
	printf '== %s\n' "$*"
}

# Ends the test, also from within $(...); where is_trial is set, only the subshell.
is_trial=
fail() {
	local file

	exec >&2
	printf 'FAILED: %s\n' "$*"
	cluster status 2>&1
	for file in "$DECREE_CLUSTER_DIR"/node*/log "$work"/submit.log; do
		printf -- '--- %s\n' "$file"
		tail -n 15 "$file" 2>/dev/null
	done
	[ "$BASHPID" = $$ ] || [ -n "$is_trial" ] || kill -TERM $$
	exit 1
}

# A test that changes more than the cluster puts it back here.
undo() {
	:
}

finish() {
	local status=$?

	trap - EXIT INT TERM
	undo
	[ -z "$load_pid" ] || { touch "$work/unload" && kill "$load_pid" 2>/dev/null; }
	if [ $status -ne 0 ] && [ -n "${KEEP:-}" ]; then
		echo "kept: DECREE_CLUSTER_DIR=$DECREE_CLUSTER_DIR"
	else
		cluster down
		rm -rf "$work"
	fi
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

# wait_until DESCRIPTION COMMAND...
wait_until() {
	local what=$1 deadline=$((SECONDS + wait_s))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || fail "waited $wait_s s in vain until $what"
		sleep 0.03
	done
}

# begin [ARGUMENT OF cluster up ...]
begin() {
	if [ "$(id -u)" -ne 0 ] && ! unshare --user --map-root-user --mount --net true 2>/dev/null; then
		echo "SKIPPED: network namespaces need root or user namespaces"
		exit 77
	fi
	cluster up "$@" || fail "the cluster did not start"
	case " $* " in *" --no-start "*) ;; *) wait_until "there was a leader" leader ;; esac
}

# ---------------------------------------------------------------------------------------- status

# One JSON object per node that answers.
rows() {
	decree status -c "$client_ini" --json 2>/dev/null
}

# field NODE NAME
field() {
	rows | jq -ers ".[] | select(.node == $1) | .$2"
}

# The node that leads and takes commands. Two may believe so for a moment; the higher ballot is right.
leader() {
	rows | jq -ers 'map(select(.role == "leader" and .ready)) | max_by(.ballot) | .node // empty'
}

# The same, waited for: a slow disk may cost a leader its place at any moment.
await_leader() {
	local deadline=$((SECONDS + wait_s))

	until leader; do
		[ $SECONDS -lt $deadline ] || fail "waited $wait_s s in vain for a leader"
		sleep 0.03
	done
}

followers() {
	local n lead

	lead=$(await_leader)
	for n in 1 2 3; do
		[ "$n" -eq "$lead" ] || echo "$n"
	done
}

another_leads() {
	local now

	now=$(leader) && [ "$now" -ne "$1" ]
}

# has_applied NODE SLOT
has_applied() {
	[ "$(field "$1" applied)" -ge "$2" ]
}

# caught_up NODE: it has what the leader has.
caught_up() {
	has_applied "$1" "$(field "$(leader)" applied)"
}

# has_executed NODE COUNT: so many lines.
has_executed() {
	[ "$(decree read -c "$client_ini" --node "$1" --consistency stale count)" -eq "$2" ]
}

# low_is_beyond NODE SLOT: its log has left that slot behind.
low_is_beyond() {
	[ "$(field "$1" low)" -gt "$2" ]
}

all_have_trimmed() {
	rows | jq -es 'length == 3 and all(.[]; .snapshot > 0 and .low > 1 and (.log_full | not))'
}

# All running nodes agree, and nothing is on its way.
converged() {
	rows | jq -es --argjson count "${1:-3}" 'length == $count
		and (map([.applied, .digest]) | unique | length) == 1
		and all(.[]; .applied == .chosen)'
}

# ---------------------------------------------------------------------------------------- load

# Lines of many sizes, a few thousand each second, until `unload`.
lines() {
	local i=0

	while [ ! -e "$work/unload" ]; do
		awk -v first="$i" 'BEGIN {
			srand(first + 1)
			for (i = first; i < first + 100; i++) {
				line = i " "
				for (n = int(rand() * 12); n > 0; n--)
					line = line "twelve bytes"
				print line
			}
		}'
		i=$((i + 100))
		sleep 0.02
	done
}

# For a test whose log shall go around, and soon: lines() { long_lines; }
long_lines() {
	local i=0

	while [ ! -e "$work/unload" ]; do
		awk -v first="$i" 'BEGIN {
			for (n = 0; n < 70; n++)
				filler = filler "twelve bytes"
			for (i = first; i < first + 100; i++)
				print i " " filler
		}'
		i=$((i + 100))
		sleep 0.02
	done
}

# load [ARGUMENT OF decree submit ...]
load() {
	rm -f "$work/unload" "$work/acks"
	# exec, so that the pid is that of decree itself: whoever kills it leaves nothing behind.
	lines | exec "$top/scripts/cluster" exec "$DECREE_BIN/decree" submit -c "$client_ini" \
		--in-flight 64 --acks "$work/acks" "$@" >"$work/submit.log" 2>&1 &
	load_pid=$!
}

acked() {
	cat "$work/acks" 2>/dev/null | wc -l
}

acks_reached() {
	[ "$(acked)" -ge "$1" ]
}

acks_grow() {
	wait_until "$1 more lines were acknowledged" acks_reached $(($(acked) + $1))
}

load_ended() {
	! kill -0 "$load_pid"
}

unload() {
	touch "$work/unload"
	wait_until "the last lines were acknowledged" load_ended
	wait "$load_pid" || fail "decree submit ended with status $?"
	load_pid=
}

# ---------------------------------------------------------------------------------------- verdict

# verify [NODE ...]: acknowledged = applied, once, in one order, on these nodes (all three).
verify() {
	local n logs=()

	[ $# -gt 0 ] || set -- 1 2 3
	wait_until "the nodes had applied the same" converged $#
	for n in "$@"; do
		decree log -c "$client_ini" --node "$n" --json >"$work/log$n" ||
			fail "the log of node $n cannot be read"
		logs+=("$work/log$n")
	done
	"$top/scripts/compare" "$work/acks" "${logs[@]}" || fail "acknowledged and applied differ"
}

# starts_with_error NODE PATTERN: the node refuses to start and says why.
refuses_to_start() {
	local before

	before=$(cluster logs "$1" | wc -l)
	if cluster start "$1" 2>/dev/null; then
		fail "node $1 started all the same"
	fi
	cluster logs "$1" | tail -n +"$((before + 1))" | grep -qiE "$2" || fail "no word of '$2'"
}

# is_down NODE: its process has ended; a zombie only waits for its parent.
is_down() {
	local pid start stat tasks

	{ read -r pid start <"$DECREE_CLUSTER_DIR/node$1/pid" && read -r stat <"/proc/$pid/stat"; } 2>/dev/null ||
		return 0
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	[ "${20}" = "$start" ] || return 0
	# As scripts/cluster sees it: a zombie whose other threads still wait for the disk has its files open.
	tasks=("/proc/$pid/task"/*)
	[ "$1" = Z ] && [ ${#tasks[@]} -le 1 ]
}

# What that node's process, or the last one, has printed.
said_since_start() {
	sed -n '/^-- .* start$/h;//!H;${g;p}' "$DECREE_CLUSTER_DIR/node$1/log"
}

# ---------------------------------------------------------------------------------------- files

# The folder of a node's log.
log_folder() {
	echo "$DECREE_CLUSTER_DIR/node$1/data/shard-0"
}

# overwrite FILE OFFSET BYTES: with noise
overwrite() {
	dd if=/dev/urandom of="$1" bs=512 seek=$(($2 / 512)) count=$(($3 / 512)) conv=notrunc status=none
}

# flip FILE OFFSET: the byte there becomes another one, and the next flip puts it back.
flip() {
	local byte

	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ 16)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# The file of a data directory that holds the log's records.
largest() {
	find "$1" -type f -printf '%s %p\n' | sort -rn | sed -n '1s/^[0-9]* //p'
}
