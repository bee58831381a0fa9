# SPDX-License-Identifier: Apache-2.0
"""What the stories of scripts/demo share: the text, the cluster, the report."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time

SCRIPTS = pathlib.Path(__file__).resolve().parent
CLUSTER = str(SCRIPTS / "cluster")
DECREE = str(SCRIPTS.parent / "build/apps/decree")
NODES = (1, 2, 3)
TRANSPORT = "af_packet"
DEADLINE_S = 60  # for anything that should take a second
LINES_DEFAULT = 100_000
MIB = 1 << 20
CLEAR = "\r\x1b[K" if sys.stderr.isatty() else ""  # takes the bar away


def say(text):
    print(f"{CLEAR}{text}", file=sys.stderr, flush=True)


class Failed(Exception):
    """Something that the user should read as one sentence."""


drawn = (0.0, 0)  # when, and how many


def bar(count, total, what="lines"):
    """How far it is: a bar on a terminal, ten times a second; elsewhere a line every five seconds."""
    global drawn
    now = time.monotonic()
    is_terminal = sys.stderr.isatty()
    if count == drawn[1] or now - drawn[0] < (0.1 if is_terminal else 5) and not (is_terminal and count == total):
        return
    drawn = (now, count)
    if is_terminal:
        done = min(40 * count // total, 40)
        print(f"\r[{'=' * done:40}] {count} of {total} {what}", end="\n" if count >= total else "", file=sys.stderr,
              flush=True)
    else:
        say(f"  {count} of {total} {what}")


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

    def kill(self, node):
        """kill -9; returns when, in nanoseconds of the monotonic clock."""
        now_ns = time.monotonic_ns()
        self.run("kill", node)
        return now_ns

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


def converged(cluster):
    """All nodes answer, agree, and nothing is on its way."""
    rows = cluster.status()
    return (len(rows) == len(NODES)
            and len({(row["applied"], row["digest"]) for row in rows.values()}) == 1
            and all(row["applied"] == row["chosen"] for row in rows.values()))


def busy_s(seconds, failover_s):
    """The pause after the kill is reported as what it is, not mixed into the throughput; unless a file is
    so short that hardly anything else happened."""
    return seconds - failover_s if seconds > 2 * failover_s else max(seconds, 1e-6)


def print_report(summary, detail):
    width = max(map(len, detail))
    for name, value in detail.items():
        print(f"  {name:{width}}  {value}")
    print(json.dumps(summary), flush=True)
