# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/nic-test, in each case with another NIC:

1. Boot three guests, each a small Debian whose only NIC is on one switch, and make a node of each by the commands of the
   README's section "Deploy", as they stand there.
2. Submit the lines through `decree submit` on this side of the switch, one stream for each group. The last half waits
   until the leader is dead.
3. When a third is acknowledged, kill the guest of group 0's leader. When two thirds are, boot it again; nobody types anything
   there.
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
import time
import traceback

from demo_common import DECREE, NODES, SCRIPTS, Failed, Text, default_text, say, wait_for
from demo_log import Acks, Feeder
from nic_deploy import CONFIG, KEYS, README, Deploy
from nic_guest import Guest

ROOT = SCRIPTS.parent
IN_FLIGHT = 64
LINES_DEFAULT = 2000
DEADLINE_S = 180  # emulation is slow, and other tests may run beside it
CLIENT_ADDRESS = "10.77.0.100/24"
EXIT_NO_RESULT = 3  # a guest, or the cluster in it, did not come to work
UNIT = "decreed@node"


@dataclasses.dataclass
class Case:
    name: str
    device: str  # QEMU's, with its properties
    queues: int = 1  # of the NIC, shards of the node, and groups


CASES = [
    Case("e1000e", "e1000e"),
    Case("vmxnet3", "vmxnet3"),
    Case("virtio", "virtio-net-pci,disable-legacy=on,iommu_platform=on"),
    Case("rss", "virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=on,rss=on,hash=on,vectors=6,rx_queue_size=1024", 2),
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
        self.everywhere(self.boot)
        say("three guests are up")
        deploy = Deploy(self.case.queues)
        self.everywhere(lambda node: self.type(node, deploy.prepare))
        self.everywhere(lambda node: self.configure(node, deploy.node_file(node)))
        first = self.guests[NODES[0]]
        self.type(NODES[0], [deploy.format_first])
        keys = {name: first.run(f"cat {deploy.keys}/{name}") for name in KEYS}
        self.everywhere(lambda node: self.give_keys(node, deploy, keys), NODES[1:])
        self.everywhere(lambda node: self.type(node, [deploy.format_other]), NODES[1:])
        self.everywhere(lambda node: self.type(node, deploy.start))
        self.everywhere(lambda node: self.guests[node].run("sync"))  # a guest that is killed forgets what was not written
        self.make_client(deploy, keys)

    def boot(self, node):
        self.guests[node].start()
        self.guests[node].ask("systemctl is-system-running --wait")

    def type(self, node, commands):
        for line in commands:
            start = time.monotonic()
            output = self.guests[node].run(f"{{ {line}\n}} </dev/null")
            if node == NODES[0]:
                say(f"  node {node} $ {line}   ({time.monotonic() - start:.0f} s)")
            with open(self.folder / f"typed{node}", "a") as file:
                file.write(f"$ {line}\n{output}")

    def configure(self, node, text):
        """What an editor does."""
        guest = self.guests[node]
        guest.write(CONFIG, text)
        guest.write("/etc/default/decreed-node", "DECREED_OPTIONS=--machine=log\n")

    def give_keys(self, node, deploy, keys):
        for name, key in keys.items():
            path = f"{deploy.keys}/{name}"
            self.guests[node].write(path, key)
            self.guests[node].run(f"chown decree: {path} && chmod 600 {path}")

    def make_client(self, deploy, keys):
        path = self.folder / KEYS[1]
        path.touch(mode=0o600)
        path.write_text(keys[KEYS[1]])
        pathlib.Path(self.config).write_text(deploy.client_file(self.folder))

    def frames_by_queue(self, node):
        """Of the NIC, as its driver counts those that it has received."""
        stats = json.loads(self.guests[node].run("telemetry /ethdev/stats,0"))["/ethdev/stats"]
        return stats["q_ipackets"][:self.case.queues]

    def picture(self):
        """What there is to see of it; for failures."""
        lines = [f"node {node}, group {group}: {row['role']}, applied {row['applied']} of {row['chosen']}, peers {row['peers']}"
                 for (node, group), row in self.status().items()]
        for node, guest in self.guests.items():
            if guest.is_there():
                with contextlib.suppress(Failed):
                    lines.append(f"node {node} says:\n{guest.ask(f'journalctl -n 15 --no-pager -o cat -u {UNIT}', 20)[1]}")
        return "\n".join(lines)

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
    cluster.guests[leader].start()
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


def run_story(case, cluster, text, start):
    """@return the case's JSON object"""
    streams = []
    try:
        cluster.up()
        say(f"a cluster of three nodes on {case.name} after {time.monotonic() - start:.0f} s")
        streams = [Stream(cluster, part, group) for group, part in enumerate(split(text, case.queues, cluster.folder))]
        killed = submit_and_kill(cluster, streams)
        wait_for("all nodes had applied the same", cluster.has_converged, 0.5, DEADLINE_S)
        compared = [compare(cluster, stream) for stream in streams]
        result = {"nic": case.name, "lines": text.line_count, "groups": case.queues}
        for key in ("acked", "applied_on_every_node", "lost", "duplicated"):
            result[key] = sum(c[key] for c in compared)
        result |= {"same_order": all(c["same_order"] for c in compared), "killed": killed}
        if case.queues > 1:
            result["frames_by_queue"] = {node: cluster.frames_by_queue(node) for node in NODES}
        return result | {"seconds": round(time.monotonic() - start)}
    finally:
        for stream in streams:
            stream.process.kill()


def run_case(case, image, text, folder):
    """@return the case's JSON object"""
    start = time.monotonic()
    folder.mkdir()
    make_switch(case)
    cluster = Cluster(case, image, folder)
    try:
        return run_story(case, cluster, text, start)
    except Failed as reason:
        raise Failed(f"{case.name}: {reason}\n{cluster.picture()}") from reason
    finally:
        cluster.down()
        remove_switch()


def is_well(result):
    """Nothing is lost or twice there, and where there are several queues each had frames, on every node."""
    return (result["lost"] == 0 and result["duplicated"] == 0 and result["same_order"]
            and result["acked"] == result["lines"]
            and all(count > 0 for frames in result.get("frames_by_queue", {}).values() for count in frames))


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/nic-test")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--file", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, help=argparse.SUPPRESS)  # for what is not kept
    parser.add_argument("--package", type=pathlib.Path)
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--readme", type=pathlib.Path, default=README, help=argparse.SUPPRESS)
    parser.add_argument("--parse", action="store_true", help=argparse.SUPPRESS)  # only find out if this makes sense
    options = parser.parse_args(argv)
    known = {case.name: case for case in CASES}
    names = options.cases or ["e1000e"]
    if names == ["all"]:
        names = list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no case '{name}'; there are {', '.join(known)}, and all")
    for path in filter(None, (options.file, options.package)):
        if not path.is_file():
            parser.error(f"there is no file '{path}'")
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


