# SPDX-License-Identifier: Apache-2.0
"""Was one log executed, on all nodes, and were all clients told what happened there?

  audit.py TRACES JOURNAL

TRACES is the folder of traced.c, JOURNAL the file of load.py. The order of things is that of the log: clients' clocks decide
nothing, and what a client was not told is unknown and not wrong. The rules, and why each of them is sound:

 1. What two lives or nodes have executed in the same place is the same, to the word. Each session's commands are all there,
    numbered from 1 without a gap: so nothing is missing in what was merged.
 2. A job is handed over only while nobody holds it. A holder is one until, in the log, the job is deleted, released or buried by it,
    its TTR is over (the log's time, counted from the reservation or the last touch), its connection closes, or its gateway is replaced or
    was silent for ten seconds of the log's time, of which no more than 2.5 between two slots count. All of that is computed here, from the commands alone.
 3. The reservations of a job are numbered 1, 2, 3 ...: its id and that number name one holder for ever.
 4. While somebody holds a job, everybody else who wants to delete it is answered NOT_FOUND, as is everybody but the holder who wants to
    touch, release or bury it, at any time. A job that nobody holds may be deleted by whoever comes first, as in beanstalkd, so by one
    who held it and was too slow, too. A holder is never answered NOT_FOUND.
 5. What was deleted is never handed over, touched or deleted again.
 6. Commands of a gateway that is detached, or of a connection that is closed, change nothing and find nothing.
 7. The replies that a connection got are those of the log to its first so many commands, in the order in which it sent them; of what it
    has sent and was not answered a part, from the first on, may have been executed, and what it has not sent, never.
 8. A holder that asks for the job's `reserves` after it was handed the job is told its own number or a later one.
 9. Each put that was answered INSERTED is in the log, with that id and those bytes, and the job was deleted in the end.

Exit status 1 if one of them is broken.
"""
import json
import os
import sys

OPEN, CLOSE, PUT, RESERVE, RESERVE_TIMEOUT, DELETE, RELEASE, BURY, TOUCH, WATCH = 1, 2, 4, 6, 7, 9, 10, 11, 12, 13
CANCEL, COUNT, ATTACH = 18, 19, 20
OPS = {"put": PUT, "use": 5, "reserve": RESERVE, "reserve-with-timeout": RESERVE_TIMEOUT, "delete": DELETE,
       "release": RELEASE, "bury": BURY, "touch": TOUCH, "watch": WATCH, "ignore": 14, "kick": 15}
READS = ("peek", "stats-job", "stats-tube")
OK, NOT_FOUND, NO_CONNECTION, CLOSED, NO_GATEWAY, PARKED, BEHIND = 0, 1, 6, 9, 11, 12, 13
WORDS = {1: "NOT_FOUND", 2: "TIMED_OUT", 3: "DEADLINE_SOON", 4: "NOT_IGNORED", 5: "OUT_OF_MEMORY"}
DONE = {PUT: "INSERTED", 5: "USING", DELETE: "DELETED", RELEASE: "RELEASED", BURY: "BURIED", TOUCH: "TOUCHED",
        WATCH: "WATCHING", 14: "WATCHING", 15: "KICKED"}
SECOND_NS = 1000000000
SILENCE_NS = 10 * SECOND_NS
STEP_NS = 2500000000
WRONG_MAX = 20


class Verdict:
    def __init__(self):
        self.wrong = 0

    def complain(self, rule, text):
        self.wrong += 1
        if self.wrong <= WRONG_MAX:
            print(f"audit: rule {rule}: {text}", file=sys.stderr)


# ------------------------------------------------------------------------------ one log out of many lives

