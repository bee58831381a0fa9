#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fill a queue with every kind of job, and look whether a move kept them.

  queue_move.py fill ADDRESS       jobs in all states, and one that a worker holds until standard input ends
  queue_move.py check ADDRESS      what of them has to be on the new server
  queue_move.py bulk ADDRESS COUNT so many ready jobs
  queue_move.py count ADDRESS      how many are ready
  queue_move.py drink ADDRESS      reserve and delete all that is ready; prints each body
"""
import pathlib
import sys
from importlib.machinery import SourceFileLoader

sys.dont_write_bytecode = True
mover = SourceFileLoader("mover", str(pathlib.Path(__file__).parents[2] / "scripts/queue-move")).load_module()

BINARY = bytes(range(256)) * 250 + b"\r\nput 0 0 0 0\r\n"

# tube, state, priority, delay, TTR, body; in the order in which they are put
JOBS = [
    ("default", "ready", 5, 0, 60, b"second"), ("default", "ready", 4294967295, 0, 60, b"last"), ("default", "ready", 2, 0, 60, b"first"),
    ("default", "ready", 5, 0, 60, BINARY), ("default", "ready", 5, 0, 60, b""),
    ("mails", "delayed", 1, 5000, 4294967295, b"later"), ("mails", "delayed", 2, 3000, 60, b"sooner"),
    ("mails", "buried", 7, 0, 61, b"dead"), ("mails", "buried", 3, 0, 62, b"dead too"), ("mails", "ready", 9, 0, 1, b"short"),
    ("paused-$()+/;.", "ready", 1, 0, 60, b"kept back"), ("paused-$()+/;.", "delayed", 1, 4000, 60, b"more of it"),
]
HELD = ("held", "reserved", 1, 0, 600, b"a worker has it")


def demand(server, line, word, body=None):
    words, _ = server.ask(line, body)
    assert words[0] == word, (line, words)
    return words


def fill(server):
    for tube, state, pri, delay, ttr, body in JOBS + [HELD]:
        demand(server, f"use {tube}", "USING")
        # With the priority that it is buried under, not with its own.
        number = demand(server, f"put {0 if state == 'buried' else pri} {delay} {ttr} {len(body)}", "INSERTED", body)[1]
        if state in ("buried", "reserved"):
            demand(server, f"reserve-job {number}", "RESERVED")
        if state == "buried":
            demand(server, f"bury {number} {pri}", "BURIED")
        if tube.startswith("paused"):
            demand(server, f"pause-tube {tube} 2000", "PAUSED")
    print("filled", flush=True)
    sys.stdin.read()


def first(server, state):
    """The first job of a state in the used tube, as a row of JOBS, its delay in thousands; it is deleted."""
    words, body = server.ask(f"peek-{state}")
    if words[0] == "NOT_FOUND":
        return None
    stats = server.dictionary(f"stats-job {words[1]}")
    # Of a delay some seconds are gone, and one may have come.
    delay = round(int(stats["time-left"]) / 1000) * 1000 if state == "delayed" else 0
    assert state != "delayed" or delay - 300 < int(stats["time-left"]) <= delay, stats
    demand(server, f"delete {words[1]}", "DELETED")
    return stats["tube"], stats["state"], int(stats["pri"]), delay, int(stats["ttr"]), body


def check(server):
    for tube in sorted({job[0] for job in JOBS}):
        demand(server, f"use {tube}", "USING")
        pause = int(server.dictionary(f"stats-tube {tube}")["pause-time-left"])
        assert 1700 < pause <= 2000 if tube.startswith("paused") else pause == 0, pause
        for state in mover.STATES:
            wanted = [job for job in JOBS if job[:2] == (tube, state)]
            wanted.sort(key={"ready": lambda job: job[2], "delayed": lambda job: job[3], "buried": lambda job: 0}[state])
            got = list(iter(lambda: first(server, state), None))    # pylint: disable=cell-var-from-loop
            assert got == wanted, (tube, state, got, wanted)
    stats = server.dictionary("stats")
    assert all(stats[f"current-jobs-{state}"] == "0" for state in (*mover.STATES, "reserved")), stats


def bulk(server, count):
    bodies = [str(number).encode() for number in range(int(count))]
    for start in range(0, len(bodies), 500):
        answers = server.ask_all([(f"put 10 0 60 {len(body)}", body) for body in bodies[start:start + 500]])
        assert all(words[0] == "INSERTED" for words, _ in answers)


def drink(server):
    while True:
        answers = server.ask_all([("reserve-with-timeout 0", None)] * 200)
        held = [(words[1], body) for words, body in answers if words[0] == "RESERVED"]
        if not held:
            return
        print("\n".join(body.decode() for _, body in held))
        assert all(words[0] == "DELETED" for words, _ in server.ask_all([(f"delete {number}", None) for number, _ in held]))


def count_ready(server):
    print(server.dictionary("stats")["current-jobs-ready"])


if __name__ == "__main__":
    {"fill": fill, "check": check, "bulk": bulk, "count": count_ready, "drink": drink}[sys.argv[1]](mover.Server(sys.argv[2]), *sys.argv[3:])
