# SPDX-License-Identifier: Apache-2.0
# Disks that fail, stop or lose power. Sourced after lib.sh by the tests that need them.
#
#   image file  <-  nbdkit, whose filters do the harm  <-  nbdfuse: the device as a file  <-  loop  <-  ext4
#
# The mounts live in the mount namespace of the cluster's holder, so that they go when it goes; nbdkit and nbdfuse
# are killed by their pids. A process that enters the cluster gets a copy of the mounts, and what is mounted
# anywhere cannot be taken away: so `load`, and the nodes that live elsewhere, come before disk_attach.
#
# A loop device whose file nobody serves any more hangs whoever looks for a free one. So $work/disks says what there is,
# and disks_end takes it away: at the test's end; by a process that waits for that end, if the test is killed; and before
# the next test, if both were.

# Images are kept in memory where that is possible: what survives is decided by nbdkit, and it is faster.
images=$work
if [ -w /dev/shm ] && [ "$(stat -f -c %T /dev/shm)" = tmpfs ]; then
	images=$(mktemp -d /dev/shm/decree-test-XXXXXX)
fi
declare -A nbdkit_pid nbdfuse_pid

disks_or_skip() {
	local tool left

	if [ "$(id -u)" -ne 0 ] || [ ! -c /dev/loop-control ] || [ ! -c /dev/fuse ]; then
		echo "SKIPPED: failing disks need root, loop devices and FUSE"
		exit 77
	fi
	for tool in nbdkit nbdfuse mkfs.ext4; do
		command -v $tool >/dev/null || { echo "SKIPPED: $tool is missing: scripts/deps test" && exit 77; }
	done
	for left in /var/tmp/decree-test-*/disks; do
		"$top/tests/cluster/disks_end" --dead "${left%/disks}"
	done
	mkdir "$work/disks"
	echo "$images" >"$work/disks/images"
	echo "$$ $(cut -d' ' -f22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id)" >"$work/disks/owner"
	setsid "$top/tests/cluster/disks_end" --after "$work" </dev/null >/dev/null 2>&1 &
	disks_warden=$!
	disown $!
}

has_ended() {
	! kill -0 "$1"
}

in_holder() {
	nsenter --target "$(cut -d' ' -f1 "$DECREE_CLUSTER_DIR/holder.pid")" --mount -- "$@"
}

# disk_make NAME BYTES: an image with an empty file system; nothing is attached yet.
disk_make() {
	truncate -s "$2" "$images/$1.img"
	mkfs.ext4 -q -F -E nodiscard "$images/$1.img" || fail "mkfs.ext4"
	mkdir -p "$work/$1" "$work/$1.nbd"
}

# disk_attach NAME FILTERS [PARAMETER ...]: mounted at $work/NAME, through these filters of nbdkit.
disk_attach() {
	local name=$1 filters=() filter device

	for filter in $2; do
		filters+=("--filter=$filter")
	done
	shift 2
	rm -f "$work/$name.sock"
	TMPDIR=$images nbdkit --foreground -U "$work/$name.sock" "${filters[@]}" file "$images/$name.img" "$@" \
		</dev/null >>"$work/$name.log" 2>&1 &
	nbdkit_pid[$name]=$!
	echo "process $!" >"$work/disks/$name.disk"
	disown $!
	wait_until "nbdkit served $name" test -S "$work/$name.sock"
	in_holder nbdfuse "$work/$name.nbd" --unix "$work/$name.sock" </dev/null >>"$work/$name.log" 2>&1 &
	nbdfuse_pid[$name]=$!
	echo "process $!" >>"$work/disks/$name.disk"
	disown $!
	wait_until "nbdfuse showed $name" in_holder test -e "$work/$name.nbd/nbd"
	echo "connection $(in_holder mountpoint -d "$work/$name.nbd" | cut -d: -f2)" >>"$work/disks/$name.disk"
	device=$(in_holder losetup --find --show --direct-io=on "$work/$name.nbd/nbd") || fail "losetup"
	echo "loop $device" >>"$work/disks/$name.disk"
	in_holder mount "$device" "$work/$name" || fail "mount $name"
	in_holder losetup --detach "$device" # as soon as it is not mounted any more
}

# Every node that lives on it must have ended. What was not flushed is lost if nbdkit was killed before.
disk_detach() {
	local name=$1

	in_holder umount "$work/$name" || fail "umount $name"
	wait_until "$name.nbd could be unmounted" in_holder umount "$work/$name.nbd"
	kill "${nbdkit_pid[$name]}" 2>/dev/null
	wait_until "nbdkit of $name had ended" has_ended "${nbdkit_pid[$name]}"
	wait_until "nbdfuse of $name had ended" has_ended "${nbdfuse_pid[$name]}"
	unset "nbdkit_pid[$name]" "nbdfuse_pid[$name]"
	rm "$work/disks/$name.disk"
}

# live_on NODE NAME: the node's data is on that disk from now on; formats it.
live_on() {
	local ini=$DECREE_CLUSTER_DIR/node$1/decree.ini

	sed -i "s|^data_dir = .*|data_dir = $work/$2/node$1|" "$ini"
	in_holder "$DECREE_BIN/decree" format -c "$ini" >/dev/null || fail "decree format on $2"
}

# However the test ends: a disk without its server gives errors, and then nobody waits for it.
undo() {
	"$top/tests/cluster/disks_end" "$work"
	[ "$images" = "$work" ] || rm -rf "$images"
}
