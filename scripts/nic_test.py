# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/nic-test, in each case with another NIC:

1. Boot three guests whose only NIC is on one switch, and make each of them a node.
2. Submit the lines through `decree submit` on this side of the switch, one stream for each group. The last half waits
   until the leader is dead.
3. When a third is acknowledged, kill the guest of group 0's leader. When two thirds are, boot it again.
4. Wait until all three nodes have applied the same slots, take their logs, and compare them with the
   acknowledgements (scripts/compare).

Runs as the first process of network, mount and process namespaces of its own.
"""
import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from demo_common import DECREE, NODES, SCRIPTS, Failed, Text, default_text, say, wait_for
from demo_log import Acks, Feeder
from nic_guest import NIC_ADDRESS, Guest

ROOT = SCRIPTS.parent
IN_FLIGHT = 64
LINES_DEFAULT = 2000
DEADLINE_S = 180  # emulation is slow, and other tests may run beside it
CLIENT_ADDRESS = "10.77.0.100/24"
EXIT_NO_RESULT = 3  # a guest, or the cluster in it, did not come to work
CONFIG = "/etc/decree/decree.conf"
RESERVE = "decree-hugepages reserve 320M"


@dataclasses.dataclass
class Case:
    name: str
    device: str  # QEMU's, with its properties
    queues: int = 1  # of the NIC, shards of the node, and groups


CASES = [
    Case("e1000e", "e1000e"),
    Case("vmxnet3", "vmxnet3"),
    Case("virtio", "virtio-net-pci,disable-legacy=on,iommu_platform=on"),
    Case("rss", "virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=on,rss=on,hash=on,vectors=6", 2),
]


# ------------------------------------------------------------------------------------ the cluster


def command(*arguments):
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(arguments)}: {done.stdout.strip()}")


def make_switch(case):
    """A bridge with a tap for each guest; the client's address is the bridge's own."""
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    with contextlib.suppress(OSError):  # no IPv6 chatter, which a node would count as foreign frames
        pathlib.Path("/proc/sys/net/ipv6/conf/br0/disable_ipv6").write_text("1")
    command("ip", "address", "add", CLIENT_ADDRESS, "dev", "br0")
    command("ip", "link", "set", "br0", "up")
    for node in NODES:
        many = ["multi_queue"] if case.queues > 1 else []
        command("ip", "tuntap", "add", f"tap{node}", "mode", "tap", *many)
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/sys/net/ipv6/conf/tap{node}/disable_ipv6").write_text("1")
        command("ip", "link", "set", f"tap{node}", "master", "br0", "up")


def remove_switch():
    for name in ("br0", *(f"tap{node}" for node in NODES)):
        subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)


def cluster_section(case, folder):
    """What all nodes and the client agree on; the keys' files are in the folder."""
    lines = ["[cluster]", "id = 5a1f0c77d2e94b31", f"key_file = {folder}/cluster.key",
             f"client_key_file = {folder}/client.key", f"shards = {case.queues}"]
    for node in NODES:
        lines += ["", f"[node {node}]", f"ip = 10.77.0.{node}"]
    return "\n".join(lines) + "\n"


def node_section(node):
    return (f"\n[local]\nnode = {node}\ndata_dir = /var/lib/decree\nport = {NIC_ADDRESS}\nidle = sleep\n"
            "log_bytes = 64M\nsegment_bytes = 16M\n")


