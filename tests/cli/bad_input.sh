#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each row of "Misconfigurations" in docs/operating.md, made for real where this machine can, and on a host made of files where it
# takes hardware: one line that names the remedy, a status that is not 0, and nothing half started. The lines stand in
# the table, and are compared with it.
#
#   bad_input.sh DECREE DECREED SOURCE
set -u

decree=$(realpath "$1")
decreed=$(realpath "$2")
table=$(realpath "$3")/docs/operating.md
clients=$(realpath "$3")/tests/cluster
if [ "${BAD_INPUT:-}" != inside ]; then
	[ "$(id -u)" -eq 0 ] || { echo "SKIPPED: network namespaces, mounts and other users need root" && exit 77; }
	exec env BAD_INPUT=inside unshare --net --mount "$0" "$@"
fi
PATH=$PATH:/usr/sbin:/sbin
. "$(dirname "$0")/expect.sh"
chmod 755 . # another user looks in
rows=0

# What there is here, and DPDK's files.
things() {
	find . /run/dpdk ! -name before ! -name left ! -name out ! -name err ! -name complaint | sort
}

# refuses ROW STATUS COMMAND...: with the line that the table has for ROW, where X stands for a part that differs, as its only one.
refuses() {
	local row=$1 status=$2 got line wanted before

	shift 2
	count=$((count + 1))
	things >before
	timeout 30 "$@" >out 2>err </dev/null &
	pid=$!
	wait $pid
	got=$?
	# What DPDK was started with, and what the disk is, are no complaints.
	grep -vE '^decree\[[0-9]+\] (info|notice): |^decreed: node [0-9]+ of cluster [0-9a-f]+ ready' err >complaint
	grep '^BAD ' out | sed 's/  */ /g' >>complaint
	wanted=$(grep -F "| $row |" "$table" | cut -d '`' -f 2 | sed -e 's/[][\.*^$]/\\&/g' -e 's/X/.*/g')
	line=$(cat complaint)
	if [ "$got" -ne "$status" ] || [ "$(wc -l <complaint)" -ne 1 ] || [ -z "$wanted" ] || ! grep -qx -- "$wanted" complaint; then
		printf 'FAILED: %s\n  status %s instead of %s; the line\n    %s\n  is not the one line\n    %s\n' "$row" $got "$status" "$line" "$wanted"
		failed=1
	fi
	rm -f complaint
	things | diff before - >left || { echo "FAILED: $row: files were left behind, or went: $(cat left)" && failed=1; }
	[ -z "$(ss -Hltn | grep -v ":$(cat taken 2>/dev/null || echo 0)\b")" ] ||
		{ echo "FAILED: $row: something listens: $(ss -Hltnp)" && failed=1; }
	! kill -0 $pid 2>/dev/null || { echo "FAILED: $row: the process is left" && failed=1; }
}

node() { # ROW STATUS [SETTING...]
	refuses "$1" "$2" "$decreed" --machine=log -c good.ini "${@:3}"
}

mkdir -p /run/dpdk && mount -t tmpfs none /run/dpdk || exit 1 # there may be other nodes on this host
ip link set lo up
ip link add port0 type veth peer name port1
ip link set port0 up && ip link set port1 up
cat >good.ini <<'END'
[cluster]
id = c0ffee
key_file = cluster.key
client_key_file = client.key
[node 1]
ip = 10.9.9.1
[node 2]
ip = 10.9.9.2
[local]
node = 1
data_dir = data
log_bytes = 256M
segment_bytes = 16M
port = net_af_packet0,iface=port0
END
"$decree" format -c good.ini --new-keys >/dev/null || exit 1

# Hardware that is not here: a NIC on NUMA node 1, and its CPU on node 0.
nic=root/sys/bus/pci/devices/0000:3b:00.0
mkdir -p "$nic/iommu_group" root/sys/devices/system/node/node{0/cpu0,1} root/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0 \
	root/sys/kernel/mm/hugepages/hugepages-2048kB root/sys/devices/system/node/node1/hugepages/hugepages-2048kB
echo 1 >$nic/numa_node
echo 1 >root/sys/devices/system/node/node1/cpulist
echo 160 >root/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
echo 160 >root/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages
ln -s ../../../bus/pci/drivers/vfio-pci $nic/driver
check() { # ROW [SETTING...]: of a host that is made of files
	refuses "$1" 1 "$decree" check -c good.ini --root root local.port=0000:3b:00.0 "${@:2}"
}
check 'wrong NUMA node' local.cpus=0
echo 0 >root/sys/devices/system/node/node1/cpulist
mkdir root/sys/devices/system/node/node1/cpu0
ln -sfn ../../../bus/pci/drivers/ice $nic/driver
check 'NIC of the kernel'
ln -sfn ../../../bus/pci/drivers/vfio-pci $nic/driver
echo 0x8086 | tee $nic/{subsystem_,}{vendor,device} >/dev/null
check 'NIC without a driver of DPDK'
rm $nic/vendor
echo 3 >root/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages
check 'huge pages too few'
node 'CPU that is not there' 2 local.cpus=99
expect 2 "CPU 99 of 'control_cpu' does not exist here" "$decreed" --machine=log -c good.ini local.cpus=0 local.control_cpu=99
count=$((count - 1))
node 'NIC that is not there' 1 local.port=0000:99:00.0
node 'interface that is not there' 1 local.port=net_af_packet0,iface=nosuch0

