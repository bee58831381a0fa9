# SPDX-License-Identifier: Apache-2.0
"""Producers and workers of a queue whose nodes come and go, and what each of them was told.

  load.py SERVERS SECONDS SEED JOURNAL

SERVERS are ADDRESS:PORT with commas. For SECONDS there are new jobs; then no more, and the workers go on until none is left.
Whoever loses its server goes on with another one, and never says anything twice: what was not answered stays unknown. The SEED
decides what each of them does; what comes of it depends on the machine.

JOURNAL gets one JSON list for each connection: [tag, server, events]. The first command of a connection is `watch TAG`, which
names it in the log. An event is [command, reply]: the words of the line, for a put with the body's CRC behind them, for a
stats-job with the job's `reserves`; and the words of the reply without a body, or null: none came.

Exit status 1: not all was done in time. 2: some client was told what cannot be.
"""
import json
import random
import socket
import sys
import threading
import time
import zlib

PRODUCERS, WORKERS = 5, 16
TUBE = "chaos"
PATIENCE_S = 120  # to finish once there are no new jobs
HURRIED_S = 4     # without an answer, of those who do not wait for ever


class Gone(Exception):
    """No server, or none any more."""


class Journal:
    """What all connections were told. Any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.connections = []
        self.deleted = []
        self.wrong = []

    def add(self, tag, server):
        events = []
        with self.lock:
            self.connections.append([tag, server, events])
        return events

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)


class Connection:
    """@param patience_s  for an answer; None: as long as the connection is there"""

    def __init__(self, run, name, address, patience_s):
        host, port = address.rsplit(":", 1)
        self.events = run.journal.add(name, address)
        self.socket = socket.create_connection((host, int(port)), timeout=HURRIED_S)
        self.socket.settimeout(patience_s)
        self.file = self.socket.makefile("rb")
        self.answered = 0
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, *commands):
        """All at once. A command is its words, and a body if it is a put."""
        text = b""
        for words, body in commands:
            text += " ".join(map(str, words)).encode() + b"\r\n"
            if body is not None:
                text += body + b"\r\n"
                words = words + [zlib.crc32(body)]
            self.events.append([words, None])
        self.socket.sendall(text)

    def hear(self):
        """@return the words of the next reply, and its body"""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Gone(line)
        words, body = line.decode().split(), None
        if words[0] in ("RESERVED", "OK", "FOUND"):
            body = self.file.read(int(words[-1]) + 2)
            if len(body) != int(words[-1]) + 2:
                raise Gone(body)
            body = body[:-2]
        self.events[self.answered][1] = words
        self.answered += 1
        return words, body

    def ask(self, *words):
        self.say((list(words), None))
        return self.hear()

    def close(self):
        self.socket.close()


class Client(threading.Thread):
    """One that goes from server to server until its run is over."""

    patience_s = HURRIED_S

    def __init__(self, run, name):
        super().__init__(daemon=True)
        self.run_of = run
        self.tag = name
        self.random = random.Random(f"{run.seed} {name}")
        self.connection = None

    def begin(self):
        """A new connection is there."""

    def step(self):
        raise NotImplementedError

    def is_over(self):
        return self.run_of.is_over

    def connect(self, number):
        address = self.random.choice(self.run_of.servers)
        tag = f"{self.tag}.{number}"
        self.connection = Connection(self.run_of, tag, address, self.patience_s)
        self.connection.ask("watch", tag)
        self.begin()

    def run(self):
        number = 0
        while not self.is_over():
            try:
                number += 1
                self.connect(number)
                while not self.is_over():
                    self.step()
            except (OSError, Gone):
                time.sleep(0.05)
            if self.connection is not None:
                self.connection.close()
            self.connection = None


class Producer(Client):
    job = 0

    def is_over(self):
        return self.run_of.is_draining

    def begin(self):
        self.connection.ask("use", TUBE)

    def put(self):
        self.job += 1
        body = f"{self.tag}.{self.job} ".encode()
        body += b"x" * self.random.choice((0, 10, 60, 100, 200, 1500, 1500, 20000))
        # A TTR of an hour: if it comes back, then since its worker, or the node of its worker, is gone.
        ttr = self.random.choice((2, 3, 5, 3600))
        delay = self.random.choice((0, 0, 0, 0, 1))
        return ["put", self.random.randrange(3), delay, ttr, len(body)], body

    def step(self):
        count = self.random.choice((1, 1, 1, 2, 5, 30))
        self.connection.say(*(self.put() for _ in range(count)))
        for _ in range(count):
            words, _ = self.connection.hear()
            if words[0] != "INSERTED":
                self.run_of.journal.complain(f"{self.tag}: a put was answered {words}")
        time.sleep(self.random.uniform(0, 0.1) * count)
        if self.random.random() < 0.02:
            raise Gone(count)


class Worker(Client):
    def __init__(self, run, name, is_patient):
        super().__init__(run, name)
        self.patience_s = None if is_patient else HURRIED_S
        self.reserve = ["reserve"] if is_patient else ["reserve-with-timeout", 1]

    def begin(self):
        self.connection.ask("watch", TUBE)
        self.connection.ask("ignore", "default")

    def delete(self, job):
        words, _ = self.connection.ask("delete", job)
        if words[0] == "DELETED":
            self.run_of.journal.deleted.append(job)

    def delete_and_reserve(self, job):
        """Both at once, as a hurried worker would: the next job is with us before we know of the last one."""
        self.connection.say((["delete", job], None), (self.reserve, None))
        words, _ = self.connection.hear()
        if words[0] == "DELETED":
            self.run_of.journal.deleted.append(job)
        self.on_reserved(self.connection.hear()[0])

    def burst(self, job):
        """Several reserves and what stands behind them: wherever one of them waits, the rest must wait, too."""
        said = [["touch", job]]
        for _ in range(self.random.choice((2, 3, 10))):
            said += [["reserve-with-timeout", 1], self.random.choice((["touch", job], ["watch", TUBE], ["release", job, 1, 0]))]
        said += [["delete", job], ["reserve-with-timeout", 0]]
        self.connection.say(*((words, None) for words in said))
        for reply in [self.connection.hear()[0] for _ in said]:
            if reply[0] == "RESERVED":
                self.delete(int(reply[1]))

    def oversleep(self, job):
        """Longer than a short TTR: it is somebody else's by then, or ready, or done."""
        time.sleep(self.random.uniform(1.5, 6))
        self.connection.ask("touch", job)
        self.delete(job)

    def look(self, job):
        words, body = self.connection.ask("stats-job", job)
        if words[0] == "OK":
            reserves = next(line for line in body.decode().splitlines() if line.startswith("reserves: "))
            self.connection.events[-1][0].append(int(reserves.split()[1]))
        self.delete(job)

    def release(self, job):
        self.connection.ask("release", job, self.random.randrange(3), self.random.choice((0, 0, 1)))

    def bury(self, job):
        self.connection.ask("bury", job, 1)

    def touch(self, job):
        self.connection.ask("touch", job)
        self.delete(job)

    def leave(self, job):
        raise Gone(job)

    def work(self, job):
        time.sleep(self.random.expovariate(100))
        self.delete(job)

    def on_reserved(self, words):
        if words[0] != "RESERVED":
            return
        how = self.random.choices(
            (self.work, self.delete_and_reserve, self.burst, self.oversleep, self.look, self.release, self.bury, self.touch,
             self.leave),
            (50, 20, 10, 1, 5, 4, 3, 5, 2))[0]
        how(int(words[1]))

    def step(self):
        self.on_reserved(self.connection.ask(*self.reserve)[0])


