#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/demo, which has installed and built everything before.

1. Start three nodes in namespaces of their own (scripts/cluster).
2. Submit every line through `decree submit` on the client's host. The last half of the lines waits until
   the leader is dead, so that even a file of three lines sees its leader killed half way.
3. When a third is acknowledged, kill -9 the leader. When two thirds are, start it again.
4. Wait until all three nodes have applied the same slots, take their logs, and compare them with the
   acknowledgements (scripts/compare).
5. Print the figures, stop everything. Ctrl-C does that too, at any moment. With KEEP=1 in the
   environment the acknowledgements and the three logs stay for a closer look.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SCRIPTS = pathlib.Path(__file__).resolve().parent
CLUSTER = str(SCRIPTS / "cluster")
DECREE = str(SCRIPTS.parent / "build/apps/decree")
NODES = (1, 2, 3)
TRANSPORT = "af_packet"
IN_FLIGHT = 256
DEADLINE_S = 60  # for anything that should take a second
LINES_DEFAULT = 100_000
COMMAND_BYTES_LIMIT = 4 << 20  # the most that [cluster] command_bytes_max takes
MIB = 1 << 20
CLEAR = "\r\x1b[K" if sys.stderr.isatty() else ""  # takes the bar away


def say(text):
    print(text, file=sys.stderr, flush=True)


class Failed(Exception):
    """Something that the user should read as one sentence."""


# ------------------------------------------------------------------------------------ the text


def default_text(path):
    """100,000 different lines out of the licence texts; out of numbers where there are none."""
    source = []
    with contextlib.suppress(OSError):
        for licence in sorted(pathlib.Path("/usr/share/common-licenses").iterdir()):
            source += licence.read_bytes().splitlines()
    source = source or [b"one more line of text"]
    with open(path, "wb") as file:
        for number in range(LINES_DEFAULT):
            file.write(b"%06d %s\n" % (number, source[number % len(source)]))


