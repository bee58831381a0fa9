#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# decree check on a host that is made of files: each property, good and bad, with its remedy.
#
#   check.sh DECREE
set -u

decree=$(realpath "$1")
. "$(dirname "$0")/expect.sh"
root=$work/root
cpus=$root/sys/devices/system/cpu
nic=$root/sys/bus/pci/devices/0000:3b:00.0
pages=hugepages/hugepages-2048kB

# put TEXT FILE
put() {
	mkdir -p "$(dirname "$2")"
	echo "$1" >"$2"
}

# bound_to DRIVER
bound_to() {
	ln -sfn "../../../bus/pci/drivers/$1" "$nic/driver"
}

# looks STATUS WORDS [SETTING...]: what check says of the host.
looks() {
	expect "$1" "$2" "$decree" check -c good.ini --root "$root" "${@:3}"
}

cat >good.ini <<'END'
[cluster]
id = c0ffee
auth = none
[node 1]
ip = 127.0.0.1
[local]
node = 1
data_dir = data
log_bytes = 4M
segment_bytes = 1M
port = 0000:3b:00.0
cpus = 0
END

put 0-1 "$cpus/isolated"
put 0-1 "$cpus/nohz_full"
put performance "$cpus/cpu0/cpufreq/scaling_governor"
put 2 "$cpus/cpu0/cpuidle/state0/latency"
put 0 "$cpus/cpu0/cpuidle/state0/disable"
put 133 "$cpus/cpu0/cpuidle/state1/latency"
put 1 "$cpus/cpu0/cpuidle/state1/disable"
put tsc "$root/sys/devices/system/clocksource/clocksource0/current_clocksource"
put 160 "$root/sys/kernel/mm/$pages/free_hugepages"
put 0 "$root/sys/kernel/iommu_groups/7/type"
put 1 "$nic/numa_node"
put 0 "$nic/iommu_group/type"
bound_to vfio-pci
put 0 "$root/sys/devices/system/node/node0/$pages/free_hugepages"
put 160 "$root/sys/devices/system/node/node1/$pages/free_hugepages"
put 0-1 "$root/sys/devices/system/node/node1/cpulist"
mkdir -p "$root/sys/devices/system/node/node1/cpu0" "$root/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0"

looks 0 'ok    power|ok    clocksource tsc|ok    hugepages   160|ok    iommu|ok    port|bound to vfio-pci|ok    numa|on node 1|ok    space|!BAD'
expect 0 '{"check":"power","verdict":"ok","finding":"|"check":"numa"' "$decree" check -c good.ini --root "$root" --json
"$decree" check -c good.ini --root "$root" --json >lines
python3 -c 'import json, sys; [json.loads(line)["verdict"] for line in sys.stdin]' <lines || failed=1

# CPUs
if [ "$(nproc)" -gt 1 ]; then
	looks 0 'ok    cpus|isolated: 0-1'
	put 1 "$cpus/isolated"
	looks 0 "note  cpus|CPU 0 of 'cpus' is not isolated|isolcpus="
	put 0 "$cpus/isolated" && put 1 "$cpus/nohz_full"
	looks 0 'note  cpus|timer interrupts it|nohz_full=N'
fi
looks 1 "CPU 999 of 'cpus' does not exist|Correct 'cpus'" local.cpus=999
put powersave "$cpus/cpu0/cpufreq/scaling_governor"
looks 0 "note  power|governor is powersave|cpupower frequency-set -g performance"
put performance "$cpus/cpu0/cpufreq/scaling_governor"
put 0 "$cpus/cpu0/cpuidle/state1/disable"
looks 0 'note  power|after 133 us|cpupower idle-set'
put hpet "$root/sys/devices/system/clocksource/clocksource0/current_clocksource"
looks 0 'note  clocksource hpet|clocksource=tsc|!leases'
looks 1 "BAD   leases      lease_ms: this machine's clock source is 'hpet'|Set lease_ms = 0" cluster.lease_ms=100
put kvm-clock "$root/sys/devices/system/clocksource/clocksource0/current_clocksource"
looks 1 "ok    clocksource kvm-clock|BAD   leases      lease_ms: this machine's clock source is 'kvm-clock'" cluster.lease_ms=100
put tsc "$root/sys/devices/system/clocksource/clocksource0/current_clocksource"
looks 0 'ok    leases' cluster.lease_ms=100 cluster.max_drift_ppm=100000

