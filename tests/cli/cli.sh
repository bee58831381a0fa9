#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs and wrong input: each case checks the exit status and what the message names.
#
#   cli.sh DECREE DECREED
set -u

decree=$(realpath "$1")
decreed=$(realpath "$2")
. "$(dirname "$0")/expect.sh"
unset DECREE_CONFIG

# config NAME SED_EXPRESSION: good.ini, changed.
config() {
	sed "$2" good.ini >"$1"
}

cat >good.ini <<'END'
[cluster]
id = c0ffee
key_file = cluster.key
client_key_file = client.key
[node 1]
ip = 127.0.0.1
[node 2]
ip = 127.0.0.2
[node 3]
ip = 127.0.0.3
[local]
node = 1
data_dir = data
log_bytes = 4M
segment_bytes = 1M
port = net_af_packet0,iface=lo
END

# Usage

expect 0 'usage: decree|format|submit|read|status|tasks|log|member|snapshot|transfer|capture|force-recover|wal|check|bench |bench-plot ' "$decree" --help
expect 0 'decree 0.' "$decree" --version
expect 2 'usage: decree' "$decree"
expect 2 "unknown option '--frob'" "$decree" --frob
expect 2 "'frob' is not a command|decree-frob" "$decree" frob
expect 2 "'../frob' is not a command" "$decree" ../frob
for command in format submit status check; do
	expect 0 "usage: decree $command" "$decree" $command --help
	expect 2 "--frob|decree $command --help" "$decree" $command --frob
	expect 2 'none.ini|No such file' "$decree" $command -c none.ini
done
for command in read snapshot transfer capture member force-recover; do
	expect 0 "usage: decree $command" "$decree" $command --help
	expect 2 "--frob|decree $command --help" "$decree" $command --frob
	expect 2 '-c' "$decree" $command -c
done
expect 2 "unknown option '--prewrit': there are" "$decree" format -c good.ini --prewrit # one letter is missing
expect 2 '-c FILE' "$decree" read count
expect 2 '-c FILE' "$decree" force-recover --from data
expect 2 'none.ini|No such file' "$decree" read -c none.ini count
expect 2 'none.ini|No such file' "$decree" snapshot -c none.ini
expect 2 'none.ini|No such file' "$decree" transfer -c none.ini 2
expect 2 'none.ini|No such file' "$decree" member -c none.ini list
expect 2 'none.ini|No such file' "$decree" force-recover -c none.ini --from data
expect 2 'QUERY' "$decree" read -c good.ini
expect 2 "what is 'twice'?" "$decree" read -c good.ini count twice
expect 2 '--consistency eventual|linearizable, lease or stale' "$decree" read -c good.ini --consistency eventual count
expect 2 '--node 0' "$decree" read -c good.ini --node 0 count
expect 2 '--group 64' "$decree" read -c good.ini --group 64 count
expect 2 '--timeout 0' "$decree" read -c good.ini --timeout 0 count
expect 2 "what is 'now'?" "$decree" snapshot -c good.ini now
expect 2 '--timeout soon' "$decree" snapshot -c good.ini --timeout soon
expect 2 '--group -1' "$decree" snapshot -c good.ini --group -1
expect 2 'which node shall lead?' "$decree" transfer -c good.ini
expect 2 'NODE zero' "$decree" transfer -c good.ini zero
expect 2 'NODE 65536' "$decree" transfer -c good.ini 65536
expect 2 'which node? Add --node N' "$decree" capture -c good.ini
expect 2 '--node 0' "$decree" capture -c good.ini --node 0
expect 2 '--seconds 0' "$decree" capture -c good.ini --node 1 --seconds 0
expect 2 '--mib 4097' "$decree" capture -c good.ini --node 1 --mib 4097
expect 2 '--snap 63' "$decree" capture -c good.ini --node 1 --snap 63
expect 2 'add, remove, replace or list?' "$decree" member -c good.ini
expect 2 'add, remove, replace or list?' "$decree" member -c good.ini promote 4
expect 2 "'add' takes 2 words: NODE DISK" "$decree" member -c good.ini add 4
expect 2 "'remove' takes 1 word: NODE" "$decree" member -c good.ini remove
expect 2 "'replace' takes 3 words: OLD NODE DISK" "$decree" member -c good.ini replace 3 5
expect 2 "'list' takes 0 words" "$decree" member -c good.ini list all
expect 2 'NODE 0' "$decree" member -c good.ini remove 0
expect 2 'DISK|16 hexadecimal digits' "$decree" member -c good.ini add 4 5be1
expect 2 'DISK|16 hexadecimal digits' "$decree" member -c good.ini add 4 0000000000000000
expect 2 '--q1 8' "$decree" member -c good.ini --q1 8 remove 3
expect 2 '--from DIR' "$decree" force-recover -c good.ini
expect 2 'name one file' "$decree" backup -c good.ini
expect 2 'name one file' "$decree" backup -c good.ini --check a b
expect 2 "what is 'b'?" "$decree" backup -c good.ini a b
expect 2 'none.ini|No such file' "$decree" backup -c none.ini a
expect 1 'a|No such file' "$decree" backup --check a
expect 2 'which backup?' "$decree" restore -c good.ini
expect 2 '-c FILE' "$decree" restore a
expect 2 'none.ini|No such file' "$decree" restore -c none.ini a
expect 1 'good.ini is no backup' "$decree" restore -c good.ini good.ini
expect 0 'usage: decree log' "$decree" log --help
expect 2 '--frob' "$decree" log --frob
expect 2 'none.ini|No such file' "$decree" log --node 1 -c none.ini
expect 2 '-z' "$decree" log -z
for command in format submit; do
	expect 2 '-c FILE' "$decree" $command