class Kicker(Client):
    """Buried jobs come back; and whoever looks at a job that was deleted must not find it, at whatever node."""

    def begin(self):
        self.connection.ask("use", TUBE)

    def step(self):
        self.connection.ask("kick", 1000)
        deleted = self.run_of.journal.deleted
        for job in self.random.sample(deleted[-200:], min(len(deleted), 10)):
            words, _ = self.connection.ask("peek", job)
            if words[0] != "NOT_FOUND":
                self.run_of.journal.complain(f"{self.tag}: job {job} was deleted, and a later peek says {words}")
        time.sleep(0.3)


class Run:
    def __init__(self, servers, seconds, seed):
        self.servers = servers
        self.seed = seed
        self.seconds = seconds
        self.is_draining = self.is_over = False
        self.journal = Journal()

    def jobs_left(self):
        """Of any server; None: nobody knows."""
        left = 0
        try:
            server = Connection(self, "jobs_left", random.choice(self.servers), HURRIED_S)
            words, body = server.ask("stats-tube", TUBE)
            server.close()
        except (OSError, Gone):
            return None
        if words[0] == "NOT_FOUND":
            return 0
        for line in body.decode().splitlines():
            key, _, value = line.partition(": ")
            if key.startswith("current-jobs-") and key != "current-jobs-urgent":
                left += int(value)
        return left

    def finish(self, producers):
        """@return whether all was done in time"""
        self.is_draining = True
        deadline = time.monotonic() + PATIENCE_S
        for producer in producers:  # ends with the answer that it waits for: until then there may be one more job
            producer.join(PATIENCE_S)
        left = None
        while left != 0:
            if time.monotonic() > deadline:
                print(f"load: {PATIENCE_S} s after the last job was put, {left} are left", file=sys.stderr)
                return False
            time.sleep(0.2)
            left = self.jobs_left()
        return True

    def go(self):
        producers = [Producer(self, f"p{i}") for i in range(PRODUCERS)]
        clients = producers + [Worker(self, f"w{i}", i % 2 == 0) for i in range(WORKERS)]
        clients += [Kicker(self, f"k{i}") for i in range(2)]
        for client in clients:
            client.start()
        time.sleep(self.seconds)
        is_done = self.finish(producers)
        self.is_over = True
        return is_done


def main():
    servers, seconds, seed, path = sys.argv[1].split(","), float(sys.argv[2]), sys.argv[3], sys.argv[4]
    run = Run(servers, seconds, seed)
    is_done = run.go()
    with open(path, "w", encoding="ascii") as out:
        for connection in run.journal.connections:
            out.write(json.dumps(connection) + "\n")
    for text in run.journal.wrong:
        print(f"load: {text}", file=sys.stderr)
    return 2 if run.journal.wrong else 0 if is_done else 1


if __name__ == "__main__":
    sys.exit(main())