def blocks(path):
    """(place, lines) of each apply() of one life. A place is (slot, 0), or of an apply() without commands (the last slot that
    brought some, how many since then): the same on all nodes. Before the first of a life, or behind a snapshot, nobody knows."""
    slot, idle, lines = None, 0, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line == "x\n":
                slot = None
            elif line[0] == "s":
                lines = [line]
            elif line != "e\n":
                lines.append(line)
            else:
                head = lines[0].split()
                if head[3] != "0":
                    slot, idle = int(head[1]), 0
                elif slot is not None:
                    idle += 1
                if slot is not None:
                    yield (slot, idle), "".join(lines)


def merge(folder, verdict):
    log = {}
    lives = sorted(os.listdir(folder))
    for name in lives:
        for place, text in blocks(os.path.join(folder, name)):
            known = log.setdefault(place, text)
            if known != text:
                verdict.complain(1, f"slot {place}: life {name} has executed\n{text}another one\n{known}")
    return log, len(lives)


# ------------------------------------------------------------------------------ what the log says

class Gateway:
    def __init__(self, node, now_ns):
        self.node = node
        self.heard_ns = now_ns
        self.is_detached = False


class Connection:
    def __init__(self, gateway, name):
        self.gateway = gateway
        self.name = name
        self.is_closed = False
        self.entries = []     # [op, command, outcome]: outcome is what its client is to read, None: nothing yet
        self.reserves = 0     # of the job that it was handed last
        self.waiting = None   # the entry of its reserve without an end

    def is_over(self):
        return self.is_closed or self.gateway.is_detached


class Job:
    def __init__(self, ttr_s):
        self.ttr_ns = max(ttr_s, 1) * SECOND_NS
        self.last = None      # the connection that it was handed to last
        self.is_held = False  # by that one, unless it lost it
        self.until_ns = 0
        self.reserves = 0
        self.is_deleted = False


