#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same random commands to two servers that speak the beanstalk protocol; their replies are compared byte by byte.

    differential.py [--seed N] [--count N] [--connections N] [--drain PID --drain PID] ADDRESS ADDRESS

An ADDRESS is HOST:PORT or unix:PATH, or several with commas: the nodes of one cluster, and each new connection goes to the next of them. Both servers
have no jobs. Nobody else uses them. The first difference ends it: both replies and what came before are printed, and the exit status is 1.

How it goes: one step after the other, so that time and threads decide nothing. A step is one or several pipelined commands on one connection of each server,
an opened or closed connection, the end of a wait, or a connection of its own for garbage. All delays, pauses and TTRs of the random part are so long that
none comes to its end; what becomes due is a part of its own behind it, which waits until everything has.

What may differ is made equal first (docs/queue.md, "Differences from beanstalkd"): job ids become the number of the INSERTED (a refused put takes an id there),
quotes around names go, lists of tubes are sorted, ages and times left are only zero or not, what a server says of itself goes. At most one
connection waits, since nobody says which of several gets a job. Counters that a gateway may bring later are compared at the end.
"""
import argparse
import collections
import itertools
import os
import random
import re
import signal
import socket
import sys
import time

PATIENCE_S = 60
LONG_S = [100000, 200000, 300000, 400000]

TUBES = [b"default", b"a", b"b-c", b"1.5", b"$(x)", b"n" * 200]

# What stats says of the server itself, or of moments.
OWN_KEYS = {
    b"pid", b"version", b"rusage-utime", b"rusage-stime", b"uptime", b"binlog-oldest-index", b"binlog-current-index",
    b"binlog-records-migrated", b"binlog-records-written", b"binlog-max-size", b"id", b"hostname", b"os", b"platform",
}
# Counted by whoever answers, and brought to the others from time to time.
LATE_KEYS = {
    b"cmd-put", b"cmd-peek", b"cmd-peek-ready", b"cmd-peek-delayed", b"cmd-peek-buried", b"cmd-stats",
    b"cmd-stats-job", b"cmd-stats-tube", b"cmd-list-tubes", b"cmd-list-tube-used", b"cmd-list-tubes-watched",
    b"cmd-pause-tube", b"current-producers",
}

# Lines that are wrong, or odd, and what follows is not disturbed.
ODD_LINES = [
    b"", b" ", b"x", b"peekx", b"statsx", b"stats-job", b"reserve x", b"peek -1", b"peek 1 1", b"use -a", b"use " + b"a" * 201,
    b"delete 99999999999999999999", b"put 0 0 0", b"put x 0 0 1", b"release 1 1", b"bury 1", b"kick", b"kick x", b"touch 1\0",
    b"pause-tube a", b"pause-tube a x", b"watch ", b"ignore a b", b"list-tubes ", b"a" * 300, b"reserve-job", b"stats-tube -",
    b"put  0 0 0", b"put 0 0 0 -1", b"put 4294967296 0 0 1", b"reserve-with-timeout", b"kick 1x", b"touch", b"bury x 1", b"release x 1 1",
    b"pause-tube a -1", b"pause-tube no-such-tube 1", b"kick-job", b"use \xff\xfe", b"watch a\tb", b"peek-ready x", b"PUT 0 0 0 1", b"\n",
]

# Of which garbage is made. None of it waits or depends on a job; if a put succeeds, its TTR is long.
PIECES = [
    b"use a\r\n", b"watch a\r\n", b"ignore a\r\n", b"ignore default\r\n", b"list-tube-used\r\n", b"touch 0\r\n", b"delete 0\r\n", b"kick-job 0\r\n",
    b"peek 0\r\n", b"bury 0 0\r\n", b"release 0 0 0\r\n", b"stats-job 0\r\n", b"reserve-job 0\r\n", b"stats-tube none\r\n",
    b"put 0 0 100000 3\r\nabcd\r\n", b"put 0 0 100000 0\r\nx", b"put 0 0 100000 70000\r\n" + bytes(70002), b"put 1 2 3\r\n", b"put 0 0 100000 2\r\n\r\n\r",
    b"\r\n", b"\r", b"\n", b"\0", b" ", b"x" * 224, b"x" * 223 + b"\r\n", b"y" * 500,
]


class Difference(Exception):
    pass


class Whole(bytes):
    """A command that has its end already: the wrong one."""


class Connection:
    def __init__(self, address):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            target = address[5:]
        else:
            self.socket = socket.socket(socket.AF_INET)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host, port = address.rsplit(":", 1)
            target = (host, int(port))
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(target)
        self.have = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # there will be no reply either

    def more(self):
        try:
            data = self.socket.recv(1 << 20)
        except socket.timeout:
            raise Difference(f"no reply within {PATIENCE_S} s; so far: {self.have!r}") from None
        except ConnectionResetError:
            data = b""
        self.have += data
        return data != b""

    def reply(self):
        """One whole reply: its line, and the body or YAML behind it (else None). b"" if it was closed."""
        while b"\r\n" not in self.have:
            if not self.more():
                rest, self.have = self.have, b""
                return rest, None
        line, self.have = self.have.split(b"\r\n", 1)
        words = line.split(b" ")
        if words[0] not in (b"OK", b"RESERVED", b"FOUND"):
            return line, None
        size = int(words[-1])
        while len(self.have) < size + 2:
            if not self.more():
                raise Difference(f"closed within a body, behind {line!r}")
        body, end, self.have = self.have[:size], self.have[size:size + 2], self.have[size + 2:]
        if end != b"\r\n":
            raise Difference(f"no CR LF behind the body of {line!r}: {end!r}")
        return line, body

    def close(self):
        self.socket.close()


class Server:
    """One of the two: its address, and its ids of the jobs that both know."""

    def __init__(self, address):
        self.address = address
        self.nodes = itertools.cycle(address.split(","))
        self.own_ids = {}  # number of the INSERTED -> id here
        self.numbers = {}  # and back
        self.base = None  # counters at the beginning
        self.control = self.connect()

    def connect(self):
        return Connection(next(self.nodes))

    def learn(self, number, own_id):
        self.own_ids[number] = own_id
        self.numbers[own_id] = number

    def discount(self, counter):
        """One more, that the other server need not have."""
        self.base[counter] = b"%d" % (int(self.base[counter]) + 1)

    def stats(self, command=b"stats"):
        self.control.send(command + b"\r\n")
        line, body = self.control.reply()
        if body is None:
            raise Difference(f"{self.address}: {command!r}: {line!r}")
        return dictionary(body)


def dictionary(body):
    pairs = [line.split(b": ", 1) for line in body.split(b"\n") if b": " in line]
    return {key: value.strip(b'"') for key, value in pairs}


def zero_or_not(value):
    return b"0" if value == b"0" else b"(some)"


class Player:
    def __init__(self, options):
        self.random = random.Random(options.seed)
        self.servers = [Server(address) for address in options.addresses]
        self.history = collections.deque(maxlen=options.history)
        self.commands = 0
        self.step = 0
        self.inserted = 0
        self.connections = {}  # number -> one Connection for each server
        self.connections_max = options.connections
        self.connections_opened = 0
        self.held = {}  # connection -> numbers of jobs
        self.used = {}  # connection -> tube
        self.watched = {}  # connection -> tubes
        self.jobs = []  # numbers that may still be there
        self.delays = set()  # that were given already
        self.waiting = None  # the connection whose reserve is not answered yet
        self.behind = []  # what it has said since, in one breath
        self.kinds = collections.Counter()
        for server in self.servers:
            server.base = server.stats()
            if server.base[b"current-connections"] != b"1":
                raise SystemExit(f"{server.address}: somebody else is connected")

    # ---------------------------------------------------------------- sending and comparing

    def encode(self, server, text):
        """A command, with "{N}" for the job of that number."""
        line, end, body = text.partition(b"\r\n")
        line = re.sub(rb"\{(\d+)\}", lambda m: b"%d" % server.own_ids.get(int(m[1]), int(m[1]) + 10**9), line)
        return line + end + body + (b"" if isinstance(text, Whole) else b"\r\n")

    def common_id(self, server, own_id):
        return b"job%d" % server.numbers[int(own_id)] if int(own_id) in server.numbers else b"unknown-" + own_id

    def common(self, server, command, line, body):
        """A reply in words that both servers share."""
        words = line.split(b" ")
        if words[0] in (b"RESERVED", b"FOUND"):
            return b"%s %s %s" % (words[0], self.common_id(server, words[1]), words[2]), body
        if words[0] != b"OK":
            return line, body
        if command.startswith(b"list-"):
            return b"OK", b"\n".join(sorted(item.replace(b'"', b"") for item in body.split(b"\n")))
        pairs = dictionary(body)
        if command.startswith(b"stats-job"):
            pairs[b"id"] = self.common_id(server, pairs[b"id"])
            pairs[b"age"] = b"(some)"
            pairs[b"time-left"] = zero_or_not(pairs[b"time-left"])
            del pairs[b"file"]
        elif command.startswith(b"stats-tube"):
            pairs[b"pause-time-left"] = zero_or_not(pairs[b"pause-time-left"])
        else:
            pairs = self.common_stats(server, pairs, OWN_KEYS | LATE_KEYS)
        return b"OK", b"\n".join(b"%s: %s" % pair for pair in pairs.items())

    def common_stats(self, server, pairs, without):
        result = {}
        for key, value in pairs.items():
            if key in without:
                continue
            if key.startswith(b"cmd-") or key in (b"total-jobs", b"total-connections", b"job-timeouts"):
                value = b"%d" % (int(value) - int(server.base[key]))
            result[key] = value
        return result

    def learn(self, own_ids):
        self.inserted += 1
        for server, own_id in zip(self.servers, own_ids):
            server.learn(self.inserted, own_id)
        self.jobs.append(self.inserted)

    def compare(self, number, command, replies):
        """@return the common reply"""
        words = [reply[0].split(b" ") for reply in replies]
        if all(w[0] == b"INSERTED" for w in words):
            self.learn(int(w[1]) for w in words)
            common = [(b"INSERTED job%d" % self.inserted, None)] * 2
        else:
            common = [self.common(s, command, *reply) for s, reply in zip(self.servers, replies)]
        self.history.append((self.step, number, command, common[0]))
        self.kinds[common[0][0].split(b" ")[0]] += 1
        if common[0] != common[1]:
            raise Difference("\n".join(
                f"{server.address}:\n    {raw[0]!r}, compared as {text[0]!r}\n    {show(only)}"
                for server, raw, text, only in zip(self.servers, replies, common, unlike(common[0][1], common[1][1]))))
        return common[0]

    def collect(self, number, commands):
        """Read and compare the answers to all of them. @return them"""
        results = []
        for command in commands:
            replies = [connection.reply() for connection in self.connections[number]]
            results.append(self.compare(number, command, replies))
        return results

    def send(self, number, commands):
        self.commands += len(commands)
        for server, connection in zip(self.servers, self.connections[number]):
            connection.send(b"".join(self.encode(server, command) for command in commands))

    # ---------------------------------------------------------------- connections

    def open(self):
        self.connections_opened += 1
        number = self.connections_opened
        self.connections[number] = [server.connect() for server in self.servers]
        self.held[number] = set()
        self.used[number] = b"default"
        self.watched[number] = [b"default"]
        self.history.append((self.step, number, b"(open)", None))
        # A connection that only the kernel knows is in no statistics yet.
        self.exchange(number, [b"list-tube-used"])

    def wait_for(self, what, holds, command=b"stats", number=None):
        """@param number  a connection that says something meanwhile: a silent one's second TTR may never end at beanstalkd 1.12"""
        deadline = time.monotonic() + PATIENCE_S
        for i, server in enumerate(self.servers):
            while not holds(server.stats(command)):
                if command != b"stats":
                    server.discount(b"cmd-stats-tube")
                if number is not None:
                    self.connections[number][i].send(b"use default\r\n")
                    self.connections[number][i].reply()
                    server.discount(b"cmd-use")
                if time.monotonic() > deadline:
                    raise Difference(f"{server.address}: no {what} within {PATIENCE_S} s: {server.stats(command)}")
                time.sleep(0.001)

    def forget(self, number):
        for connection in self.connections.pop(number):
            connection.close()
        del self.held[number], self.used[number], self.watched[number]
        count = b"%d" % (len(self.connections) + 1)
        self.wait_for("end of a connection", lambda stats: stats[b"current-connections"] == count)

    def close(self, number):
        """With "quit", or without a word: the jobs that it holds are ready again."""
        how = self.random.choice([b"quit", b"(close)"])
        if how == b"quit":
            self.send(number, [how])
            self.collect(number, [how])
        self.history.append((self.step, number, b"(close)", None))
        self.forget(number)

    def garbage(self):
        """A connection that talks nonsense and hangs up, perhaps within a line or a body: all that it hears is the same."""
        r = self.random
        data = b"".join(r.choice(PIECES) if r.random() < 0.8 else bytes(r.choices(b"pusetkick 01\r\n\0\xff-", k=r.randrange(40)))
                        for _ in range(r.randrange(1, 20)))
        data = data[:r.randrange(len(data) + 1)] if r.random() < 0.3 else data
        self.open()
        number = self.connections_opened
        self.history.append((self.step, number, data, None))
        heard = []
        for connection in self.connections[number]:
            connection.send(data)
            connection.socket.shutdown(socket.SHUT_WR)
            while connection.more():
                pass
            heard.append(connection.have)
        ids = [re.findall(rb"INSERTED (\d+)\r\n", text) for text in heard]
        for pair in zip(*ids):
            self.learn(int(own_id) for own_id in pair)
        heard = [re.sub(rb"INSERTED \d+", b"INSERTED", text) for text in heard]
        if heard[0] != heard[1]:
            raise Difference("\n".join(f"{server.address}: {text!r}" for server, text in zip(self.servers, heard)))
        self.kinds[b"garbage"] += 1
        self.commands += 1
        self.forget(number)

    # ---------------------------------------------------------------- one step

    def exchange(self, number, commands):
        self.send(number, commands)
        results = self.collect(number, commands)
        for command, result in zip(commands, results):
            self.follow(number, command, result)
        self.look_after_waiter(number)
        return results

    def follow(self, number, command, result):
        """Keep in mind what was said: only to choose commands that make sense."""
        word = result[0].split(b" ")[0]
        match = re.search(rb"\{(\d+)\}", command)
        job = int(match[1]) if match else None
        if word == b"RESERVED":
            self.held[number].add(int(result[0].split(b" ")[1][3:]))
        elif word in (b"DELETED", b"RELEASED", b"BURIED"):
            self.held[number].discard(job)
            if word == b"DELETED" and job in self.jobs:
                self.jobs.remove(job)
        elif word == b"USING":
            self.used[number] = result[0][6:]
        elif word == b"WATCHING":
            tube = command.split(b" ", 1)[1]
            tubes = self.watched[number]
            if command.startswith(b"watch") and tube not in tubes:
                tubes.append(tube)
            elif command.startswith(b"ignore") and tube in tubes:
                tubes.remove(tube)

    def look_after_waiter(self, number):
        """Somebody waits: was it answered meanwhile? Both servers must agree."""
        if self.waiting is None or self.waiting == number:
            return
        left = [server.stats()[b"current-waiting"] for server in self.servers]
        if left[0] != left[1]:
            raise Difference(f"current-waiting: {left}, connection {self.waiting} waits")
        if left[0] == b"0":
            waiter, self.waiting = self.waiting, None
            said, self.behind = [b"reserve", *self.behind], []
            for command, result in zip(said, self.collect(waiter, said)):
                self.follow(waiter, command, result)

    def start_waiting(self, number):
        command = self.random.choice([b"reserve", b"reserve-with-timeout %d" % self.random.choice(LONG_S)])
        self.behind = [self.one_command(number) for _ in range(self.random.choice([0, 1, 3, 30]))]
        self.send(number, [command, *self.behind])
        self.waiting = number
        self.history.append((self.step, number, b"%s, and behind it %d commands" % (command, len(self.behind)), None))
        busy = [False, False]
        deadline = time.monotonic() + PATIENCE_S
        for i, (server, connection) in enumerate(zip(self.servers, self.connections[number])):
            # It waits, or its answer is there: one of the two comes.
            connection.socket.settimeout(0)
            while time.monotonic() < deadline:
                try:
                    connection.have += connection.socket.recv(1 << 20)
                except BlockingIOError:
                    pass
                if connection.have:
                    busy[i] = True
                    break
                if server.stats()[b"current-waiting"] == b"1":
                    break
            connection.socket.settimeout(PATIENCE_S)
        if busy[0] != busy[1]:
            raise Difference(f"{command!r}: answered at once: {busy}")
        if busy[0]:
            self.waiting = None
            said, self.behind = [command, *self.behind], []
            for command, result in zip(said, self.collect(number, said)):
                self.follow(number, command, result)

    def stop_waiting(self):
        """Close half of the connection, or all of it. If something stands behind the wait, then half: how much of it is done for a
        client that is gone is a race."""
        number, self.waiting = self.waiting, None
        said, self.behind = [b"reserve", *self.behind], []
        if len(said) > 1 or self.random.random() < 0.5:
            for connection in self.connections[number]:
                connection.socket.shutdown(socket.SHUT_WR)
            self.history.append((self.step, number, b"(half close)", None))
            for command, result in zip(said, self.collect(number, [*said, b"(end)"])):
                self.follow(number, command, result)
        self.history.append((self.step, number, b"(close)", None))
        self.forget(number)

    # ---------------------------------------------------------------- choosing commands

    def some_job(self, number):
        held = sorted(self.held[number])
        if held and self.random.random() < 0.75:
            return b"{%d}" % self.random.choice(held)
        if self.jobs and self.random.random() < 0.95:
            return b"{%d}" % self.random.choice(self.jobs)
        return b"{%d}" % self.random.randrange(1, 2 + self.inserted * 2)

    def some_pri(self):
        return self.random.choice([0, 1, 5, 1023, 1024, 4294967295, self.random.randrange(1 << 32)])

    def some_delay(self):
        """No two are alike: of two jobs that became delayed in the same moment, one server's clock may not see the order."""
        if self.random.random() < 0.75:
            return 0
        while True:
            delay = 1000 * self.random.randrange(100, 4000000)
            if delay not in self.delays:
                self.delays.add(delay)
                return delay

    def put(self):
        size = self.random.choice([0, 1, 8, 100, 101, 300, self.random.randrange(3000), self.random.randrange(65536)])
        if self.random.random() < 0.8:
            size %= 120
        body = self.random.randbytes(size)
        head = b"put %d %d %d " % (self.some_pri(), self.some_delay(), self.random.choice([0, *LONG_S]) or 100000)
        luck = self.random.random()
        if luck < 0.01:
            return Whole(head + b"%d\r\n" % size + body + b"xy")  # EXPECTED_CRLF
        if luck < 0.015:
            return head + b"65536\r\n" + bytes(65536)
        return head + b"%d\r\n" % size + body

    def one_command(self, number):
        r = self.random
        crowded = len(self.jobs) > 400
        kind = r.choices(
            ["put", "reserve", "reserve-job", "delete", "release", "bury", "touch", "kick", "kick-job", "use", "watch", "ignore",
             "peek", "peek-x", "pause", "stats", "stats-job", "stats-tube", "list", "odd"],
            [4 if crowded else 22, 18, 2, 22 if crowded else 9, 7, 5, 3, 2, 2, 4, 4, 3, 3, 4, 2, 1, 4, 3, 3, 2])[0]
        job, tube = self.some_job(number), r.choice(TUBES)
        if kind == "put":
            return self.put()
        if kind == "reserve":
            return b"reserve-with-timeout 0"
        if kind in ("reserve-job", "delete", "touch", "kick-job", "peek", "stats-job"):
            return kind.encode() + b" " + job
        if kind == "release":
            return b"release %s %d %d" % (job, self.some_pri(), self.some_delay())
        if kind == "bury":
            return b"bury %s %d" % (job, self.some_pri())
        if kind == "kick":
            return b"kick %d" % r.choice([0, 1, 2, 3, 10, 100000])
        if kind in ("use", "watch", "ignore", "stats-tube"):
            return kind.encode() + b" " + tube
        if kind == "peek-x":
            return r.choice([b"peek-ready", b"peek-delayed", b"peek-buried"])
        if kind == "pause":
            return b"pause-tube %s %d" % (tube, r.choice([0, 0, r.choice(LONG_S)]))
        if kind == "stats":
            return b"stats"
        if kind == "list":
            return r.choice([b"list-tubes", b"list-tube-used", b"list-tubes-watched"])
        return r.choice(ODD_LINES)

    def can_close(self, number):
        """A waiter gets the first job that comes back, and of several that is not the same one everywhere."""
        return number != self.waiting and (self.waiting is None or len(self.held[number]) < 2)

    def random_step(self):
        self.step += 1
        luck = self.random.random()
        idle = [n for n in self.connections if n != self.waiting]
        if len(idle) < 2 or (luck < 0.004 and len(self.connections) < self.connections_max):
            self.open()
            return
        number = self.random.choice(idle)
        if luck < 0.007 and self.can_close(number):
            self.close(number)
        elif luck < 0.02 and self.waiting is None:
            self.start_waiting(number)
        elif luck < 0.022 and self.waiting is not None:
            self.stop_waiting()
        elif luck > 0.99 and not (self.waiting is not None and self.behind):
            # A job of its own would end the wait, and what stands behind that may count this connection, or not any more.
            self.garbage()
        else:
            count = 1 if self.waiting is not None or luck < 0.5 else self.random.randrange(2, 30)
            self.exchange(number, [self.one_command(number) for _ in range(count)])

    # ---------------------------------------------------------------- the two other parts

    def until(self, number, command, meanwhile, word):
        """Repeat it until it is answered with that word, and with the other one before."""
        last = []
        for server, connection in zip(self.servers, self.connections[number]):
            deadline = time.monotonic() + PATIENCE_S
            while True:
                connection.send(self.encode(server, command))
                last.append(self.common(server, command, *connection.reply()))
                if last[-1][0].startswith(word):
                    break
                if last.pop()[0] != meanwhile or time.monotonic() > deadline:
                    raise Difference(f"{server.address}: {command!r}: neither {meanwhile!r} nor soon {word!r}")
                server.discount(b"cmd-" + command)
                time.sleep(0.01)
        self.history.append((self.step, number, command, last[0]))
        if last[0] != last[1]:
            raise Difference(f"{command!r}: {last[0]} and {last[1]}")

    def due(self):
        """What happens by itself: each wait is for its end, however long it takes."""
        self.step += 1
        tube = b"due"
        self.open()
        number = self.connections_opened
        self.exchange(number, [b"use " + tube, b"watch " + tube, b"ignore default"])
        self.exchange(number, [b"reserve-with-timeout 1"])
        # The last second of a TTR of one second has begun: DEADLINE_SOON until it is over.
        self.exchange(number, [b"put 0 0 1 5\r\nhello", b"reserve"])
        self.until(number, b"reserve", b"DEADLINE_SOON", b"RESERVED")
        job = b"{%d}" % self.inserted
        self.exchange(number, [b"delete " + job])
        self.exchange(number, [b"put 0 1 100000 5\r\nlater", b"reserve-with-timeout 0", b"reserve"])
        job = b"{%d}" % self.inserted
        self.exchange(number, [b"stats-job " + job, b"release %s 7 1" % job, b"reserve"])
        self.exchange(number, [b"release %s 7 0" % job, b"pause-tube due 1", b"reserve", b"stats-job " + job])
        self.exchange(number, [b"bury %s 3" % job, b"kick 9", b"reserve", b"delete " + job])
        # Waits with other waits and their own jobs behind them, all said at once.
        self.exchange(number, [b"reserve-with-timeout 1", b"reserve-with-timeout 1", b"put 0 0 2 5\r\nlater", b"stats-tube due"])
        job = b"{%d}" % self.inserted
        self.exchange(number, [b"reserve", b"reserve", b"reserve-with-timeout 0", b"touch " + job, b"reserve-with-timeout 0",
                               b"list-tubes-watched", b"reserve-with-timeout 100", b"release %s 0 1" % job, b"peek-delayed", b"reserve",
                               b"delete " + job, b"stats-tube due"])
        self.forget(number)

    def settle(self):
        """Many jobs whose delays, TTRs and pauses end within seconds. Nothing is said meanwhile that a moment could decide; then all is compared."""
        r = self.random
        self.step += 1
        self.open()
        number = self.connections_opened
        tube = b"settle-%d" % self.step
        self.exchange(number, [b"use " + tube, b"watch " + tube, b"ignore default"])
        first = self.inserted + 1
        self.exchange(number, [b"put %d %d %d 3\r\njob" % (r.randrange(3), r.choice([0, 1, 1, 2]), r.choice([1, 2, 3])) for _ in range(60)])
        jobs = [b"{%d}" % job for job in range(first, self.inserted + 1)]
        kept = [b"{%d}" % (self.inserted + 1 + i) for i in range(30)]
        self.exchange(number, [b"put %d 0 %d 4\r\nkept" % (r.randrange(3), r.choice(LONG_S)) for _ in kept])
        # Each of the first kind is reserved once and never mentioned again; what is done with the others is due later.
        self.exchange(number, [b"reserve-job " + job for job in r.sample(jobs, 40) + kept])
        self.exchange(number, [b"release %s %d %d" % (job, r.randrange(3), r.choice([1, 2])) for job in kept[:10]])
        self.exchange(number, [b"bury %s %d" % (job, r.randrange(3)) for job in kept[10:15]])
        self.exchange(number, [b"touch " + job for job in kept[15:]])
        self.exchange(number, [b"pause-tube %s 2" % tube])
        left = b"%d" % len(kept[15:])

        def is_settled(stats):
            return stats[b"current-jobs-reserved"] == left and stats[b"current-jobs-delayed"] == stats[b"pause"] == b"0"

        self.wait_for("end of delays and TTRs", is_settled, b"stats-tube " + tube, number)
        self.exchange(number, [b"use " + tube, b"stats-tube " + tube] + [b"stats-job " + job for job in jobs + kept])
        self.exchange(number, [b"release %s 1 0" % job for job in kept[15:]] + [b"kick 3", b"peek-ready", b"peek-buried", b"peek-delayed"])
        while (line := self.exchange(number, [b"reserve-with-timeout 0"])[0][0]) != b"TIMED_OUT":
            self.exchange(number, [b"delete {%s}" % line.split(b" ")[1][3:]])
        self.exchange(number, [b"delete " + job for job in jobs + kept])
        self.forget(number)

    def drain(self, pids):
        """SIGUSR1 in the middle of a put: it is refused, and so are all others that have no error of their own. Everything else goes on."""
        self.step += 1
        self.open()
        number = self.connections_opened
        self.exchange(number, [Whole(b"list-tube-used\r\nput 0 0 100000 5\r\nhel")])
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        for server in self.servers:
            deadline = time.monotonic() + PATIENCE_S
            while server.stats()[b"draining"] != b"true":
                if time.monotonic() > deadline:
                    raise Difference(f"{server.address} does not drain")
                time.sleep(0.01)
        self.exchange(number, [Whole(b"lo\r\n")])
        self.exchange(number, [Whole(b"put 0 0 100000 2\r\nxyzz"), b"put 0 0 100000 2\r\nxy", b"put 0 0 100000 65536\r\n" + bytes(65536), b"put 0 0 1",
                               b"list-tube-used", b"put 0 0 100000 0\r\n", b"reserve-with-timeout 0", b"stats-tube default"])
        self.forget(number)

    def end(self):
        """Counters that come late have come in the end."""
        self.step += 1
        deadline = time.monotonic() + PATIENCE_S
        while True:
            # cmd-stats itself is counted by asking, and not equally often.
            stats = [self.common_stats(s, s.stats(), OWN_KEYS | {b"cmd-stats"}) for s in self.servers]
            if stats[0] == stats[1]:
                return
            if time.monotonic() > deadline:
                differ = [k for k in stats[0] if stats[0][k] != stats[1].get(k)]
                raise Difference("at the end: " + ", ".join(
                    f"{k.decode()}: {stats[0][k].decode()} and {stats[1].get(k, b'none').decode()}" for k in differ))
            time.sleep(0.05)

    def play(self, count, pids):
        while self.commands < count:
            self.random_step()
        if self.waiting is not None:
            self.stop_waiting()
        self.due()
        self.settle()
        if pids:
            self.drain(pids)
        self.end()


