#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that gives errors under load: to writes, to flushes, to reads; and a file system that becomes read-only or
# full. A node that cannot be sure of its log ends at once and says what to do; the others go on. When the disk is well
# again it starts and catches up. Nothing acknowledged is lost.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/disks.sh"

victim=2

says() {
	said_since_start $victim | grep -qiE "$1"
}

# attach FILTERS [PARAMETER ...]
attach() {
	disk_attach disk "$@"
}

start_whole() {
	cluster start $victim || fail "node $victim does not start on a disk that is well again"
	wait_until "node $victim had caught up" caught_up $victim
}

# ends_by COMMAND...: after it the node ends by itself, having said so, and the others go on.
ends_by() {
	"$@"
	wait_until "node $victim had ended" is_down $victim
	says 'the log could not be written' || fail "node $victim does not say what happened"
	says 'check the device' || fail "node $victim does not say what to do"
	acks_grow 100
}

disks_or_skip
begin --no-start --log-bytes $((16 << 20)) --set local.segment_bytes=2M --set cluster.election_ms=1000
disk_make disk 192M
load
cluster start 1 && cluster start 3 || fail "nodes 1 and 3 do not start"
attach error error-pwrite-rate=100% error-pwrite-file="$work/bad"
live_on $victim disk
cluster start $victim || fail "node $victim does not start"
wait_until "there was a leader" leader
acks_grow 300

note "a write fails"
ends_by touch "$work/bad"

note "the disk is still bad: no start, and nothing is lost by trying"
cluster start $victim >/dev/null 2>&1 && fail "node $victim starts on a disk that takes no writes"
says 'input/output error.*check the device' || fail "node $victim does not say why: $(said_since_start $victim)"
rm "$work/bad"
disk_detach disk

note "a flush fails"
attach "cache error" cache=writeback error-pwrite-rate=100% error-pwrite-file="$work/bad"
start_whole
ends_by touch "$work/bad"
rm "$work/bad"
disk_detach disk

note "the file system becomes read-only"
attach error error-pread-rate=100% error-pread-file="$work/bad"
start_whole
ends_by in_holder mount -o remount,abort "$work/disk"
refuses_to_start $victim 'read-only file system.*mount'
disk_detach disk

note "nothing can be read at a start"
attach error error-pread-rate=100% error-pread-file="$work/bad"
in_holder ls "$work/disk/node$victim/shard-0" >/dev/null # the file system's own pages are read by then
touch "$work/bad"
refuses_to_start $victim 'input/output error.*check the device'
rm "$work/bad"

note "the file system is full"
start_whole
in_holder dd if=/dev/zero of="$work/disk/filler" bs=64k status=none 2>/dev/null
decree snapshot -c "$client_ini" --timeout 3000 >"$work/snapshot.log" 2>&1
wait_until "node $victim said that there is no space" says 'no space'
acks_grow 100
in_holder rm "$work/disk/filler"
wait_until "node $victim saw that there is space again" says 'there is space for snapshots again'
acks_grow 100
unload
verify
