#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/hugepages and scripts/bind-nic on a host that is made of files: two NUMA nodes, NICs, and programs that do to
# the files what the real ones do to a kernel.
#
#   host.sh SOURCE
set -u

hugepages=$(realpath "$1")/scripts/hugepages
bind_nic=$(realpath "$1")/scripts/bind-nic
. "$(dirname "$0")/expect.sh"
export DECREE_ROOT=$work/root
devices=$DECREE_ROOT/sys/bus/pci/devices
nodes=$DECREE_ROOT/sys/devices/system/node
mkdir -p "$DECREE_ROOT/etc"

# node NUMBER FREE_MIB
node() {
	mkdir -p "$nodes/node$1/hugepages/hugepages-2048kB"
	printf 'Node %d MemFree: %d kB\nNode %d Active(file): 1024 kB\nNode %d Inactive(file): 0 kB\n' "$1" $(($2 * 1024)) "$1" "$1" \
		>"$nodes/node$1/meminfo"
	echo 0 >"$nodes/node$1/hugepages/hugepages-2048kB/nr_hugepages"
	echo 0 >"$nodes/node$1/hugepages/hugepages-2048kB/free_hugepages"
}

# device ADDRESS CLASS NUMA_NODE DRIVER INTERFACE IOMMU_GROUP
device() {
	mkdir -p "$devices/$1" "$DECREE_ROOT/sys/bus/pci/drivers/$4" "$DECREE_ROOT/sys/kernel/iommu_groups/$6/devices"
	echo "$2" >"$devices/$1/class"
	echo "$3" >"$devices/$1/numa_node"
	ln -s "$DECREE_ROOT/sys/bus/pci/drivers/$4" "$devices/$1/driver"
	echo 0x8086 >"$devices/$1/vendor"
	echo 0x1592 >"$devices/$1/device"
	echo 0x8086 >"$devices/$1/subsystem_vendor"
	echo 0x0002 >"$devices/$1/subsystem_device"
	[ "$5" = none ] || {
		mkdir -p "$devices/$1/net/$5" "$DECREE_ROOT/sys/class/net/$5"
		echo 0 >"$DECREE_ROOT/sys/class/net/$5/addr_assign_type"
		echo "02:00:00:00:00:0${5#eth}" >"$DECREE_ROOT/sys/class/net/$5/address"
	}
	ln -s "$devices/$1" "$DECREE_ROOT/sys/kernel/iommu_groups/$6/devices/$1"
	ln -s "$DECREE_ROOT/sys/kernel/iommu_groups/$6" "$devices/$1/iommu_group"
}

# program NAME: what is on standard input
program() {
	mkdir -p bin
	{ echo '#!/bin/sh' && cat; } >"bin/$1"
	chmod +x "bin/$1"
}

nr() {
	cat "$nodes/node$1/hugepages/hugepages-2048kB/nr_hugepages"
}

driver() {
	basename "$(readlink "$devices/$1/driver")"
}

# same WANTED COMMAND...: what it prints
same() {
	count=$((count + 1))
	[ "$("${@:2}")" = "$1" ] || {
		printf 'FAILED: %s\n  is "%s" instead of "%s"\n' "${*:2}" "$("${@:2}")" "$1"
		failed=1
	}
}