class Cluster:
    def __init__(self, case, image, folder):
        self.case = case
        self.folder = folder
        self.config = str(folder / "client.ini")
        self.guests = {node: Guest(node, case, image, folder / f"node{node}") for node in NODES}

    def everywhere(self, work, nodes=NODES):
        """Call work(node) for all of them at once; raises what the first of them raised."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return dict(zip(nodes, pool.map(work, nodes)))

    def up(self):
        self.everywhere(lambda node: self.guests[node].start())
        say("three guests are up")
        self.everywhere(self.prepare_host)
        self.format()
        self.everywhere(self.start_daemon)
        wait_for("every node took part", lambda: all(self.everywhere(self.is_ready).values()), 0.5, DEADLINE_S)

    def prepare_host(self, node):
        guest = self.guests[node]
        guest.run("mkdir -p /var/lib/etc")
        guest.run(RESERVE)
        guest.run(f"decree-bind-nic {NIC_ADDRESS}")
        guest.write(CONFIG, cluster_section(self.case, "/etc/decree") + node_section(node))

    def format(self):
        """The first node makes the keys; the others and the client get copies."""
        first = self.guests[NODES[0]]
        first.run(f"decree format -c {CONFIG} --new-keys")
        keys = {name: first.run(f"cat /etc/decree/{name}") for name in ("cluster.key", "client.key")}
        for node in NODES[1:]:
            for name, key in keys.items():
                self.guests[node].write(f"/etc/decree/{name}", key)
                self.guests[node].run(f"chmod 600 /etc/decree/{name}")
            self.guests[node].run(f"decree format -c {CONFIG}")
        self.everywhere(lambda node: self.guests[node].run("sync"))  # a guest that is killed forgets what was not written
        path = self.folder / "client.key"
        path.touch(mode=0o600)
        path.write_text(keys["client.key"])
        pathlib.Path(self.config).write_text(cluster_section(self.case, self.folder))

    def start_daemon(self, node):
        guest = self.guests[node]
        guest.run("rm -f /run/ready")
        guest.run(f"decreed --machine=log -c {CONFIG} --ready-fd 9 9>/run/ready </dev/null >>/var/lib/decreed.log 2>&1 &")

    def is_ready(self, node):
        guest = self.guests[node]
        if guest.ask("[ -s /run/ready ]")[0] == 0:
            return True
        if guest.ask("pidof decreed")[0] != 0:
            raise Failed(f"node {node} has ended: {guest.ask('tail -n 20 /var/lib/decreed.log')[1]}")
        return False

    def restart(self, node):
        """Boot a killed guest; its disk has what it had."""
        guest = self.guests[node]
        guest.start()
        guest.run(RESERVE)
        guest.run("decree-bind-nic again")
        self.start_daemon(node)

    def down(self):
        for guest in self.guests.values():
            guest.kill()

    def status(self):
        """{(node, group): row} of the nodes that answer."""
        done = subprocess.run([DECREE, "status", "-c", self.config, "--json"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {(row["node"], row["group"]): row for row in rows if "role" in row}

    def leader(self):
        """Of group 0, once every group has one."""
        leaders = {group: node for (node, group), row in self.status().items()
                   if row["role"] == "leader" and row["ready"]}
        return leaders[0] if len(leaders) == self.case.queues else None

    def has_converged(self):
        """All nodes answer, agree, and nothing is on its way."""
        rows = self.status()
        return (len(rows) == len(NODES) * self.case.queues
                and all(row["applied"] == row["chosen"] for row in rows.values())
                and all(len({(rows[node, group]["applied"], rows[node, group]["digest"]) for node in NODES}) == 1
                        for group in range(self.case.queues)))


# ------------------------------------------------------------------------------------ the lines


class Stream:
    """One group's lines on their way through `decree submit`."""

    def __init__(self, cluster, text, group):
        self.text = text
        self.group = group
        self.acks = Acks(cluster.folder / f"acks{group}", text.line_count)
        self.process = subprocess.Popen(
            [DECREE, "submit", "-c", cluster.config, "--group", str(group), "--in-flight", str(IN_FLIGHT),
             "--json", "--acks", str(self.acks.path)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.feeder = Feeder(text, self.process.stdin)
        self.feeder.start()

    def is_over(self):
        if self.process.poll() not in (None, 0):
            raise Failed("decree submit failed; what it said is above")
        return self.process.poll() == 0

    def has(self, count):
        return self.acks.poll() >= count or self.is_over()


def split(text, count, folder):
    """The lines dealt out to so many files."""
    if count == 1:
        return [text]
    lines = text.path.read_bytes().splitlines(keepends=True)
    parts = []
    for part in range(count):
        path = folder / f"lines{part}"
        path.write_bytes(b"".join(lines[part::count]))
        parts.append(Text(path))
    return parts


def submit_and_kill(cluster, streams):
    """@return the node whose guest was killed"""
    leader = wait_for("every group had a leader", cluster.leader, 0.5, DEADLINE_S)

    def wait_acked(parts):
        wait_for(f"{parts} thirds were acknowledged",
                 lambda: all(s.has(parts * s.text.line_count // 3) for s in streams), 0.01, DEADLINE_S)

    wait_acked(1)
    cluster.guests[leader].kill()
    before = sum(s.acks.poll() for s in streams)
    say(f"killed the guest of node {leader}, the leader, after {before} lines")
    for stream in streams:
        stream.feeder.gate.set()
    wait_acked(2)
    cluster.restart(leader)
    say(f"booted the guest of node {leader} again after {sum(s.acks.poll() for s in streams)} lines")
    wait_for("every line was acknowledged", lambda: all(s.is_over() for s in streams), 0.05, DEADLINE_S)
    return leader


def compare(cluster, stream):
    """What scripts/compare says of one group."""
    logs = []
    for node in NODES:
        logs.append(str(cluster.folder / f"log{stream.group}.{node}"))
        with open(logs[-1], "wb") as file:
            subprocess.run([DECREE, "log", "-c", cluster.config, "--node", str(node), "--group", str(stream.group), "--json"],
                           stdin=subprocess.DEVNULL, stdout=file, check=True)
    stream.acks.poll()
    done = subprocess.run([str(SCRIPTS / "compare"), str(stream.acks.path), *logs], stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def run_case(case, image, text, folder):
    """@return the case's JSON object"""
    start = time.monotonic()
    folder.mkdir()
    make_switch(case)
    cluster = Cluster(case, image, folder)
    streams = []
    try:
        cluster.up()
        say(f"a cluster of three nodes on {case.name} after {time.monotonic() - start:.0f} s")
        streams = [Stream(cluster, part, group) for group, part in enumerate(split(text, case.queues, folder))]
        killed = submit_and_kill(cluster, streams)
        wait_for("all nodes had applied the same", cluster.has_converged, 0.5, DEADLINE_S)
        compared = [compare(cluster, stream) for stream in streams]
    finally:
        for stream in streams:
            stream.process.kill()
        cluster.down()
        remove_switch()
    total = {key: sum(c[key] for c in compared) for key in ("acked", "applied_on_every_node", "lost", "duplicated")}
    return {"nic": case.name, "lines": text.line_count, "groups": case.queues, **total,
            "same_order": all(c["same_order"] for c in compared), "killed": killed,
            "seconds": round(time.monotonic() - start)}


def is_well(result):
    return (result["lost"] == 0 and result["duplicated"] == 0 and result["same_order"]
            and result["acked"] == result["lines"])


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/nic-test")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--file", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args(argv)
    known = {case.name: case for case in CASES}
    names = options.cases or ["e1000e"]
    if names == ["all"]:
        names = list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no case '{name}'; there are {', '.join(known)}, and all")
    options.cases = [known[name] for name in names]
    return options


def few_lines(folder):
    whole = folder / "whole"
    default_text(whole)
    path = folder / "lines"
    with open(whole, "rb") as file:
        path.write_bytes(b"".join(next(file) for _ in range(LINES_DEFAULT)))
    whole.unlink()
    return path


def main(argv):
    options = parse(argv)
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="decree-nic-", dir="/var/tmp"))
    folder.mkdir(exist_ok=True)
    try:
        text = Text(options.file or few_lines(folder))
        say("making the guests' image")
        command(str(ROOT / "tests/nic/image"), str(ROOT / "build"), str(folder / "image"))
        results = []
        for case in options.cases:
            results.append(run_case(case, folder / "image", text, folder / case.name))
            print(json.dumps(results[-1]), flush=True)
        return 0 if all(map(is_well, results)) else 1
    except Failed as reason:
        print(f"nic-test: {reason}", file=sys.stderr)
        return EXIT_NO_RESULT
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
