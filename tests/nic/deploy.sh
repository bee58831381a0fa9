#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The README's section "Deploy" can be typed in the guests of scripts/nic-test, which refuses what it does not know before it builds
# anything. No guest is booted here.
#
#   deploy.sh SOURCE
set -u

source=$(realpath "$1")
. "$(dirname "$0")/../cli/expect.sh"
nic_test=$source/scripts/nic-test

words='apt install ./decree_|decree-hugepages reserve|decree-bind-nic 0000:00:08.0|decree format|--new-keys|decree check'
expect 0 "$words|systemctl enable --now decreed@node|!sudo" "$nic_test" --commands
expect 2 "there is no case 'nosuch'|e1000e, vmxnet3, virtio, rss, and all|!building|!installing" "$nic_test" nosuch
expect 2 "there is no file 'nowhere'|!building|!installing" "$nic_test" --file nowhere

expect 2 "there is no file 'nowhere.deb'|!building" "$nic_test" --package nowhere.deb rss

# readme EDIT STATUS WORDS: an edited section is noticed.
readme() {
	sed "$1" "$source/README.md" >README.md
	expect "$2" "$3" "$nic_test" --commands --readme README.md
}

readme '' 0 'decree check'
readme 's/^\$ sudo decree-hugepages.*/&\n$ sudo true/' 3 '7 commands are more than 6'
readme 's/^\$ sudo runuser.*decree format.*//' 3 "exactly one command has to be 'decree format'"
readme 's/^\(\$ .*\) --new-keys/\1/' 3 "' --new-keys' was expected"
readme 's/^\(\$ .*bind-nic\) 0000.*/\1 NIC/' 3 "'0000:3b:00.0' was expected"
readme 's/^ip = 10.0.0/ip = 10.1.0/' 3 "'10.0.0.' was expected"
readme 's/^## Deploy/## Elsewhere/' 3 "no section 'Deploy'"

echo "$count cases"
exit $failed