program ss <<'EOF'
[ ! -e "$DECREE_ROOT/sshd" ] || cat "$DECREE_ROOT/sshd"
EOF
program modprobe <<<'[ "$1" != no_such_driver ]'
program ip <<'EOF'
case "$*" in
*"table all default"*) echo "default via 10.0.0.254 dev bond0 proto static"; echo "default via 10.3.0.1 dev eth5 table 100" ;;
*"link show dev eth1"*) [ ! -e "$DECREE_ROOT/permanent" ] || echo "3: eth1: <UP> link/ether 02:ff:ff:ff:ff:ff brd ff:ff:ff:ff:ff:ff permaddr 02:00:00:00:00:01" ;;
*"get 10.9.9.9"*) echo "10.9.9.9 via 10.1.0.1 dev eth2 src 10.1.0.2 uid 0" ;;
esac
EOF
program udevadm <<<'[ ! -e "$DECREE_ROOT/has_user" ] || echo settled >>"$DECREE_ROOT/given"'
program id <<<'[ -e "$DECREE_ROOT/has_user" ]'
program chown <<<'[ -e "$DECREE_ROOT/no_vfio" ] || echo "$*" >>"$DECREE_ROOT/given"; [ ! -e "$DECREE_ROOT/no_vfio" ]'
# -b DRIVER ADDRESS, -u ADDRESS. As the real one, it says so with status 0 where it does not touch a NIC.
program dpdk-devbind.py <<'EOF'
devices=$DECREE_ROOT/sys/bus/pci/devices
case $1 in
-b)
	[ -e "$DECREE_ROOT/stuck" ] && echo "Warning: routing table indicates that interface is active" && exit 0
	rm -f "$devices/$3/driver"
	ln -s "$DECREE_ROOT/sys/bus/pci/drivers/$2" "$devices/$3/driver"
	;;
-u) rm -f "$devices/$2/driver" ;;
esac
EOF
export PATH=$work/bin:$PATH
unset SSH_CONNECTION

node 0 1000
node 1 100
device 0000:01:00.0 0x020000 0 ixgbe eth0 10
device 0000:3b:00.0 0x020000 1 ice eth1 11
device 0000:3c:00.0 0x020000 1 ice eth2 12
device 0000:3d:00.0 0x020000 1 ice eth3 13
device 0000:3d:00.1 0x020000 1 ice eth4 13
device 0000:05:00.0 0x010802 0 nvme none 14
# The default route goes through a bond of eth0.
mkdir -p "$DECREE_ROOT/sys/class/net/bond0/lower_eth0"

# Huge pages

expect 0 'NUMA node 0: 0 pages|1001 MiB could|NICs: 0000:01:00.0|node 1|0000:3b:00.0 0000:3c:00.0|nothing of ours' "$hugepages"
expect 2 'hugepages reserve SIZE' "$hugepages" frob
expect 2 'hugepages reserve SIZE' "$hugepages" reserve
expect 1 "several NUMA nodes (0 1)" "$hugepages" reserve 256M
expect 1 "no NUMA node 7|0 1" "$hugepages" reserve 256M 7
expect 1 "'lots' is no size|256M" "$hugepages" reserve lots 0
expect 1 "no unit: 256M or 256G" "$hugepages" reserve 256 0
expect 1 "101 MiB to spare|256 MiB more were asked" "$hugepages" reserve 256M 1
same 0 nr 1
expect 1 "node 0 has 1001 MiB|102400 MiB" "$hugepages" reserve 100G 0
same '' find "$DECREE_ROOT/etc" -name '*hugepages*'
expect 0 'NUMA node 0: 128 pages' "$hugepages" reserve 256M 0
expect 0 'NUMA node 1: 16 pages' "$hugepages" reserve 32M 1
same 128 nr 0
expect 0 'at boot: node 0: 128 pages|at boot: node 1: 16 pages' "$hugepages"
expect 0 'NUMA node 0: 64 pages' "$hugepages" reserve 128M 0
expect 0 'at boot: node 0: 64 pages|!128 pages|at boot: node 1: 16 pages' "$hugepages" show
# systemd-tmpfiles does so at a boot, and at no other time.
boot_file=$DECREE_ROOT/etc/tmpfiles.d/decree-hugepages.conf
if command -v systemd-tmpfiles >/dev/null; then
	echo 99 >"$nodes/node0/hugepages/hugepages-2048kB/nr_hugepages"
	expect 0 '!ailed' systemd-tmpfiles --root="$DECREE_ROOT" --create decree-hugepages.conf
	same 99 nr 0
	expect 0 '!ailed' systemd-tmpfiles --root="$DECREE_ROOT" --create --boot decree-hugepages.conf
	same 64 nr 0