class Log:
    def __init__(self, verdict):
        self.verdict = verdict
        self.now_ns = 0
        self.slot = None
        self.gateways = {}     # of a session: the one that is attached, or was the last
        self.connections = {}  # by (session, number); a number is never used again
        self.by_tag = {}
        self.jobs = {}
        self.job_last = 0
        self.seqs = {}
        self.commands = []     # of this apply(), without an answer
        self.numbers = dict.fromkeys(
            ("commands", "reservations", "superseded", "expired", "silent", "replaced", "behind"), 0)

    def complain(self, rule, text):
        self.verdict.complain(rule, f"slot {self.slot}, {self.now_ns} ns: {text}")

    # -- one apply()

    def take(self, place, text):
        self.slot = place
        for line in text.splitlines():
            words = line.split(" ")
            if words[0] == "s":
                self.begin(int(words[2]))
            elif words[0] == "c":
                self.commands.append([*map(int, words[1:11]), words[11]])
            elif words[0] == "a":
                self.answer(*map(int, words[1:]))
            else:
                self.word(*map(int, words[1:]))
        if self.commands:
            self.complain(1, f"commands without an answer: {self.commands}")
            self.commands = []

    def begin(self, now_ns):
        leap_ns = max(0, now_ns - self.now_ns - STEP_NS)
        self.now_ns = now_ns
        for gateway in self.gateways.values():
            gateway.heard_ns += leap_ns
            if not gateway.is_detached and now_ns >= gateway.heard_ns + SILENCE_NS:
                gateway.is_detached = True
                self.numbers["silent"] += 1

    def answer(self, session, seq, status, result):
        """Commands are answered in their order, when they are executed."""
        if not self.commands or self.commands[0][1:3] != [session, seq]:
            self.complain(1, f"an answer to nothing: session {session}, {seq}")
            return
        _, _, _, op, number, job, seconds, ttr, count, crc, name = self.commands.pop(0)
        self.numbers["commands"] += 1
        if seq != self.seqs.get(session, 0) + 1:
            self.complain(1, f"session {session} goes on with {seq} after {self.seqs.get(session, 0)}")
        self.seqs[session] = seq
        gateway = self.gateways.get(session)
        if gateway is not None and not gateway.is_detached:
            gateway.heard_ns = self.now_ns
        if op == ATTACH:
            self.attach(session, job, status)
        elif op == OPEN and status == OK:
            self.connections[session, number] = Connection(gateway, f"{session}/{number}")
        elif op not in (OPEN, COUNT):
            self.command(self.connections.get((session, number)), op, status, result,
                         {"id": job, "seconds": seconds, "ttr": ttr, "bytes": count, "crc": crc, "name": name})
        if op != ATTACH and (gateway is None or gateway.is_detached) and status not in (NO_CONNECTION, NO_GATEWAY):
            self.complain(6, f"session {session} has no gateway, and command {op} is answered {status}")

    def attach(self, session, node, status):
        gateway = self.gateways.get(session)
        if status != OK or (gateway is not None and not gateway.is_detached):
            return
        for other in self.gateways.values():
            if other.node == node and not other.is_detached:
                other.is_detached = True
                self.numbers["replaced"] += 1
        self.gateways[session] = Gateway(node, self.now_ns)

    # -- commands of connections

    def command(self, connection, op, status, result, c):
        if connection is None or connection.is_over() or status == NO_CONNECTION:
            if status not in (NO_CONNECTION, NO_GATEWAY):
                self.complain(6, f"command {op} of no connection is answered {status}")
            if connection is not None and not connection.is_over():
                self.complain(6, f"{connection.name} is open, and command {op} does not find it")
            return
        if op == CLOSE:
            connection.is_closed = True
            return
        if status == BEHIND:
            self.numbers["behind"] += 1  # it will come again
            return
        if op == CANCEL:
            return
        if op == WATCH:
            self.by_tag.setdefault(c["name"], connection)
        entry = [op, c, self.outcome(connection, op, status, result, c)]
        if status == PARKED:
            entry = connection.waiting = [op, c, None]
        connection.entries.append(entry)

    def outcome(self, connection, op, status, result, c):
        """What the client is to read: a word, and a number where one belongs to it."""
        job = self.jobs.get(c["id"])
        if op == PUT and status == OK:
            self.job_last += 1
            if result != self.job_last:
                self.complain(9, f"job {result} came after job {self.job_last - 1}")
            self.jobs[result] = Job(c["ttr"])
            return ["INSERTED", result]
        if op in (RESERVE, RESERVE_TIMEOUT) and status == OK:
            return ["RESERVED", result, connection.reserves]
        if op in (DELETE, TOUCH, RELEASE, BURY):
            self.use(connection, op, status, job, c["id"])
        return [DONE[op] if status == OK else WORDS.get(status, str(status))]

    def use(self, connection, op, status, job, number):
        """A worker wants to do something with a job that it was handed."""
        is_last = job is not None and job.last is connection
        if job is None or job.is_deleted:
            if status == OK:
                self.complain(5, f"{connection.name} was answered OK to {op} of job {number}, which is gone")
            return
        may = self.is_free(job) or is_last if op == DELETE else is_last and not self.is_free(job)
        if may != (status == OK):
            self.complain(4, f"{connection.name} is answered {status} to {op} of job {number}, which is "
                          f"{'nobody' if self.is_free(job) else job.last.name}'s")
        if status != OK:
            self.numbers["superseded" if not is_last else "expired"] += 1
        elif op == TOUCH:
            job.until_ns = self.now_ns + job.ttr_ns
        else:
            job.is_held = False
            job.is_deleted = op == DELETE

    # -- jobs are handed over

    def word(self, session, number, _seq, status, job_id, reserves):
        connection = self.connections.get((session, number))
        if connection is None:
            self.complain(6, f"a reserve of no connection, {session}/{number}, has ended")
            return
        if connection.waiting is not None:
            if status == OK:
                connection.waiting[2] = ["RESERVED", job_id, reserves]
            elif status != CLOSED:
                connection.waiting[2] = [WORDS[status]]
            connection.waiting = None
        if status == OK:
            self.hand_over(connection, job_id, reserves)

    def is_free(self, job):
        """Nobody holds it any more."""
        return not job.is_held or self.now_ns >= job.until_ns or job.last.is_over()

    def is_closing(self, connection):
        """By the command that is being executed: what comes of that is told before it is answered."""
        return any(op == CLOSE and self.connections.get((session, number)) is connection
                   for _, session, _, op, number, *_ in self.commands[:1])

    def hand_over(self, connection, number, reserves):
        job = self.jobs.get(number)
        self.numbers["reservations"] += 1
        if job is None or job.is_deleted:
            self.complain(5, f"job {number}, which is not there, is handed to {connection.name}")
            return
        if connection.is_over():
            self.complain(6, f"job {number} is handed to {connection.name}, which is gone")
        if not self.is_free(job) and not self.is_closing(job.last):
            self.complain(2, f"job {number} is handed to {connection.name} while {job.last.name} holds it")
        job.reserves += 1
        if reserves != job.reserves:
            self.complain(3, f"job {number} is reserved for the {job.reserves}. time and says {reserves}")
        job.last, job.is_held, job.until_ns = connection, True, self.now_ns + job.ttr_ns
        connection.reserves = reserves