# What a start says of a NIC, on a bus that is made of files.
also() { # STATUS WORDS: beside the rows of the table
	expect "$1" "$2" "$decreed" --machine=log -c good.ini local.port=0000:3b:00.0
	count=$((count - 1))
}
mount -t tmpfs none /sys/bus/pci/devices && mkdir /sys/bus/pci/devices/0000:3b:00.0 || exit 1
also 1 "0000:3b:00.0\": it is bound to no driver: give it to DPDK with 'decree-bind-nic 0000:3b:00.0'|!EAL"
ln -s ../../drivers/ice /sys/bus/pci/devices/0000:3b:00.0/driver
also 1 "it is bound to ice: give it to DPDK with 'decree-bind-nic 0000:3b:00.0'|!EAL"
ln -sfn ../../drivers/vfio-pci /sys/bus/pci/devices/0000:3b:00.0/driver
echo 0 >none
for size in 2048 1048576; do
	pages=/sys/kernel/mm/hugepages/hugepages-${size}kB/free_hugepages
	[ ! -e $pages ] || mount --bind none $pages || exit 1
done
also 1 "it needs huge pages, and too few are free: 'decree-hugepages reserve 320M'|!EAL"
for size in 2048 1048576; do
	umount -q /sys/kernel/mm/hugepages/hugepages-${size}kB/free_hugepages
done
umount /sys/bus/pci/devices

# Two nodes with one id: the other one is a kernel's host with the address.
ip address add 10.9.9.1/24 dev port1
mkdir -p -m 700 data/snapshots # what a node that begins to run makes
: >data/snapshots/reserve
node 'two nodes with one id' 1
ip address del 10.9.9.1/24 dev port1
{ sed '/^\[local\]/,$d' good.ini && printf '[node 2]\nip = 10.9.9.3\n' && sed -n '/^\[local\]/,$p' good.ini; } >twice.ini
refuses 'one id twice in a file' 2 "$decreed" --machine=log -c twice.ini

chmod 644 cluster.key
node 'key readable by others' 2
chmod 600 cluster.key

source=/sys/devices/system/clocksource/clocksource0/current_clocksource
echo hpet >hpet
mount --bind hpet $source
node 'clock source unstable' 2 cluster.lease_ms=100
umount $source

node 'slot_bytes beyond the MTU' 2 cluster.slot_bytes=2000
ip link set port0 mtu 1400
node 'MTU of the interface' 1
ip link set port0 mtu 1500

python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(100)' >taken &
holder=$!
until [ -s taken ]; do sleep 0.01; done
refuses 'port of clients in use' 1 "$decreed" -c good.ini "queue.listen=127.0.0.1:$(cat taken)"
expect 2 'nowhere.invalid:11300: |name an address of this host' "$decreed" -c good.ini queue.listen=nowhere.invalid:11300
count=$((count - 1))
refuses 'port of metrics in use' 1 "$decreed" -c good.ini queue.listen=127.0.0.1:0 "metrics.listen=127.0.0.1:$(cat taken)"
kill $holder && rm taken

# The data are root's, and the node is started as somebody else.
refuses 'wrong permissions' 2 setpriv --reuid=65534 --regid=65534 --clear-groups "$decreed" --machine=log -c good.ini cluster.auth=none

node 'a key that is no more, or is misspelt' 2 cluster.slotbytes=1000
refuses 'data of another node' 2 "$decreed" --machine=log -c good.ini local.node=2
refuses 'not formatted' 2 "$decreed" --machine=log -c good.ini local.data_dir=nowhere

# A queue that has a snapshot, with other memory.
"$decreed" -b jobs -p 0 queue.bytes=16M snapshot.interval_slots=20 2>log &
holder=$!
for ((i = 0; i < 600; i++)); do
	port=$(sed -n 's/^decreed: queue on 127\.0\.0\.1://p' log)
	[ -z "$port" ] || python3 "$clients/queue_move.py" bulk "127.0.0.1:$port" 10
	[ -z "$(find jobs -name 'snapshot-0-*')" ] || break
	sleep 0.05
done
kill $holder
wait $holder
refuses "another size of the queue's memory" 2 "$decreed" -b jobs -p 0 queue.bytes=32M

# A small disk, first too small for the log, then full beside it.
truncate -s 12M disk.img
mkdir small
if mkfs.ext4 -q -F disk.img && mount -o loop disk.img small 2>/dev/null; then
	refuses 'disk too small' 1 "$decree" format -c good.ini local.data_dir=small/data local.log_bytes=32M
	"$decree" format -c good.ini local.data_dir=small/data local.log_bytes=4M local.segment_bytes=1M >/dev/null || failed=1
	refuses 'disk nearly full' 1 "$decree" check --root root -c good.ini local.port=net_ring0 local.data_dir=small/data
	umount small
else
	echo "no loop devices: two rows were left out"
	rows=-2
fi

# Each row of the table is a case here, or in tests/cluster/bad_network.sh, which has a switch: 'MTU on the way'.
rows=$((rows + $(sed -n '/^## Misconfigurations/,/^## /p' "$table" | grep -c '^| .* | `.*` | [12] |')))
[ $((rows - 1)) -eq $count ] || { echo "FAILED: $rows rows in the table, and $count cases" && failed=1; }
echo "$count cases, $rows rows"
exit $failed
