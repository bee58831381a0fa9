# SPDX-License-Identifier: Apache-2.0
"""A client of the queue for tests that needs nothing but Python.

  beans.py put SERVERS TUBE FIRST COUNT [ACKED]   jobs "FIRST", "FIRST + 1", ...: each, once acknowledged, to ACKED
  beans.py work SERVERS TUBE COUNT DONE           reserve and delete until DONE names COUNT different jobs
  beans.py hold SERVERS TUBE                      reserve one, print its body, and keep the connection open
  beans.py ask SERVERS COMMAND ...                send lines, print the first line of each answer
  beans.py crowd SERVERS COUNT                    print how many of so many connections that stay open are answered
  beans.py fill SERVERS COUNT                     so many connections that say something and stay until standard input ends; whoever was
                                                  not answered then is later
  beans.py talk SERVERS                           the same with lines of standard input, each as it comes; GONE at the end of the
                                                  connection, which does not end before

SERVERS is ADDRESS:PORT, or several with commas. Whoever loses its server goes on with the next one: a put without
an answer is sent again, and a job whose deletion has no answer comes back or is gone.
"""
import itertools
import socket
import sys
import threading
import time

PATIENCE_S = 60  # without any answer
TTR_S = 3600     # a job that comes back sooner was given back


class Gone(Exception):
    """The server is not there, or says that this client is to begin anew."""


class Server:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, line, body=None):
        """The words of the answer's first line, with the body of a reserved job behind them."""
        text = line.encode() + b"\r\n"
        if body is not None:
            text += body + b"\r\n"
        self.socket.sendall(text)
        answer = self.file.readline()
        if not answer.endswith(b"\r\n"):
            raise Gone(answer)
        words = answer.decode().split()
        if words[0] in ("RESERVED", "OK", "FOUND"):
            words.append(self.file.read(int(words[-1]) + 2)[:-2])
        return words


def steadily(servers, begin, step):
    """step(server) until it returns something, on whichever server answers; begin(server) on each new connection."""
    deadline = time.monotonic() + PATIENCE_S
    for address in itertools.cycle(servers):
        try:
            server = Server(address)
            begin(server)
            while True:
                result = step(server)
                deadline = time.monotonic() + PATIENCE_S
                if result is not None:
                    return result
        except (OSError, Gone) as error:
            if time.monotonic() > deadline:
                sys.exit(f"beans.py: no server for {PATIENCE_S} s: {error}")
            time.sleep(0.05)


def expect(words, word):
    if words[0] in ("INTERNAL_ERROR", "OUT_OF_MEMORY"):
        raise Gone(words)
    if words[0] != word:
        sys.exit(f"beans.py: {words} instead of {word}")
    return words


def put(servers, tube, first, count, acked="/dev/null"):
    numbers = iter(range(int(first), int(first) + int(count)))
    state = {"next": next(numbers, None)}

    def step(server):
        number = state["next"]
        if number is None:
            return True
        body = str(number).encode()
        expect(server.ask(f"put 10 0 {TTR_S} {len(body)}", body), "INSERTED")
        out.write(f"{number}\n")
        out.flush()
        state["next"] = next(numbers, None)
        return None

    with open(acked, "a") as out:
        steadily(servers, lambda server: expect(server.ask(f"use {tube}"), "USING"), step)


def watch(tube):
    def begin(server):
        expect(server.ask(f"watch {tube}"), "WATCHING")
        expect(server.ask("ignore default"), "WATCHING")
    return begin


def work(servers, tube, count, done):
    def step(server):
        words = server.ask("reserve-with-timeout 1")
        if words[0] == "RESERVED":
            # Worked on before it is deleted: of a deletion without an answer nobody knows.
            out.write(words[-1].decode() + "\n")
            out.flush()
            server.ask(f"delete {words[1]}")
        with open(done) as lines:
            return True if len(set(lines)) >= int(count) else None

    with open(done, "a") as out:
        steadily(servers, watch(tube), step)


def hold(servers, tube):
    def step(server):
        words = expect(server.ask("reserve"), "RESERVED")
        print(words[-1].decode(), flush=True)
        server.file.read()  # until the server, or this process, ends
        sys.exit(0)

    steadily(servers, watch(tube), step)


def ask(servers, *lines):
    server = Server(servers[0])
    for line in lines:
        line, _, body = line.partition("|")
        print(*(word.decode() if isinstance(word, bytes) else word
                for word in server.ask(line, body.encode() if body else None)))


def crowd(servers, count):
    print(sum(expect(server.ask("list-tube-used"), "USING")[0] == "USING"
              for server in [Server(servers[0]) for _ in range(int(count))]))


def fill(servers, count):
    address = servers[0].rsplit(":", 1)
    crowd = [socket.create_connection((address[0], int(address[1])), timeout=PATIENCE_S) for _ in range(int(count))]
    for connection in crowd:
        connection.sendall(b"list-tube-used\r\n")
    sys.stdin.read()
    for connection in crowd:
        if connection.recv(100) != b"USING default\r\n":
            sys.exit("beans.py: not answered")
        connection.close()


def talk(servers):
    server = Server(servers[0])
    server.socket.settimeout(None)

    def say():
        for line in sys.stdin:
            server.socket.sendall(line.encode().replace(b"\n", b"\r\n"))

    threading.Thread(target=say, daemon=True).start()
    try:
        for line in server.file:
            print(line.decode().strip(), flush=True)
    except OSError:
        pass  # a reset is an end, too
    print("GONE", flush=True)


if __name__ == "__main__":
    {"put": put, "work": work, "hold": hold, "ask": ask, "crowd": crowd, "fill": fill, "talk": talk}[sys.argv[1]](sys.argv[2].split(","), *sys.argv[3:])