def print_commands(readme):
    """Those of the README, as a guest gets them; it fails where the README has changed so that they cannot be typed there."""
    deploy = Deploy(1, readme)
    print("\n".join([*deploy.prepare, deploy.format_first, *deploy.start]))
    deploy.client_file("/tmp")
    return 0


def run_cases(options, folder):
    text = Text(options.file or few_lines(folder))
    say("making the guests' image")
    package = [str(options.package)] if options.package else []
    command(str(ROOT / "tests/nic/image"), str(ROOT / "build"), str(folder / "image"), *package)
    results = []
    for case in options.cases:
        results.append(run_case(case, folder / "image", text, folder / case.name))
        print(json.dumps(results[-1]), flush=True)
    return 0 if all(map(is_well, results)) else 1


def main(argv):
    options = parse(argv)
    if options.parse:
        return 0
    try:
        if options.commands:
            return print_commands(options.readme)
        folder = options.keep or options.work
        folder.mkdir(exist_ok=True)
        return run_cases(options, folder)
    except Failed as reason:
        print(f"nic-test: {reason}", file=sys.stderr)
    except Exception:  # whatever it is, it is told
        traceback.print_exc()
        print("nic-test: an error of the test's own, above", file=sys.stderr)
    return EXIT_NO_RESULT


if __name__ == "__main__":
    verdict = main(sys.argv[1:])
    sys.exit(10 + verdict if verdict and "--work" in sys.argv else verdict)