done
expect 2 '-c' "$decree" status -c
expect 2 "what is 'surplus'?" "$decree" status -c good.ini surplus
expect 2 '--node N' "$decree" log -c good.ini
expect 2 '--node x' "$decree" log -c good.ini --node x
expect 2 '--limit 0' "$decree" tasks -c good.ini --limit 0
expect 2 '--interval 9|from 10 to' "$decree" tasks -c good.ini --interval 9
expect 2 '--tube needs a value' "$decree" tasks -c good.ini --tube
expect 2 "what is 'default'?" "$decree" tasks -c good.ini default
expect 2 'none.ini|No such file' "$decree" tasks -c none.ini
expect 2 '--from 0' "$decree" log -c good.ini --node 1 --from 0
expect 2 '--in-flight 0' "$decree" submit -c good.ini --in-flight 0
expect 2 '--in-flight -1' "$decree" submit -c good.ini --in-flight -1
expect 2 'session_window' "$decree" submit -c good.ini --in-flight 5000
expect 0 'usage: decreed' "$decreed" --help
expect 2 '--frob|--sandbox|--version --help' "$decreed" --frob
expect 2 '-c FILE' "$decreed" --machine=log
expect 2 '--machine tetris' "$decreed" -c good.ini --machine=tetris
expect 2 '--ready-fd x' "$decreed" -c good.ini --ready-fd x
expect 2 'none.ini' "$decreed" -c none.ini

# beanstalkd's options: taken, or told what to do instead.

expect 2 "--port and --job-bytes are the queue's|--machine=log" "$decreed" --machine=log -c good.ini -p 11300
expect 2 '--directory is for a queue without a configuration' "$decreed" -c good.ini -b queue
expect 2 '--job-bytes 0' "$decreed" -b queue -z 0
expect 2 '--port 65536' "$decreed" -b queue -p 65536
expect 2 '--user nobody-at-all: there is no such user' "$decreed" -b queue -u nobody-at-all
expect 2 '-f has no effect|-F has no effect|-n has no effect|-s has no effect|-V has no effect|nowhere/queue: cannot make the folder' \
	"$decreed" -f 50 -F -n -V -s 10485760 -b nowhere/queue
expect 2 'groups = 2|--machine=log' "$decreed" -c good.ini cluster.groups=2
expect 2 'job_bytes = 4000000|command_bytes_max = 131072' "$decreed" -c good.ini -z 4000000
[ ! -e queue ] || { echo "FAILED: a refused command line left a folder behind" && failed=1; }
mkdir -p other/shard-0
expect 2 'other/shard-0|-c FILE' "$decreed" -b other
[ ! -e other/decree.ini ] || { echo "FAILED: another node's folder was written to" && failed=1; }
rm -r other

# Every command: what it says about a line that is no good, and how.

for command in format submit read status tasks log member snapshot transfer capture upgrade backup restore force-recover check; do
	expect 0 "usage: decree $command|-c, --config FILE" "$decree" $command -h
	expect 0 "usage: decree $command|-c, --config FILE" "$decree" $command --frob --help
	expect 2 "unknown option '--frob=1': there are --config| --help; see 'decree $command --help'" \
		"$decree" $command --frob=1
	expect 2 "unknown option '-z': there are --config" "$decree" $command -z
	expect 2 '--config needs a value: --config FILE' "$decree" $command --config
	expect 2 '-c needs a value: -c FILE' "$decree" $command -c
	expect 2 "decree $command: what is '" "$decree" $command -c good.ini a b c d e
