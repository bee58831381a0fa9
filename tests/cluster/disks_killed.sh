#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A test with a disk that hangs is killed: disk, loop device, cluster and files are gone soon after; or, if nobody was left
# to see to it, as soon as the next test begins.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/disks.sh"

# The test that is killed. Somebody has bytes on their way to its disk then.
if [ "${1:-}" = victim ]; then
	disks_or_skip
	begin --no-start
	disk_make disk 32M
	disk_attach disk nofilter
	kill -STOP "${nbdkit_pid[disk]}"
	in_holder dd if=/dev/zero of="$work/disk/file" bs=64k count=16 oflag=direct status=none </dev/null >/dev/null 2>&1 &
	disown $!
	echo "$work $images $disks_warden $(sed -n 's|^loop /dev/||p' "$work/disks/disk.disk")" >"$2"
	wait_s=600
	wait_until "it was killed" false
fi

# Nothing of it: files, processes, loop devices.
is_gone() {
	[ ! -e "$victim_work" ] && [ ! -e "$victim_images" ] && [ ! -e "/sys/block/$victim_loop/loop" ] &&
		! grep -qs "$victim_work" /proc/[0-9]*/cmdline
}

# kill_a_test [BOTH]: with a word, who waits for its end as well.
kill_a_test() {
	"$0" victim "$work/ready" </dev/null >"$work/victim.log" 2>&1 &
	victim=$!
	disown $!
	wait_until "the disk hung" test -s "$work/ready"
	read -r victim_work victim_images victim_warden victim_loop <"$work/ready"
	rm "$work/ready"
	[ -z "${1:-}" ] || kill -KILL "-$victim_warden"
	kill -KILL "$victim"
}

disks_or_skip
note "a test is killed"
kill_a_test
wait_until "nothing of it was left" is_gone

note "and with it who waits for its end"
kill_a_test both
rm -rf "$work/disks" # this test is the next one
disks_or_skip
wait_until "nothing of it was left" is_gone

note "the next one finds a loop device"
truncate -s 8M "$work/image" && timeout 20 losetup --find "$work/image" || fail "no loop device"
losetup --associated "$work/image" --output NAME --noheadings | xargs losetup --detach
