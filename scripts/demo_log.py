# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/demo --machine log.

1. Start three nodes in namespaces of their own (scripts/cluster).
2. Submit every line through `decree submit` on the client's host. The last half of the lines waits until
   the leader is dead, so that even a file of three lines sees its leader killed half way.
3. When a third is acknowledged, kill -9 the leader. When two thirds are, start it again.
4. Wait until all three nodes have applied the same slots, take their logs, and compare them with the
   acknowledgements (scripts/compare).
"""
import contextlib
import json
import subprocess
import threading
import time

from demo_common import (DECREE, NODES, SCRIPTS, TRANSPORT, MIB, Failed, bar, busy_s, converged, say,
                         wait_for)

IN_FLIGHT = 256
COMMAND_BYTES_LIMIT = 4 << 20  # the most that [cluster] command_bytes_max takes


def cluster_arguments(text):
    """What the cluster must be set to so that every line is a command and all fit the log."""
    if text.longest > COMMAND_BYTES_LIMIT:
        raise Failed(f"{text.path} has a line of {text.longest} bytes; a command has at most "
                     f"{COMMAND_BYTES_LIMIT}")
    # A slot takes whole sectors in the log, and at worst one write holds one command.
    log_bytes = 2 * text.bytes + 1024 * text.line_count
    log_mib = max(256, -(-log_bytes // (64 * MIB)) * 64)
    arguments = ["--machine", "log", "--log-bytes", log_mib * MIB]
    if text.longest > 64 << 10:
        arguments += ["--set", f"cluster.command_bytes_max={text.longest}"]
    return arguments


# ------------------------------------------------------------------------------------ the run


class Feeder(threading.Thread):
    """Writes the lines to `decree submit`; the second half only after open_gate()."""

    def __init__(self, text, pipe):
        super().__init__(daemon=True)
        self.text = text
        self.pipe = pipe
        self.gate = threading.Event()

    def run(self):
        with contextlib.suppress(BrokenPipeError), self.pipe, open(self.text.path, "rb") as file:
            for number, line in enumerate(file):
                if number == self.text.line_count // 2:
                    self.pipe.flush()
                    self.gate.wait()
                self.pipe.write(line)


class Acks:
    """The growing file of acknowledgements: how many, and when the last one came."""

    def __init__(self, path, total):
        self.path = path
        self.total = total
        self.file = None
        self.count = 0
        self.seen_at = time.monotonic()
        self.gap_s = 0.0  # the longest time without one since start_gap()

    def poll(self):
        if self.file is None:
            with contextlib.suppress(OSError):
                self.file = open(self.path, "rb")
        news = self.file.read().count(b"\n") if self.file else 0
        if news:
            now = time.monotonic()
            self.gap_s = max(self.gap_s, now - self.seen_at)
            self.count += news
            self.seen_at = now
            bar(self.count, self.total)
        return self.count

    def start_gap(self):
        self.gap_s = 0.0


def run(text, cluster, folder):
    """Steps 2 to 4; returns what print_report() wants to know."""
    acks = Acks(folder / "acks", text.line_count)
    result_path = folder / "result"
    with open(result_path, "wb") as result:
        submit = cluster.start(DECREE, "submit", "-c", cluster.config, "--in-flight", IN_FLIGHT,
                               "--json", "--acks", acks.path,
                               stdin=subprocess.PIPE, stdout=result)
    try:
        killed, failover_s = submit_and_kill(text, cluster, submit, acks)
    finally:
        if submit.poll() is None:
            submit.kill()
            submit.wait()
    result = json.loads(result_path.read_text().splitlines()[-1])

    say("waiting until all three nodes have applied everything")
    wait_for("all nodes applied the same", lambda: has_converged(cluster, acks.poll()))
    for node in NODES:
        cluster.log(node, folder / f"log{node}")
    compared = subprocess.run(
        [str(SCRIPTS / "compare"), str(acks.path), *(str(folder / f"log{n}") for n in NODES)],
        stdout=subprocess.PIPE, text=True)
    if not compared.stdout:
        raise Failed("the logs could not be compared")
    return result | json.loads(compared.stdout) | {"killed": killed, "failover_s": failover_s}


def submit_and_kill(text, cluster, submit, acks):
    feeder = Feeder(text, submit.stdin)
    feeder.start()
    third = text.line_count // 3
    two_thirds = 2 * text.line_count // 3

    def reached(count):
        if submit.poll() not in (None, 0):
            raise Failed("decree submit failed; what it said is above")
        return acks.poll() >= count or submit.poll() is not None

    # Asked before, because a fast cluster is far beyond a third by the time that it has answered.
    leader = wait_for("there was a leader", cluster.leader)
    wait_for("a third was acknowledged", lambda: reached(third), 0.0005, 3600)
    acks.poll()
    acks.start_gap()
    cluster.run("kill", leader)
    feeder.gate.set()
    before = acks.poll()
    wait_for("there was a new leader", lambda: reached(before + 1), 0.0005)
    say(f"killed node {leader}, the leader, after {before} lines")
    wait_for("two thirds were acknowledged", lambda: reached(two_thirds), 0.0005, 3600)
    failover_s = acks.gap_s
    cluster.run("start", leader)
    say(f"started node {leader} again after {acks.poll()} lines")
    wait_for("every line was acknowledged", lambda: submit.poll() is not None and acks.poll() >= 0,
             0.005, 3600)
    if submit.returncode != 0:
        raise Failed("decree submit failed; what it said is above")
    return leader, failover_s


def has_converged(cluster, acked):
    return converged(cluster) and all(row["applied_count"] >= acked for row in cluster.status().values())


def report(text, result, row):
    """The JSON object, and the same for people."""
    failover_s = result["failover_s"]
    summary = {
        "commands": text.line_count,
        "acked": result["acked"],
        "applied_on_every_node": result["applied_on_every_node"],
        "lost": result["lost"],
        "duplicated": result["duplicated"],
        "same_order": result["same_order"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "commits_per_s": round(result["acked"] / busy_s(result["seconds"], failover_s)),
        "failover_ms": round(failover_s * 1000, 1),
        "machine": "log",
        "mode": row["log_mode"],
        "transport": TRANSPORT,
        "auth": row["auth"],
        "in_flight": IN_FLIGHT,
        "nodes": len(NODES),
    }
    return summary, {
        "lines submitted": summary["commands"],
        "acknowledged": summary["acked"],
        "applied on every node": summary["applied_on_every_node"],
        "lost, duplicated": f'{summary["lost"]}, {summary["duplicated"]}',
        "latency": f'p50 {summary["p50_us"]} us, p99 {summary["p99_us"]} us, '
                   f"{IN_FLIGHT} in flight, all lines",
        "throughput": f'{summary["commits_per_s"]} commits/s, not counting the failover',
        "failover": f'{summary["failover_ms"]} ms without a commit after kill -9 of node {result["killed"]}',
        "log mode": summary["mode"],
        "transport": summary["transport"],
        "authentication": summary["auth"],
    }


def is_well(text, summary):
    return (summary["lost"] == 0 and summary["duplicated"] == 0 and summary["same_order"]
            and summary["acked"] == text.line_count)
