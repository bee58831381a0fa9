# SPDX-License-Identifier: Apache-2.0
"""Many connections that say all at once what they have to say, while a test does something to their servers.

  crowd.py SERVERS COUNT BUSY DONE

COUNT connections, shared out among SERVERS (ADDRESS:PORT with commas), each with 20 puts and as many reserves without patience in one
breath, and then again and again until there is a file DONE. The file BUSY appears when all are at it. In the end each connection has all its replies or was closed by
its server, the replies are those to its commands in their order, and each job that was acknowledged is there: the last of the
servers is asked.
"""
import os
import selectors
import socket
import sys
import time

PATIENCE_S = 120
ROUNDS = 20
TUBE = "crowd"
BODY = b"x" * 50


class Member:
    """@param expected  the first word of each reply"""

    def __init__(self, address, text, expected):
        host, port = address.rsplit(":", 1)
        self.unsent, self.unread = text, b""
        self.expected = expected
        self.inserted = []
        self.is_over = False
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setblocking(False)

    def add_rounds(self):
        put = f"put 0 0 3600 {len(BODY)}\r\n".encode() + BODY + b"\r\n"
        self.unsent += (put + b"reserve-with-timeout 0\r\n") * ROUNDS
        self.expected += ["INSERTED", "RESERVED"] * ROUNDS

    def write(self):
        self.unsent = self.unsent[self.socket.send(self.unsent):]

    def read(self):
        """@return how many replies came"""
        some = self.socket.recv(65536)
        self.is_over = some == b""
        self.unread += some
        count = 0
        while self.take_reply():
            count += 1
        return count

    def take_reply(self):
        line, end, rest = self.unread.partition(b"\r\n")
        words = line.decode().split()
        if not end:
            return False
        if words[0] in ("RESERVED", "FOUND"):
            if len(rest) < int(words[2]) + 2:
                return False
            if rest[:int(words[2])] != BODY:
                sys.exit(f"crowd.py: another body came: {rest[:100]}")
            rest = rest[int(words[2]) + 2:]
        if words[0] != self.expected[0] and (words[0], self.expected[0]) != ("TIMED_OUT", "RESERVED"):
            sys.exit(f"crowd.py: {words} instead of {self.expected[0]}")
        if words[0] == "INSERTED":
            self.inserted.append(int(words[1]))
        del self.expected[0]
        self.unread = rest
        return True


def serve(selector, member, events, goes_on):
    """@return how many replies came"""
    count = 0
    try:
        if events & selectors.EVENT_WRITE:
            member.write()
        if events & selectors.EVENT_READ:
            count = member.read()
        if goes_on and len(member.expected) < ROUNDS:
            member.add_rounds()
        selector.modify(member.socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if member.unsent else 0), member)
    except OSError:
        member.is_over = True
    return count


def talk(members, busy=None, done=None):
    """Until each has its replies or its end. With files: BUSY is made, and until there is DONE each goes on."""
    selector = selectors.DefaultSelector()
    for member in members:
        selector.register(member.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, member)
    count = 0
    deadline = time.monotonic() + PATIENCE_S
    while selector.get_map():
        if time.monotonic() > deadline:
            left = [len(member.expected) for member in members if not member.is_over]
            sys.exit(f"crowd.py: {len(left)} connections wait for {sum(left)} replies, and nobody closes them")
        goes_on = done is not None and not os.path.exists(done)
        for key, events in selector.select(0.1):
            member = key.data
            count += serve(selector, member, events, goes_on)
            if member.is_over or not member.expected:
                selector.unregister(member.socket)
                member.socket.close()
        if busy is not None and count > len(members) * ROUNDS:
            open(busy, "w").close()


def worker(address):
    member = Member(address, f"use {TUBE}\r\nwatch {TUBE}\r\n".encode(), ["USING", "WATCHING"])
    member.add_rounds()
    return member


def witness(address, jobs):
    return Member(address, b"".join(f"peek {job}\r\n".encode() for job in jobs), ["FOUND"] * len(jobs))


def main():
    servers, count, busy, done = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    members = [worker(servers[i % len(servers)]) for i in range(count)]
    talk(members, busy, done)
    closed = sum(1 for member in members if member.expected)
    acked = [job for member in members for job in member.inserted]
    if closed < count // len(servers):
        sys.exit("crowd.py: nobody was disconnected, so none of the servers has died")
    print(f"{count - closed} connections have all replies, {closed} were closed; {len(acked)} jobs were acknowledged")
    if len(set(acked)) != len(acked):
        sys.exit("crowd.py: an id was given twice")
    witnesses = [witness(servers[-1], acked[i::20]) for i in range(20)]
    talk(witnesses)
    if any(member.expected for member in witnesses):
        sys.exit("crowd.py: the connections that ask for the jobs were closed")


if __name__ == "__main__":
    main()