fi
# As an older version has written it: still ours, and then the new way.
sed -i 's/^w! /w /' "$boot_file"
expect 0 'at boot: node 0: 64 pages' "$hugepages"
expect 0 'NUMA node 0: 32 pages' "$hugepages" reserve 64M 0
same 1 grep -c '^w! .*/node0/.* 32$' "$boot_file"
expect 0 'NUMA node 0: 0 pages' "$hugepages" reserve 0 0
expect 0 'NUMA node 1: 0 pages' "$hugepages" reserve 0 1
expect 0 'nothing of ours' "$hugepages"

# Pages of somebody else's: never fewer, and given back is what is ours alone.
echo 100 >"$nodes/node0/hugepages/hugepages-2048kB/nr_hugepages"
expect 1 '100 of them are not ours (200M)|reserve 520M 0' "$hugepages" reserve 128M 0
same 100 nr 0
expect 0 'NUMA node 0: 200 pages' "$hugepages" reserve 400M 0
expect 0 'NUMA node 0: 150 pages' "$hugepages" reserve 300M 0
expect 1 '100 of them are not ours' "$hugepages" reserve 128M 0
expect 0 'NUMA node 0: 100 pages' "$hugepages" reserve 0 0
expect 0 'nothing of ours' "$hugepages"
expect 0 'NUMA node 0: 102 pages' "$hugepages" reserve 203M 0 # not less than was asked for
expect 0 'NUMA node 0: 100 pages' "$hugepages" reserve 0 0
echo 0 >"$nodes/node0/hugepages/hugepages-2048kB/nr_hugepages"

# A kernel that gives none of what it was asked for: nothing is to be left behind for the next boot.
rm "$nodes/node0/hugepages/hugepages-2048kB/nr_hugepages"
ln -s /dev/null "$nodes/node0/hugepages/hugepages-2048kB/nr_hugepages"
expect 1 'pages could be had|in small pieces|nothing was changed' "$hugepages" reserve 256M 0
same '' find "$DECREE_ROOT/etc" -name '*hugepages*'

# NICs

expect 0 "0000:01:00.0  driver ixgbe  interface eth0|NOT TO BE HAD: the default route goes through it (eth0)|0000:3b:00.0  driver ice|!0000:05" "$bind_nic"
expect 2 'bind-nic ADDRESS' "$bind_nic" --frob
expect 1 "stays the kernel's|default route|eth0" "$bind_nic" 0000:01:00.0
expect 1 "no PCI device '0000:99:00.0'" "$bind_nic" 0000:99:00.0
expect 1 "is no NIC" "$bind_nic" 0000:05:00.0
expect 1 "no driver no_such_driver" "$bind_nic" 0000:3b:00.0 no_such_driver
expect 1 "shares its IOMMU group with 0000:3d:00.1|ice" "$bind_nic" 0000:3d:00.0
expect 1 "nothing is remembered" "$bind_nic" again
expect 1 "nothing is remembered of '0000:3b:00.0'" "$bind_nic" restore 0000:3b:00.0
mv "$devices/0000:3c:00.0/iommu_group" saved
expect 1 "behind no IOMMU|intel_iommu=on|uio_pci_generic" "$bind_nic" 0000:3c:00.0
mv saved "$devices/0000:3c:00.0/iommu_group"
expect 1 "an ssh session goes through it (eth2)" env SSH_CONNECTION="10.9.9.9 50000 10.1.0.2 22" "$bind_nic" 0000:3c:00.0
expect 1 "an ssh session goes through it (eth2)" env SSH_CONNECTION="fe80::9%eth2 50000 fe80::2 22" "$bind_nic" 0000:3c:00.0
echo '0 0 10.1.0.2:22 10.9.9.9:50000 users:(("sshd",pid=7,fd=4))' >"$DECREE_ROOT/sshd"
expect 1 "an ssh session goes through it (eth2)" "$bind_nic" 0000:3c:00.0
rm "$DECREE_ROOT/sshd"
device 0000:3e:00.0 0x020000 1 ice eth5 15
expect 1 "default route goes through it (eth5)" "$bind_nic" 0000:3e:00.0 # of another table
expect 1 "'.*' is no PCI address" "$bind_nic" restore '.*'
expect 1 "is no PCI address" "$bind_nic" ../../etc
touch "$DECREE_ROOT/stuck"
expect 1 "not bound to vfio-pci: Warning: routing table|ip address flush" "$bind_nic" 0000:3b:00.0
rm "$DECREE_ROOT/stuck"
# Nothing of all that has changed a driver, or is remembered.
same ice driver 0000:3b:00.0
same '' find "$DECREE_ROOT/etc" -name nics

expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0 # once more changes nothing
expect 0 "remembered: 0000:3b:00.0 is bound to vfio-pci, and was to ice" "$bind_nic"
# A boot: the kernel's driver has it again.
ln -sfn "$DECREE_ROOT/sys/bus/pci/drivers/ice" "$devices/0000:3b:00.0/driver"
device 0000:77:00.0 0x020000 1 ice eth6 16
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:77:00.0
rm -r "$devices/0000:77:00.0"
expect 1 "no PCI device '0000:77:00.0'|0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again # one that is gone
expect 1 "no PCI device '0000:77:00.0' any more" "$bind_nic" restore 0000:77:00.0
sed -i /0000:77/d "$DECREE_ROOT/etc/decree/nics"
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again

# boot DRIVER INTERFACE: what the kernel has made of the NIC before the first unit starts; none: nothing.
boot() {
	rm -rf "$devices/0000:3b:00.0/net" "$devices/0000:3b:00.0/driver"
	[ "$2" = none ] || mkdir -p "$devices/0000:3b:00.0/net/$2"
	[ "$1" = none ] || ln -s "$DECREE_ROOT/sys/bus/pci/drivers/$1" "$devices/0000:3b:00.0/driver"
}

# left DRIVER WORDS: 'again' leaves it to that driver, says why, and what to do.
left() {
	expect 1 "0000:3b:00.0 is left alone: $2|bind-nic 0000:3b:00.0 vfio-pci|!is bound" "$bind_nic" again
	[ "$1" = none ] && same '' find "$devices/0000:3b:00.0" -name driver || same "$1" driver 0000:3b:00.0
}