# Keys
openssl rand -hex 32 >a.key
openssl rand -hex 32 >b.key
chmod 600 a.key b.key
keys="cluster.auth=gmac cluster.key_file=a.key" # two words
looks 0 'ok    keys' $keys
looks 0 "note  keys        none.key is not there yet|'decree format --new-keys' makes it" $keys cluster.client_key_file=none.key
looks 0 'note  keys        two keys are live: key_file_also|remove the line' $keys cluster.key_file_also=b.key
cp a.key c.key
looks 1 'BAD   keys        c.key has the same key as a.key' $keys cluster.key_file_also=c.key
chmod 640 a.key
looks 1 'BAD   keys        a.key: others may read this key (mode 640): chmod 600 a.key' $keys
chmod 600 a.key

# Addresses
python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(60)' >taken &
holder=$!
until [ -s taken ]; do sleep 0.01; done
looks 1 "BAD   listen      [queue] listen = 127.0.0.1:$(cat taken): Address already in use|ss -ltnp" "queue.listen=127.0.0.1:$(cat taken)"
looks 1 "BAD   listen      [metrics] listen = 127.0.0.1:$(cat taken)" "metrics.listen=127.0.0.1:$(cat taken)"
looks 1 'BAD   listen      [metrics] listen = 192.0.2.1:9464|ip address' metrics.listen=192.0.2.1:9464
kill $holder

# Memory
put 3 "$root/sys/kernel/mm/$pages/free_hugepages"
looks 1 'BAD   hugepages   3 of|decree-hugepages reserve 320M'
looks 1 'note  hugepages|!BAD   hugepages' local.port=net_af_packet0,iface=lo
looks 1 'ok    hugepages   not wanted' local.hugepages=no local.port=net_af_packet0,iface=lo

# The NIC, far from its CPUs or its memory
mv "$root/sys/devices/system/node/node1/cpu0" "$root/sys/devices/system/node/node0/"
looks 1 "BAD   numa|CPU 0 of 'cpus' is not|Name some of 0-1"
mv "$root/sys/devices/system/node/node0/cpu0" "$root/sys/devices/system/node/node1/"
put 0 "$root/sys/devices/system/node/node1/$pages/free_hugepages"
looks 1 'BAD   numa|0 huge pages are free|decree-hugepages reserve 320M 1'
put 160 "$root/sys/devices/system/node/node1/$pages/free_hugepages"
put 160 "$root/sys/kernel/mm/$pages/free_hugepages"

# DPDK's driver for it: one of several of an object, by device or by subsystem.
put 0x8086 "$nic/vendor" && put 0x1592 "$nic/device" && put 0x1849 "$nic/subsystem_vendor" && put 0x0002 "$nic/subsystem_device"
pmds=$root/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0

# object TEXT: what a driver says of itself.
object() {
	printf 'ELF\0PMD_INFO_STRING= {"name": "net_other", "pci_ids": []}\0%s\0rest' "$1" >"$pmds/librte_net_ice.so.23"
}

