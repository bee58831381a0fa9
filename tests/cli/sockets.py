#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""decreed with sockets that a service manager has opened (LISTEN_FDS): they take the place of its addresses, and whoever
connects while it restarts is served by the next process.

    sockets.py DECREED
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

DEADLINE_S = 60


class Failure(Exception):
    pass


class Client:
    def __init__(self, address, family=socket.AF_INET):
        self.socket = socket.socket(family)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(address)

    def put(self):
        self.socket.sendall(b"put 0 0 60 5\r\nhello\r\n")

    def hear(self, expected):
        answer = self.socket.makefile("rb").readline()
        if answer != expected:
            raise Failure(f"{answer} instead of {expected}")


class Daemon:
    """It gets @p files as the descriptors from 3 on."""

    def __init__(self, work, files):
        self.log = work / "log"
        # The shell becomes decreed, so that $$ is its pid.
        takes = " ".join(f'{3 + i}<&"${{{i + 1}}}"' for i in range(len(files)))
        script = f'exec {takes}; shift {len(files)}; LISTEN_PID=$$ LISTEN_FDS={len(files)} exec "$@"'
        numbers = [file.fileno() for file in files]
        with open(self.log, "w", encoding="utf-8") as to:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", *map(str, numbers),
                 sys.argv[1], "--sandbox", "-b", str(work / "queue"), "-p", "0"],
                stderr=to, pass_fds=numbers)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.wait(0)

    def wait(self, status):
        if self.process.wait(DEADLINE_S) != status:
            raise Failure(f"it ends with status {self.process.returncode}, not {status}")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def must_have_said(self, text):
        said = self.log.read_text()
        if text not in said:
            raise Failure(f"not said: {text}")
        return said


def serve(work, port, path):
    """Two lives with the same sockets."""
    address = port.getsockname()
    daemon = Daemon(work, [port, path])
    try:
        for number, client in enumerate([Client(address), Client(str(work / "path"), socket.AF_UNIX)], 1):
            client.put()
            client.hear(b"INSERTED %d\r\n" % number)
        said = daemon.must_have_said(f"queue on 127.0.0.1:{address[1]}, a socket of the service manager's")
        daemon.must_have_said("queue on unix:")
        if said.count("queue on") != 2:
            raise Failure("it listens elsewhere, too")
        daemon.stop()
        between = Client(address)
        between.put()
        daemon = Daemon(work, [port, path])
        between.hear(b"INSERTED 3\r\n")
        daemon.stop()
    finally:
        daemon.end()


def refuse(work, files, text):
    daemon = Daemon(work, files)
    try:
        daemon.wait(2)
        daemon.must_have_said(text)
    finally:
        daemon.end()


def main():
    work = pathlib.Path(os.path.relpath(tempfile.mkdtemp(prefix="sockets-", dir=".")))
    port, path = socket.socket(), socket.socket(socket.AF_UNIX)
    port.bind(("127.0.0.1", 0))
    path.bind(str(work / "path"))  # relative, for such paths are short
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    try:
        for listening in port, path:
            listening.listen()
        serve(work, port, path)
        refuse(work, [datagrams], "cannot listen on descriptor 3: it is no stream socket that listens")
        refuse(work, [port] * 9, "9 sockets are given to the queue, which serves 8 at most")
        print("the manager's sockets are served, also for who came between two lives")
        return 0
    except Failure as failure:
        print(f"FAILED: {failure}\n{(work / 'log').read_text()}")
        return 1
    finally:
        shutil.rmtree(work)


sys.exit(main())