def unlike(first, other):
    """The lines of both that the other one has not."""
    lines = [(body or b"").split(b"\n") for body in (first, other)]
    return [b"\n".join(line for line in lines[i] if line not in lines[1 - i]) for i in range(2)]


def show(value, most=300):
    return repr(value if value is None or len(value) <= most else value[:most] + b"...")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100000, help="commands (100000)")
    parser.add_argument("--connections", type=int, default=8, help="at most so many at a time (8)")
    parser.add_argument("--history", type=int, default=40, help="lines to print before a difference (40)")
    parser.add_argument("--drain", type=int, action="append", metavar="PID", help="the servers' processes, which get SIGUSR1 at the end")
    parser.add_argument("addresses", nargs=2, metavar="ADDRESS")
    options = parser.parse_args()
    player = Player(options)
    try:
        player.play(options.count, options.drain)
    except Difference as difference:
        for step, number, command, reply in player.history:
            print(f"step {step}, connection {number}: {show(command, 120)}", end="")
            print(f" -> {show(reply[0], 120)} {show(reply[1], 120) if reply[1] else ''}" if reply else "")
        print(f"DIFFERENCE in step {player.step}, after {player.commands} commands, seed {options.seed}\n{difference}")
        return 1
    print(f"{player.commands} commands on {player.connections_opened} connections, seed {options.seed}: no difference")
    print("  " + ", ".join(f"{kind.decode() or 'closed'} {n}" for kind, n in sorted(player.kinds.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