# ------------------------------------------------------------------------------ what the clients say

def is_same(words, entry):
    """Is that line this command of the log?"""
    op, c, _ = entry
    if OPS[words[0]] != op:
        return False
    if op == PUT:
        return words[2:] == [c["seconds"], c["ttr"], c["bytes"], c["crc"]]
    if op in (DELETE, TOUCH, RELEASE, BURY):
        return words[1] == c["id"]
    return op not in (5, WATCH, 14) or words[1] == c["name"]


def compare(log, tag, events, verdict):
    """@return ids of the jobs that this connection was told INSERTED"""
    connection = log.by_tag.get(tag)
    entries = connection.entries if connection is not None else []
    inserted, at, held = [], 0, None
    for words, reply in events:
        if words[0] == "stats-job" and len(words) > 2 and words[2] < held[2]:
            verdict.complain(8, f"{tag}: was {held}, and later the job had {words[2]} reservations")
        if words[0] in READS:
            continue
        entry = entries[at] if at < len(entries) else None
        at += 1
        if entry is not None and not is_same(words, entry):
            verdict.complain(7, f"{tag}: {words} was sent, and {entry[:2]} executed")
            break
        if reply is None:
            continue
        if entry is None or entry[2] is None:
            verdict.complain(7, f"{tag}: {words} was answered {reply}, and the log has {entry}")
            break
        expected = entry[2]
        if reply[0] != expected[0] or (len(expected) > 1 and int(reply[1]) != expected[1]):
            verdict.complain(7, f"{tag}: {words} was answered {reply} instead of {expected}")
            break
        if reply[0] == "INSERTED":
            inserted.append(int(reply[1]))
        elif reply[0] == "RESERVED":
            held = expected
    else:
        if len(entries) > at:
            verdict.complain(7, f"{tag}: executed and never sent: {entries[at:]}")
    return inserted


def main():
    verdict = Verdict()
    blocks_of, lives = merge(sys.argv[1], verdict)
    log = Log(verdict)
    for place in sorted(blocks_of):
        log.take(place, blocks_of[place])
    connections = inserted = 0
    with open(sys.argv[2], encoding="ascii") as file:
        for line in file:
            tag, _, events = json.loads(line)
            connections += 1
            for job in compare(log, tag, events, verdict):
                inserted += 1
                if job not in log.jobs or not log.jobs[job].is_deleted:
                    verdict.complain(9, f"{tag}: job {job} was inserted and is not done")
    print(json.dumps({"lives": lives, "connections": connections, "inserted": inserted, **log.numbers}))
    if verdict.wrong > 0:
        print(f"audit: {verdict.wrong} things are wrong", file=sys.stderr)
    return 1 if verdict.wrong > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
