# SPDX-License-Identifier: Apache-2.0
"""The story of scripts/demo with the task queue.

1. Start a queue of three nodes in namespaces of their own (scripts/cluster).
2. Every line becomes a job: producers put them, workers reserve and delete them, all at once and at all nodes, with a client
   that comes from Debian (scripts/demo_client.php). The last half of the lines waits until the leader is dead.
3. When a third of the lines is acknowledged, kill -9 the leader. When two thirds are, start it again.
4. Wait until the queue is empty, and compare what the producers, the workers and the three nodes say.

A producer whose node dies with an answer puts that line again, so it may become two jobs; and a worker whose node dies loses
its job to another worker. In no other way may a job come to a second one: whoever was handed it, and keeps his connection, is
answered DELETED, since all are done long before the TTR.

Who held a job when is told in the order of the log, and not by clocks: how often it has been reserved, which its holder asks for, is a
fencing token. No two were handed a job under the same one, none under a later one than that under which it was deleted, and whoever
keeps his connection is not told that the job is not his.
"""
import collections
import contextlib
import hashlib
import json
import os
import signal
import subprocess

from demo_common import (DECREE, NODES, SCRIPTS, TRANSPORT, Failed, MIB, bar, busy_s, converged, say,
                         wait_for)

CLIENT_COUNT = 24  # producers, and as many workers
SERVERS = ",".join(f"10.77.1.{node}:11300" for node in NODES)
JOB_BYTES_LIMIT = 4194240  # the most that [queue] job_bytes takes
COMMAND_OVERHEAD = 64      # of a put around its body


def cluster_arguments(text):
    """What the cluster must be set to so that every line is a job and all of them may wait at once."""
    if text.longest > JOB_BYTES_LIMIT:
        raise Failed(f"{text.path} has a line of {text.longest} bytes; a job has at most {JOB_BYTES_LIMIT}")
    arguments = ["--machine", "queue"]
    if text.longest > 65535:
        arguments += ["--set", f"queue.job_bytes={text.longest}"]
    if text.longest + COMMAND_OVERHEAD > 131072:
        arguments += ["--set", f"cluster.command_bytes_max={text.longest + COMMAND_OVERHEAD}"]
    arena = 3 * text.bytes + 512 * text.line_count
    if arena > 1024 * MIB:
        arguments += ["--set", f"queue.bytes={arena}"]
    return arguments


class Events:
    """What the clients have written so far, by kind; each a list of its words."""

    def __init__(self, folder, total):
        self.folder = folder
        self.total = total
        self.files = {}
        self.of = {kind: [] for kind in "PURDLN"}

    def poll(self):
        """How many lines are acknowledged."""
        self.read("produce")
        bar(len(self.of["P"]), self.total, "lines put")
        return len(self.of["P"])

    def poll_done(self):
        """How many jobs are done."""
        self.read("work")
        bar(len(self.of["D"]), self.total, "jobs done")
        return len(self.of["D"])

    def read(self, what):
        """What these clients have written since the last call."""
        for who in range(CLIENT_COUNT):
            path = self.folder / f"{what}.{who}"
            if path not in self.files:
                with contextlib.suppress(OSError):
                    self.files[path] = [open(path, "rb"), b""]
            if path in self.files:
                file, rest = self.files[path]
                *lines, self.files[path][1] = (rest + file.read()).split(b"\n")
                for line in lines:
                    kind, *words = line.decode().split()
                    self.of[kind].append(words)


# ------------------------------------------------------------------------------------ the run