# Nothing says at a boot by which NIC the host is reached, and addresses change with the cards: what is bound has to be the same device.
identity='0x8086:0x1592:0x8086:0x0002 02:00:00:00:00:01'
same "0000:3b:00.0 vfio-pci ice $identity" cat "$DECREE_ROOT/etc/decree/nics"
boot ice eth4
left ice 'its MAC is 02:00:00:00:00:04, and that of the one remembered 02:00:00:00:00:01'
boot none none
left none 'its MAC is none, and that of the one remembered 02:00:00:00:00:01'
boot ixgbe eth1
left ixgbe 'it has the driver ixgbe, and had ice'
boot ice eth1
echo 0x0003 >"$devices/0000:3b:00.0/subsystem_device"
left ice 'the device there is now a 0x8086:0x1592:0x8086:0x0003, and the one remembered is a 0x8086:0x1592:0x8086:0x0002'
boot vfio-pci none
left vfio-pci 'the device there is now'
echo 0x0002 >"$devices/0000:3b:00.0/subsystem_device"
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again
echo 0000:3b:00.0 vfio-pci ice >"$DECREE_ROOT/etc/decree/nics"
boot ice eth1
left ice 'it was remembered by an older bind-nic'
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0
same "0000:3b:00.0 vfio-pci ice $identity" cat "$DECREE_ROOT/etc/decree/nics"
boot ice eth1
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again
# The MAC is the one it was made with: not a bond's, not a user's, not one drawn by lot.
boot ice eth1
echo 02:ff:ff:ff:ff:ff >"$DECREE_ROOT/sys/class/net/eth1/address"
touch "$DECREE_ROOT/permanent"
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again
boot ice eth1
rm "$DECREE_ROOT/permanent"
mkdir "$DECREE_ROOT/sys/class/net/eth1/bonding_slave"
echo 02:00:00:00:00:01 >"$DECREE_ROOT/sys/class/net/eth1/bonding_slave/perm_hwaddr"
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again
boot ice eth1
echo 1 >"$DECREE_ROOT/sys/class/net/eth1/addr_assign_type"
left ice 'its MAC is none'
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0
same "0000:3b:00.0 vfio-pci ice ${identity% *} none" cat "$DECREE_ROOT/etc/decree/nics"
boot ice eth1
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again # by its make, and its driver
boot none none
expect 0 "0000:3b:00.0 is bound to vfio-pci" "$bind_nic" again
# As it was.
echo 0 >"$DECREE_ROOT/sys/class/net/eth1/addr_assign_type"
boot ice eth1
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0

# Another driver of DPDK's is not what it had before.
expect 0 "is bound to uio_pci_generic" "$bind_nic" 3B:00.0 uio_pci_generic
expect 0 "remembered: 0000:3b:00.0 is bound to uio_pci_generic, and was to ice|!02:00" "$bind_nic"
same "0000:3b:00.0 uio_pci_generic ice $identity" cat "$DECREE_ROOT/etc/decree/nics"
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3b:00.0
# A node has it open.
mkdir -p "$DECREE_ROOT/proc/4711/fd"
ln -s /dev/vfio/11 "$DECREE_ROOT/proc/4711/fd/9"
expect 1 "in use by process 4711" "$bind_nic" restore 0000:3b:00.0
expect 1 "in use by process 4711" "$bind_nic" 0000:3b:00.0 uio_pci_generic
same vfio-pci driver 0000:3b:00.0
rm -r "$DECREE_ROOT/proc"
same vfio-pci driver 0000:3b:00.0
expect 0 "has driver ice, as before" "$bind_nic" restore 0000:3b:00.0
same ice driver 0000:3b:00.0
expect 0 "!remembered" "$bind_nic"
# One that the kernel had no driver for.
rm "$devices/0000:3c:00.0/driver"
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3c:00.0
expect 0 "has driver none, as before" "$bind_nic" restore 0000:3c:00.0
same '' find "$devices/0000:3c:00.0" -name driver

# The user as whom nodes run, if there is one, gets the NIC's group, after udev has had its say; and again after a boot.
same '' find "$DECREE_ROOT" -name given
touch "$DECREE_ROOT/has_user"
expect 0 "is bound to vfio-pci" "$bind_nic" 0000:3c:00.0
same "settled
decree $DECREE_ROOT/dev/vfio/12" cat "$DECREE_ROOT/given"
rm "$DECREE_ROOT/given"
expect 0 "0000:3c:00.0 is bound to vfio-pci" "$bind_nic" again
same "settled
settled
decree $DECREE_ROOT/dev/vfio/12" cat "$DECREE_ROOT/given"
touch "$DECREE_ROOT/no_vfio"
expect 1 "$DECREE_ROOT/dev/vfio/12 could not be given to the user decree" "$bind_nic" again
rm "$DECREE_ROOT/no_vfio" "$DECREE_ROOT/given"
# A driver without groups.
expect 0 "is bound to uio_pci_generic" "$bind_nic" 0000:3c:00.0 uio_pci_generic
same '' find "$DECREE_ROOT" -name given

echo "$count cases"
exit $failed
