# SPDX-License-Identifier: Apache-2.0
"""What a node answers at DPDK's telemetry socket is what it serves at /metrics: the same rows, and the same values of those
that do not move.

    telemetry.py SOCKET ADDRESS:PORT
"""
import json
import re
import socket
import sys

from metrics import Wrong, check, scrape

COMMANDS = {"status", "metrics", "shards", "groups", "peers"}
STILL = ("decree_boot_number", "decree_commands_total", "decree_applied_slot", "decree_role", "decree_elections_total",
         "decree_log_size_bytes", "decree_log_used_bytes", "decree_start_ns", "decree_sessions", "decree_config_epoch",
         "decree_queue_commands_total/command/put", "decree_queue_jobs/state/ready")
OF_WHAT = {"cluster_id", "node", "shard", "group"}


class Telemetry:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.bytes = json.loads(self.socket.recv(1024))["max_output_len"]

    def ask(self, command):
        self.socket.send(command.encode())
        answer = json.loads(self.socket.recv(self.bytes))
        check(list(answer) == [command.partition(",")[0]], f"another answer to {command}: {answer}")
        return next(iter(answer.values()))


def name_of(name, labels):
    """Of a sample of Prometheus', as telemetry calls it; labels in the order of their keys."""
    labels = [] if name == "decree_node_info" else [l for l in labels if l[0] not in OF_WHAT]
    name = re.sub("_seconds$", "_ns", re.sub("_seconds_count$", "_count", name))
    return "/".join([name] + [re.sub("[^A-Za-z0-9_/]", "_", part) for label in sorted(labels) for part in label])


def sorted_labels(name):
    base, *parts = name.split("/")
    pairs = sorted(zip(parts[::2], parts[1::2]))
    return "/".join([base] + [part for pair in pairs for part in pair])


def expected(samples):
    wanted = {}
    for (name, labels), value in samples.items():
        if "peer" in dict(labels) or name.endswith(("_bucket", "_sum")) or value == float("inf"):
            continue
        called = name_of(name, labels)
        wanted[called] = round(value * 1e9) if called.endswith("_ns") else value
    return wanted


def same(telemetry, address):
    """@return what differs"""
    got = {sorted_labels(name): value for name, value in telemetry.ask("/decree/metrics").items()}
    wanted = expected(scrape(address)[0])
    check(got.keys() == wanted.keys(), f"not the same rows: {got.keys() ^ wanted.keys()}")
    check(all(name in wanted for name in STILL), "a row has another name")
    return [f"{name} {got[name]} != {wanted[name]}" for name in STILL if got[name] != wanted[name]]


def parts_fit(telemetry, address):
    """The parts are those of the whole."""
    whole = set(telemetry.ask("/decree/metrics"))
    shard, group = set(telemetry.ask("/decree/shards,0")), set(telemetry.ask("/decree/groups,0"))
    status = telemetry.ask("/decree/status")
    node = {name for name in status if name.startswith("decree_")}
    check(shard | group | node == {n for n in whole if not n.startswith("decree_queue_")}, "parts are missing")
    check(not (shard & group or shard & node or group & node), "a row is in two parts")
    check(status["shards"] == 1 and status["groups"] == 1 and status["log"] == "durable", f"status: {status}")
    check(telemetry.ask("/decree/shards") == [0] and telemetry.ask("/decree/groups") == [0], "lists")
    peers = telemetry.ask("/decree/peers")
    samples, _ = scrape(address)
    wanted = {dict(labels)["peer"]: value for (name, labels), value in samples.items() if name == "decree_peer_up"}
    check({peer: row["decree_peer_up"] for peer, row in peers.items()} == wanted, f"peers: {peers}")
    check(telemetry.ask(f"/decree/peers,0,{status['node']}").keys() == peers.keys(), "peers of this node")


def nonsense(telemetry):
    for parameter in ("1", "x", "-1", "0x", "99999999999999999999", "0,", "0,999", "0,1,1", "0 "):
        for command in ("groups", "shards", "metrics", "peers"):
            check(telemetry.ask(f"/decree/{command},{parameter}") is None, f"{command},{parameter} is answered")


def main():
    host, _, port = sys.argv[2].rpartition(":")
    try:
        telemetry = Telemetry(sys.argv[1])
        offered = set(telemetry.ask("/"))
        check({"/decree/" + name for name in COMMANDS} <= offered, "not all commands are there")
        for name in COMMANDS:
            check(len(telemetry.ask("/help,/decree/" + name)) == 1, f"no help for {name}")
        nonsense(telemetry)
        parts_fit(telemetry, (host, int(port)))
        differ = same(telemetry, (host, int(port)))
        check(not differ, "; ".join(differ))
    except Wrong as wrong:
        sys.exit(f"telemetry.py: {wrong}")


if __name__ == "__main__":
    main()