missing='BAD   port        0000:3b:00.0 is bound to vfio-pci, but no driver of DPDK|apt install librte-meta-net'
looks 1 "$missing"
object 'PMD_INFO_STRING= {"name": "net_ice", "pci_ids": [[32902, 5521, 65535, 65535], [32902, 5522, 65535, 65535]]}'
looks 0 'ok    port        0000:3b:00.0 is bound to vfio-pci|!BAD'
mv "$pmds/librte_net_ice.so.23" "$pmds/librte_crypto_ice.so.23"
looks 1 "$missing"
rm "$pmds/librte_crypto_ice.so.23"
object 'PMD_INFO_STRING= {"name": "net_ice", "pci_ids": [[32902, 5521, 65535, 65535]]}'
looks 1 "$missing"
object 'PMD_INFO_STRING= {"name": "net_ice", "pci_ids": [[32902, 5522, 6217, 3]]}'
looks 1 "$missing"
object 'PMD_INFO_STRING= {"name": "net_ice", "pci_ids": [[32902, 5522, 6217, 2]]}'
looks 0 'ok    port|!BAD'
printf 'PMD_INFO_STRING= {"name": "net_ice", "pci_ids": [[32902, 5522, 65535, 65535]' >"$pmds/librte_net_ice.so.23" # cut off
looks 1 "$missing"
# Those that are installed here.
if [ -e /usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0/librte_net_virtio.so.23 ]; then
	rm "$pmds/librte_net_ice.so.23" && rmdir "$pmds" && ln -s /usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0 "$pmds"
	looks_like() { put "0x$1" "$nic/vendor" && put "0x$2" "$nic/device"; }
	looks_like 1af4 1041
	looks 0 'ok    port|!BAD'
	looks_like 1af4 ffee
	looks 1 "$missing"
	rm "$pmds"
else
	rm -r "$pmds"
fi
looks 0 'note  dpdk|ok    port|!BAD' # who knows where it is
put 3 "$root/sys/kernel/mm/$pages/free_hugepages"
put 0 "$root/sys/devices/system/node/node1/$pages/free_hugepages"

bound_to ice
looks 1 'BAD   port        0000:3b:00.0 is bound to ice|decree-bind-nic 0000:3b:00.0'
rm "$nic/driver"
looks 1 'is bound to no driver|decree-bind-nic 0000:3b:00.0'
bound_to vfio-pci && rm -r "$nic/iommu_group"
looks 1 'behind no IOMMU|intel_iommu=on|uio_pci_generic'
looks 1 'no such PCI device|decree-bind-nic' local.port=0000:99:00.0
rm -r "$root/sys/kernel/iommu_groups"
looks 1 'note  iommu|VT-d or AMD-Vi'
put down "$root/sys/class/net/eth7/operstate"
looks 0 'ok    port        net_tap0,iface=eth9 is a software port|!eth9: there is no interface' local.port=net_tap0,iface=eth9
looks 1 'BAD   port        net_af_packet0,iface=eth9: there is no interface eth9' local.port=net_af_packet0,iface=eth9
looks 1 'interface eth7 is down|ip link set eth7 up' local.port=net_af_packet0,iface=eth7

# Somebody who may less than the unit's node: what he cannot look at is no fault of the host's, and the remedy is not the unit's.
local=(local.port=net_af_packet0,iface=lo local.data_dir=his/data)
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 .
	install -d -o 65534 his
	apart=(unshare --net sh -c 'ip link set lo up && exec "$@"' sh)
	expect 0 "note  port        net_af_packet0,iface=lo: interface lo is there, and opening it takes CAP_NET_RAW|decreed@.service gives it|note  network     not looked at, for want of CAP_NET_RAW. To ask the other nodes, run it once more as root|!BAD|!EAL" \
		"${apart[@]}" setpriv --inh-caps=-net_raw --bounding-set=-net_raw "$decree" check -c good.ini "${local[@]}"
	expect 0 "note  memlock     this check may lock 64 KiB only|The units that come with it set no limit|note  network     not looked at|!BAD" \
		"${apart[@]}" prlimit --memlock=65536 setpriv --reuid=65534 --regid=65534 --clear-groups "$decree" check -c good.ini "${local[@]}"
	expect 0 "ok    port        net_af_packet0,iface=lo: interface lo is there|!for want of|!BAD" "${apart[@]}" "$decree" check -c good.ini "${local[@]}"
fi

# The disk
looks 1 'BAD   space|lower log_bytes' local.log_bytes=1048576M
looks 1 'note  disk cache|unknown'

echo "$count cases"
exit $failed
