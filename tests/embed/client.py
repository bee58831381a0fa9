#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What share/python/decree.py promises, on three nodes with the log machine, which answers each command with its number.

    client.py CLUSTER.INI SCRIPTS/CLUSTER     with PYTHONPATH and DECREE_LIBRARY as installed
"""
import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import threading

import decree

LONG_S = 60  # far beyond what a slow machine takes


def check(is_so, what):
    if not is_so:
        raise SystemExit(f"FAILED: {what}")


@contextlib.contextmanager
def raises(kind, number=None, text=""):
    try:
        yield
    except kind as failure:
        check(number is None or failure.errno == number, f"{failure!r} is not errno {number}")
        check(text in str(failure), f"no word of {text!r} in {failure}")
        return
    raise SystemExit(f"FAILED: no {kind.__name__} was raised")


def leader(client):
    """The node that leads and takes commands, once there is one."""
    while True:
        for node in (1, 2, 3):
            with contextlib.suppress(decree.Timeout):
                status = client.status(node)
                if status.role == decree.Role.LEADER and status.is_ready:
                    return status
    return None


def one_after_the_other(client, cluster):
    check(client.submit(b"one", timeout=LONG_S) == decree.Result(0, 1), "the first command is number 1")
    check(client.read(b"count", timeout=LONG_S) == b"1", "a read sees it")
    check(client.submit(bytes(1000), LONG_S).result == 2, "a body may hold zeros")
    check(client.in_flight == 0, "nothing is in flight")
    status = leader(client)
    check(status.members == (1, 2, 3) and status.applied_count == 2 and status.log_mode == decree.LogMode.DURABLE,
          f"the leader says {status}")
    check({peer.node for peer in status.peers} == {1, 2, 3} - {status.node}, f"the peers are {status.peers}")
    stale = client.read(b"digest", decree.Consistency.STALE, node=status.node, timeout=LONG_S)
    check(stale.decode() == client.status(status.node).digest, "a stale read of one node is what its status has")


def refusals(client, config, cluster):
    with raises(decree.Error, errno.ENOENT, "nowhere.ini"):
        decree.Client("nowhere.ini")
    with raises(decree.Error, errno.EINVAL, "there is no group 5"):
        decree.Client(config, group=5)
    with raises(decree.Error, None, "no_such_key"):
        decree.Client(config, ["cluster.no_such_key=1"])
    with raises(decree.Error, errno.EMSGSIZE, "command_bytes_max"):
        client.send(bytes(10_000_000))
    with raises(TypeError):
        client.send("text")
    with raises(decree.Error, errno.EINVAL):
        client.read(b"nonsense", timeout=LONG_S)
    with raises(decree.Error, errno.ENOENT, "no node 9"):
        client.status(9)
    with raises(decree.Error, errno.ENOENT, "no node 9"):
        client.read(b"count", node=9)
    closed = decree.Client(config)
    closed.close()
    closed.close()
    with raises(decree.Error, errno.EBADF, "closed"):
        closed.poll()


def strangers(client):
    """Another thread and another process are told, and do no harm."""
    said = []

    def other_thread():
        try:
            client.submit(b"not mine")
        except decree.Error as failure:
            said.append(failure.errno)

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    check(said == [errno.EPERM], f"another thread got {said}")
    child = os.fork()
    if child == 0:
        try:
            client.submit(b"not mine")
        except decree.Error as failure:
            client.close()
            os._exit(failure.errno)
        os._exit(0)
    check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EPERM, "a forked process used the session")
    check(client.submit(b"mine", LONG_S).result == 3, "neither was executed, and the session goes on")


def through_a_dead_leader(client, cluster):
    """Each command is executed once, in order, although the leader dies, and comes back, while hundreds are in flight."""
    first = int(client.read(b"count", timeout=LONG_S)) + 1
    commands = []
    for i in range(3000):
        if i == 1000:
            victim = str(leader(client).node)
            subprocess.run([cluster, "kill", victim], check=True)
        if i == 2000:
            subprocess.run([cluster, "start", victim], check=True)
        commands.append(client.send(b"line %d" % i, timeout=LONG_S))
    results = [command.wait(LONG_S).result for command in commands]
    check(results == list(range(first, first + 3000)), "executed once, in order")
    check(int(client.read(b"count", timeout=LONG_S)) == first + 2999, "and nothing besides")
    print(f"3000 commands, node {victim} killed and back: each executed once, in order")


def without_a_majority(client, cluster):
    """A time-out is no answer, and nothing is lost or doubled by it."""
    before = int(client.read(b"count", timeout=LONG_S))
    for node in ("1", "2"):
        subprocess.run([cluster, "kill", node], check=True)
    with raises(decree.Timeout, errno.ETIMEDOUT, "stays in flight") as _:
        client.submit(b"late", timeout=0.3)
    with raises(TimeoutError):
        client.read(b"count", timeout=0.3)
    with raises(decree.Timeout, errno.ETIMEDOUT, "node 1 did not answer"):
        client.status(1, timeout=0.3)
    try:
        client.submit(b"later", timeout=0)
    except decree.Timeout as failure:
        command = failure.command
    check(command is not None and not command.is_done and client.in_flight == 2, "both are in flight")
    # Ctrl-C is heard while a call waits.
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with raises(KeyboardInterrupt):
        command.wait()
    for node in ("1", "2"):
        subprocess.run([cluster, "start", node], check=True)
    check(command.wait(LONG_S).result == before + 2 and client.in_flight == 0, "both were executed, once each")
    check(int(client.read(b"count", timeout=LONG_S)) == before + 2, "and nothing besides")


def event_loop(client):
    command = client.send(b"for select", timeout=LONG_S)
    done = []
    while not done:
        select.select([client], [], [], 0.005)
        done = client.poll()
    check(done == [command] and command.is_done, "poll() hands over what was answered")


def main(config, cluster):
    print(f"libdecree {decree.version()}")
    with decree.Client(config) as client:
        one_after_the_other(client, cluster)
        refusals(client, config, cluster)
        strangers(client)
        through_a_dead_leader(client, cluster)
        without_a_majority(client, cluster)
        event_loop(client)
        before = int(client.read(b"count", timeout=LONG_S))
    # Another session goes on where that one was.
    with decree.Client(config) as client:
        check(client.submit(b"again", LONG_S).result == before + 1, "a new session")


if __name__ == "__main__":
    main(*sys.argv[1:])