done
expect 2 "what is 'mtu=9000'? A setting is section.key=value" "$decree" status -c good.ini mtu=9000
expect 2 "unknown option '--frob'|--ready-fd" "$decreed" --frob
expect 2 '--ready-fd 4096|from 0 to 1023' "$decreed" -c good.ini --ready-fd 4096
expect 0 'decreed 0.' "$decreed" --version
expect 0 'decreed 0.' "$decreed" -v # as beanstalkd has it
expect 2 "unknown option '-v'" "$decree" status -v
expect 2 '--json takes no value' "$decree" status -c good.ini --json=1
expect 2 "unknown option '--from': there are" "$decree" status -c good.ini --from
expect 2 "unknown option '--q': there are|--q1 --q2" "$decree" member -c good.ini --q 2 list
expect 2 '--node 65536|from 1 to 65535' "$decree" log -c good.ini --node 65536
expect 2 '--timeout 99999999999999999999|from 1 to' "$decree" status -c good.ini --timeout 99999999999999999999
expect 0 'from this slot on (1)' "$decree" log --from 7 --help


# What somebody gives who sees the programs for the first time.

expect 0 'usage: decree log|--node' "$decree" help log
expect 0 'usage: decree COMMAND' "$decree" help
expect 2 "'frob' is not a command" "$decree" help frob
expect 2 "unknown option '-c': the command comes first" "$decree" -c good.ini status
for command in format submit status log snapshot check force-recover; do
	expect 2 '--config is empty: --config FILE' "$decree" $command -c ''
	expect 2 'good.ini' "$decree" $command ./good.ini ./good.ini
done
expect 2 "what is 'good.ini'? A configuration is given as -c FILE" "$decree" status good.ini
expect 2 "what is 'good.ini'? A configuration is given as -c FILE" "$decreed" good.ini
expect 2 '--ready-fd 77: no descriptor of this number is open' "$decreed" -c good.ini --ready-fd 77
expect 2 'DISK zzz: expected 16 hexadecimal digits' "$decree" member -c good.ini add 4 zzz
expect 2 ".: cannot read the configuration: Is a directory" "$decree" status -c .
expect 2 'nowhere/x.ini: cannot read the configuration' "$decreed" -c nowhere/x.ini
expect 1 '.: Is a directory' "$decree" submit -c good.ini .

# A program beside this one, or in PATH, is a command too.
mkdir bin
printf '#!/bin/sh\necho "hello $*"\nexit 7\n' >bin/decree-hello
chmod +x bin/decree-hello
PATH=$work/bin:$PATH expect 7 'hello a b' "$decree" hello a b

# The configuration

config bad.ini 's/^id/idd/'
expect 2 "bad.ini:2:|'idd'|did you mean 'id'" "$decree" format -c bad.ini
config bad.ini 's/\[node 3\]/[node 2]/'
expect 2 'bad.ini:9:|node 2 is described twice|line 7' "$decree" format -c bad.ini
config bad.ini 's/^node = 1/node = 4/'
expect 2 'node = 4|no [node 4]' "$decree" format -c bad.ini
config bad.ini 's/127.0.0.3/127.0.0.300/'
expect 2 'bad.ini:10:|127.0.0.300|IPv4' "$decree" format -c bad.ini
config bad.ini "1s/.*/&\nname = $(printf '%0250d' 0)/"
expect 2 'bad.ini:2:|at most 199' "$decree" format -c bad.ini
config bad.ini 's/^port.*/link = 9 net_memif0/'
expect 2 'link = 9|no [node 9]' "$decreed" -c bad.ini
expect 2 "setting 'local.frob=1'|'frob'" "$decree" format -c good.ini local.frob=1
expect 2 "cluster.mtu=9|1500 to 9000" "$decree" format -c good.ini cluster.mtu=9

# Keys and data directories

expect 2 'cluster.key|--new-keys' "$decree" format -c good.ini
[ ! -e data ] || { echo "FAILED: a failed format left something behind" && failed=1; }
expect 2 'missing/data|parent' "$decree" format -c good.ini --new-keys local.data_dir=missing/data
expect 2 'nowhere/key: cannot create the key file|make its folder first' \
	"$decree" format -c good.ini --new-keys cluster.key_file=nowhere/key