class Clients:
    def __init__(self, cluster, folder, what, *arguments):
        self.what = what
        self.process = cluster.start("php", SCRIPTS / "demo_client.php", what, CLIENT_COUNT, folder, SERVERS,
                                     *arguments, stdin=subprocess.DEVNULL)

    def has_ended(self):
        if self.process.poll() not in (None, 0):
            raise Failed(f"the clients that {self.what} failed; what they said is above")
        return self.process.poll() is not None

    def kill(self):
        """With all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def tasks(cluster, node=None):
    out = cluster.run("exec", DECREE, "tasks", "-c", cluster.config, "--json",
                      *(["--node", node] if node else []), check=False)
    return json.loads(out) if out else None


def is_empty(cluster):
    row = tasks(cluster)
    return row and row["ready"] + row["reserved"] + row["delayed"] + row["buried"] == 0


def put_and_kill(text, cluster, events, producers):
    """Steps 2 and 3. Returns the node that was killed, and between which times that counts."""
    third = text.line_count // 3

    def reached(count):
        return events.poll() >= count or producers.has_ended()

    # Asked before, because a fast cluster is far beyond a third by the time that it has answered.
    leader = wait_for("there was a leader", cluster.leader)
    wait_for("a third was acknowledged", lambda: reached(third), 0.01, 3600)
    killed_ns = cluster.kill(leader)
    (events.folder / "gate").touch()
    before = events.poll()
    wait_for("there was a new leader", lambda: reached(before + CLIENT_COUNT), 0.01)
    say(f"killed node {leader}, the leader, after {before} lines")
    wait_for("two thirds were acknowledged", lambda: reached(2 * third), 0.01, 3600)
    cluster.run("start", leader)
    say(f"started node {leader} again after {events.poll()} lines")
    wait_for("every line was acknowledged", lambda: producers.has_ended() and events.poll() >= 0, 0.01, 3600)
    return leader, killed_ns


def run(text, cluster, folder):
    """Steps 2 to 4; returns the JSON object, the rows to print, and whether all is well."""
    folder = folder / "events"
    folder.mkdir()
    events = Events(folder, text.line_count)
    workers = Clients(cluster, folder, "work")
    producers = Clients(cluster, folder, "produce", text.path, text.line_count // 2)
    try:
        leader, killed_ns = put_and_kill(text, cluster, events, producers)
        say("waiting until every job is done")
        wait_for("every job was done", lambda: events.poll_done() >= 0 and is_empty(cluster), 0.1, 3600)
        (folder / "stop").touch()
        wait_for("the workers had ended", workers.has_ended)
    finally:
        workers.kill()
        producers.kill()
    events.read("work")
    wait_for("all nodes applied the same", lambda: converged(cluster))
    result = compare(text, events, [tasks(cluster, node) for node in NODES])
    result.update(times(events, killed_ns))
    result["killed"] = leader
    return result


# ------------------------------------------------------------------------------------ what came of it


def digests(path):
    with open(path, "rb") as file:
        for line in file:
            yield hashlib.md5(line[:-1] if line.endswith(b"\n") else line).hexdigest()


def two_holders(reserved, deleted, denied):
    """How often a job had two holders in the order of the log. Of (job, token), (job, token) and (job); a token of 0 is not known."""
    seen = collections.Counter(pair for pair in reserved if pair[1] > 0)
    last = {}
    for job, token in seen:
        last[job] = max(token, last.get(job, 0))
    shared = sum(count - 1 for count in seen.values())
    superseded = sum(1 for job, token in deleted if token < last.get(job, 0))
    twice = len(deleted) - len({job for job, _ in deleted})
    return shared + superseded + twice + len(denied)


def compare(text, events, nodes):
    """What the clients know, against each other, the file and the nodes."""
    line_of = {int(words[0]): int(words[1]) for words in events.of["P"]}  # of the acknowledged jobs
    put_again = {int(words[0]) for words in events.of["U"]}
    digest = list(digests(text.path))
    handed_out, body = {}, {}
    for job, md5, _ in events.of["R"]:
        handed_out[int(job)] = handed_out.get(int(job), 0) + 1
        body[int(job)] = md5
    done = [int(words[0]) for words in events.of["D"]]
    gone = set(done) | {int(words[0]) for words in events.of["L"]}
    extra = set(body) - set(line_of)  # jobs of puts whose answer was lost
    known_again = {digest[line] for line in put_again}
    jobs = {row["total_jobs"] for row in nodes}
    return {
        "acked": len(set(line_of.values())),
        "applied_on_every_node": min(jobs) - len(extra),
        "lost": sum(1 for job, line in line_of.items() if job not in gone or body.get(job) != digest[line]),
        # Deleted twice, or two jobs of a line whose put was answered.
        "duplicated": len(done) - len(set(done))
        + len(line_of) - len(set(line_of.values()))
        + sum(1 for job in extra if body[job] not in known_again),
        "same_order": len(jobs) == 1,
        "two_holders": two_holders([(int(job), int(token)) for job, _, token in events.of["R"]],
                                   [(int(job), int(token)) for job, _, token in events.of["D"]],
                                   [int(words[0]) for words in events.of["N"]]),
        "put_again": len(put_again),
        "handed_out_again": sum(1 for count in handed_out.values() if count > 1),
    }


def times(events, killed_ns):
    put_us = sorted(int(words[2]) for words in events.of["P"])
    at_ns = sorted([int(words[3]) for words in events.of["P"]] + [int(words[1]) for words in events.of["D"]])
    gaps = [later - earlier for earlier, later in zip(at_ns, at_ns[1:]) if later > killed_ns]
    failover_s = max(gaps[:CLIENT_COUNT * 100], default=0) / 1e9
    seconds = (at_ns[-1] - at_ns[0]) / 1e9
    commits = sum(len(events.of[kind]) for kind in "PRD")
    return {
        "p50_us": put_us[len(put_us) // 2],
        "p99_us": put_us[len(put_us) * 99 // 100],
        "commits_per_s": round(commits / busy_s(seconds, failover_s)),
        "jobs_per_s": round(len(events.of["D"]) / busy_s(seconds, failover_s)),
        "failover_ms": round(failover_s * 1000, 1),
    }


def report(text, result, row):
    """The JSON object, and the same for people."""
    killed = result.pop("killed")
    summary = {"commands": text.line_count, **result, "machine": "queue", "mode": row["log_mode"],
               "transport": TRANSPORT, "auth": row["auth"], "in_flight": 2 * CLIENT_COUNT, "nodes": len(NODES)}
    return summary, {
        "lines, each a job": summary["commands"],
        "put and acknowledged": summary["acked"],
        "done on every node": summary["applied_on_every_node"],
        "lost, duplicated": f'{summary["lost"]}, {summary["duplicated"]}',
        "with two holders": summary["two_holders"],
        "handed out again": f'{summary["handed_out_again"]} whose worker lost its node',
        "put again": f'{summary["put_again"]} whose producer lost its node before the answer',
        "latency of a put": f'p50 {summary["p50_us"]} us, p99 {summary["p99_us"]} us, {CLIENT_COUNT} producers '
                            f"and {CLIENT_COUNT} workers",
        "throughput": f'{summary["jobs_per_s"]} jobs/s put, reserved and deleted, not counting the failover',
        "failover": f'{summary["failover_ms"]} ms without an answer after kill -9 of node {killed}',
        "log mode": summary["mode"],
        "transport": summary["transport"],
        "authentication": summary["auth"],
    }


def is_well(text, summary):
    return (summary["lost"] == 0 and summary["duplicated"] == 0 and summary["same_order"]
            and summary["two_holders"] == 0 and summary["acked"] == text.line_count
            and summary["applied_on_every_node"] == text.line_count)