class Text:
    """A file of lines: any bytes, any length; the last one may lack its newline."""

    def __init__(self, path):
        self.path = path
        self.line_count = 0
        self.bytes = 0
        self.longest = 0
        with open(path, "rb") as file:
            for line in file:
                self.line_count += 1
                self.bytes += len(line)
                self.longest = max(self.longest, len(line.rstrip(b"\n")))
        if self.line_count == 0:
            raise Failed(f"{path} has no lines")
        if self.longest > COMMAND_BYTES_LIMIT:
            raise Failed(f"{path} has a line of {self.longest} bytes; a command has at most "
                         f"{COMMAND_BYTES_LIMIT}")

    def cluster_settings(self):
        """What the cluster must be set to so that every line is a command and all fit the log."""
        settings = []
        if self.longest > 64 << 10:
            settings.append(f"cluster.command_bytes_max={self.longest}")
        # A slot takes whole sectors in the log, and at worst one write holds one command.
        log_bytes = 2 * self.bytes + 1024 * self.line_count
        log_mib = max(256, -(-log_bytes // (64 * MIB)) * 64)
        return settings, log_mib * MIB


# ------------------------------------------------------------------------------------ the cluster


class Cluster:
    def __init__(self, folder):
        self.env = dict(os.environ, DECREE_CLUSTER_DIR=str(folder))
        self.config = str(folder / "client.ini")

    def run(self, *arguments, check=True):
        """Run scripts/cluster; returns what it printed."""
        done = subprocess.run([CLUSTER, *map(str, arguments)], env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if check and done.returncode != 0:
            raise Failed(f"scripts/cluster {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *arguments, **options):
        """Start a command on the client's host."""
        return subprocess.Popen([CLUSTER, "exec", *map(str, arguments)], env=self.env,
                                start_new_session=True, **options)

    def status(self):
        """{node: row} of the nodes that answer."""
        out = self.run("exec", DECREE, "status", "-c", self.config, "--json", check=False)
        rows = [json.loads(line) for line in out.splitlines()]
        return {row["node"]: row for row in rows if "role" in row}

    def leader(self):
        for node, row in self.status().items():
            if row["role"] == "leader" and row["ready"]:
                return node
        return None

    def log(self, node, path):
        with open(path, "wb") as file:
            done = subprocess.run(
                [CLUSTER, "exec", DECREE, "log", "-c", self.config, "--node", str(node), "--json"],
                env=self.env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Failed(f"the log of node {node}: {done.stderr.decode().strip()}")


def wait_for(what, question, poll_s=0.05, deadline_s=DEADLINE_S):
    """Ask until the answer is true; returns it."""
    deadline = time.monotonic() + deadline_s
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {deadline_s} s in vain until {what}")
        time.sleep(poll_s)
    return answer


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
    """The growing file of acknowledgements: how many, and when the last one came. Draws the bar."""

    def __init__(self, path, total):
        self.path = path
        self.total = total
        self.drawn_at = 0.0
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
            self.draw(now)
        return self.count

    def draw(self, now):
        is_last = self.count == self.total
        if now - self.drawn_at < 0.1 and not is_last or not sys.stderr.isatty():
            return
        self.drawn_at = now
        filled = 40 * self.count // self.total
        print(f"\r[{'=' * filled:40}] {self.count} of {self.total} lines", end="\n" if is_last else "",
              file=sys.stderr, flush=True)

    def start_gap(self):
        self.gap_s = 0.0


def run(text, cluster, folder):
    """Steps 2 to 4; returns the report."""
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
    report = json.loads(result_path.read_text().splitlines()[-1])

    say("waiting until all three nodes have applied everything")
    wait_for("all nodes applied the same", lambda: has_converged(cluster, acks.poll()))
    for node in NODES:
        cluster.log(node, folder / f"log{node}")
    compared = subprocess.run(
        [str(SCRIPTS / "compare"), str(acks.path), *(str(folder / f"log{n}") for n in NODES)],
        stdout=subprocess.PIPE, text=True)
    if not compared.stdout:
        raise Failed("the logs could not be compared")
    return report, json.loads(compared.stdout), killed, failover_s


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
    say(f"{CLEAR}killed node {leader}, the leader, after {before} lines")
    wait_for("two thirds were acknowledged", lambda: reached(two_thirds), 0.0005, 3600)
    failover_s = acks.gap_s
    cluster.run("start", leader)
    say(f"{CLEAR}started node {leader} again after {acks.poll()} lines")
    wait_for("every line was acknowledged", lambda: submit.poll() is not None and acks.poll() >= 0,
             0.005, 3600)
    if submit.returncode != 0:
        raise Failed("decree submit failed; what it said is above")
    return leader, failover_s


def has_converged(cluster, acked):
    rows = cluster.status()
    return (len(rows) == len(NODES)
            and len({(row["applied"], row["digest"]) for row in rows.values()}) == 1
            and all(row["applied"] == row["chosen"] for row in rows.values())
            and all(row["applied_count"] >= acked for row in rows.values()))


def busy_s(seconds, failover_s):
    """The pause after the kill is reported as what it is, not mixed into the throughput; unless a file is
    so short that hardly anything else happened."""
    return seconds - failover_s if seconds > 2 * failover_s else max(seconds, 1e-6)


def print_report(summary, detail):
    width = max(map(len, detail))
    for name, value in detail.items():
        print(f"  {name:{width}}  {value}")
    print(json.dumps(summary), flush=True)


def demo(path, folder):
    if path is None:
        path = folder / "text"
        default_text(path)
    text = Text(path)
    settings, log_bytes = text.cluster_settings()
    cluster = Cluster(folder / "cluster")
    say(f"{text.line_count} lines, {text.bytes} bytes; starting three nodes")
    try:
        up = ["up", "-n", len(NODES), "--transport", TRANSPORT, "--log-bytes", log_bytes]
        for setting in settings:
            up += ["--set", setting]
        cluster.run(*up)
        wait_for("there was a leader", cluster.leader)
        report, compared, killed, failover_s = run(text, cluster, folder)
        row = cluster.status()[killed]
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one Ctrl-C is enough; the next one waits
        cluster.run("down", check=False)

    summary = {
        "commands": text.line_count,
        "acked": compared["acked"],
        "applied_on_every_node": compared["applied_on_every_node"],
        "lost": compared["lost"],
        "duplicated": compared["duplicated"],
        "same_order": compared["same_order"],
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
        "commits_per_s": round(report["acked"] / busy_s(report["seconds"], failover_s)),
        "failover_ms": round(failover_s * 1000, 1),
        "mode": row["log_mode"],
        "transport": TRANSPORT,
        "auth": row["auth"],
        "in_flight": IN_FLIGHT,
        "nodes": len(NODES),
    }
    print_report(summary, {
        "lines submitted": summary["commands"],
        "acknowledged": summary["acked"],
        "applied on every node": summary["applied_on_every_node"],
        "lost, duplicated": f'{summary["lost"]}, {summary["duplicated"]}',
        "latency": f'p50 {summary["p50_us"]} us, p99 {summary["p99_us"]} us, '
                   f"{IN_FLIGHT} in flight, all lines",
        "throughput": f'{summary["commits_per_s"]} commits/s, not counting the failover',
        "failover": f'{summary["failover_ms"]} ms without a commit after kill -9 of node {killed}',
        "log mode": summary["mode"],
        "transport": summary["transport"],
        "authentication": summary["auth"],
    })
    return 0 if (compared["lost"] == 0 and compared["duplicated"] == 0 and compared["same_order"]
                 and compared["acked"] == text.line_count) else 1


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # On a disk, and not in /tmp, which may be memory: the logs are to be durable.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="decree-demo-", dir="/var/tmp"))
    try:
        return demo(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None, folder)
    except Failed as failure:
        say(f"demo: {failure}")
        return 1
    except KeyboardInterrupt:
        say("\ndemo: stopped")
        return 130
    finally:
        if os.environ.get("KEEP"):
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