[ ! -e cluster.key ] || { echo "FAILED: a failed format left a key behind" && failed=1; }
expect 2 'good.ini is not a directory|data_dir' "$decree" format -c good.ini --new-keys local.data_dir=good.ini
[ ! -e cluster.key ] || { echo "FAILED: a failed format left a key behind" && failed=1; }
expect 1 'no folder nowhere/. Make it: mkdir -p nowhere/' "$decree" check -c good.ini local.data_dir=nowhere/data
expect 2 'cluster.key: cannot read the key|decree format --new-keys' "$decreed" --machine=log -c good.ini
expect 0 'node 1 of cluster c0ffee' "$decree" format -c good.ini --new-keys
[ "$(stat -c %a cluster.key client.key data)" = $'600\n600\n700' ] ||
	{ echo "FAILED: modes of keys and data" && failed=1; }
expect 1 'data: already formatted' "$decree" format -c good.ini
expect 0 'node 1 of cluster c0ffee' "$decree" format -c good.ini --prewrite local.data_dir=whole
expect 0 '"prewritten_bytes":4194304' "$decree" wal --json verify whole
expect 0 '"prewritten_bytes":0' "$decree" wal --json verify data
expect 1 'cluster.key: exists already' "$decree" format -c good.ini --new-keys local.data_dir=other
[ ! -e other ] || { echo "FAILED: a failed format left something behind" && failed=1; }
expect 2 'belongs to node 1|node = 2' "$decreed" --machine=log -c good.ini local.node=2
expect 2 'belongs to cluster c0ffee|id = bad' "$decreed" --machine=log -c good.ini cluster.id=bad
expect 2 'slot_bytes = 1328' "$decreed" --machine=log -c good.ini cluster.slot_bytes=1000
chmod 640 cluster.key
expect 2 'cluster.key|chmod 600' "$decreed" --machine=log -c good.ini
chmod 600 cluster.key
chmod 644 client.key
expect 2 'client.key|chmod 600' "$decree" status -c good.ini
chmod 600 client.key
cp client.key saved.key
echo 00 >client.key
expect 2 'client.key|64 hexadecimal digits' "$decree" status -c good.ini
mv saved.key client.key

# Lines and nodes

printf 'short\n%0140000d\n' 0 >long
expect 1 'long: line 2|131072|nothing was submitted' "$decree" submit -c good.ini long
expect 1 'no-such-file: No such file' "$decree" submit -c good.ini no-such-file
expect 1 '--acks nowhere/acks: No such file' "$decree" submit -c good.ini --acks nowhere/acks good.ini
expect 2 'there is no group 5, only 0 to 0' "$decree" submit -c good.ini --group 5 good.ini
expect 0 '"commands":0|"acked":0' "$decree" submit -c good.ini --json
expect 1 'node 1|node 2|node 3|no answer' "$decree" status -c good.ini --timeout 20
expect 1 'no node 9' "$decree" log -c good.ini --node 9
expect 1 'there is no interface nosuch0' "$decree" check -c good.ini local.port=net_af_packet0,iface=nosuch0

for command in 'read count' tasks 'tasks --json --jobs' snapshot 'transfer 2' 'member list'; do
	# shellcheck disable=SC2086
	set -- $command
	chmod 644 client.key
	expect 2 'client.key|chmod 600' "$decree" "$1" -c good.ini "${@:2}"
	chmod 600 client.key
	expect 1 'node' "$decree" "$1" -c good.ini --timeout 50 "${@:2}"
done
expect 1 'no node 9' "$decree" read -c good.ini --node 9 count
expect 1 'no node 9' "$decree" tasks -c good.ini --node 9
expect 1 'no node 9' "$decree" capture -c good.ini --node 9

# A cluster that is lost

config new.ini 's/c0ffee/decade/; s/^data_dir = .*/data_dir = new/; s/^\(ip = .*[23]\)$/\1\njoins = yes/'
expect 1 'new id' "$decree" force-recover -c new.ini --from data cluster.id=c0ffee
expect 1 'joins = yes' "$decree" force-recover -c new.ini --from data node.3.joins=no
expect 1 'nowhere' "$decree" force-recover -c new.ini --from nowhere
expect 1 'never was a member' "$decree" force-recover -c new.ini --from data
expect 1 'never was a member' "$decree" force-recover -c new.ini --from data --accept-loss
[ ! -e new ] && [ ! -e new.new ] || { echo "FAILED: a failed force-recover left something behind" && failed=1; }

echo "$count cases"
exit $failed
