# SPDX-License-Identifier: Apache-2.0
"""Submit commands to a decree cluster, and read, from Python: libdecree's client by ctypes, and nothing else.

    import decree

    with decree.Client("cluster.ini") as client:
        result = client.submit(b"hello")         # executed once, whatever fails meanwhile
        answer = client.read(b"count")           # sees everything that was answered to anybody before

The file needs `[cluster]` with `client_key_file`, and the `[node N]` sections. The library is found as `libdecree.so.0`; the
environment variable DECREE_LIBRARY names another file.

Exactly once.  A client has a session and numbers its commands; it repeats each under its number, to whichever node leads, until it is
answered. So never submit a command again because it takes long: a `Timeout` says that there is no answer yet, not that there will be
none, and has the command to go on waiting for. Commands are executed in the order in which they were submitted.
Repeating happens in the calls of this module: whoever has commands in flight calls `poll()`, or waits, every now and then.

Threads.  A client belongs to the thread that opened it. Other threads run while a call waits. Times are in seconds.
"""
from __future__ import annotations

import ctypes
import dataclasses
import enum
import errno
import os
import threading
import time
from collections.abc import Iterable, Sequence

__all__ = ["Client", "Command", "Consistency", "Error", "Evicted", "Idle", "LogMode", "Peer", "Refused", "Result", "Role", "Status",
           "Timeout", "Unknown", "version"]

_ERROR_BYTES = 512
_NODE_COUNT_MAX = 7
_ANSWER_BYTES_MAX = 1024
_POLL_COUNT = 64
_SLICE_S = 0.1  # of a long wait: in between Ctrl-C is heard
_READ_SLICE_S = 1.0  # a question that is given up is asked again from the beginning


class Role(enum.IntEnum):
    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2


class Consistency(enum.IntEnum):
    """How much a read must have seen."""
    LINEARIZABLE = 0  # every command that had been answered to anybody when the read began
    LEASE = 1  # the same, without a round trip, as far as the nodes' clocks can be trusted
    STALE = 2  # whatever the asked node has applied, which may be long ago


class LogMode(enum.IntEnum):
    DURABLE = 0
    BUFFERED = 1
    MEMORY = 2


class Idle(enum.IntEnum):
    AUTO = 0
    SPIN = 1
    YIELD = 2
    SLEEP = 3


class Error(OSError):
    """Something that a call was refused for: `errno` and one sentence."""


class Timeout(Error, TimeoutError):
    """No answer in time. `command` is still in flight, to be waited for; None: nothing was accepted, so that to submit it again is fine."""

    def __init__(self, text: str, command: Command | None = None):
        super().__init__(errno.ETIMEDOUT, text)
        self.command = command


class _Outcome(Error):
    def __init__(self, text: str):
        super().__init__(errno.ECANCELED, text)


class Refused(_Outcome):
    """Never executed, and it never will be."""


class Unknown(_Outcome):
    """It may have been executed, once, or not."""


class Evicted(_Outcome):
    """The session was silent for long and gave way to another one before the answer came. The command may have been executed, once: find
    out before you submit it again."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the state machine answered."""
    status: int  # 0 should mean success
    result: int


@dataclasses.dataclass(frozen=True)
class Peer:
    node: int
    is_connected: bool  # authenticated, both directions
    echo_age: float | None  # since it last echoed a heartbeat of the asked node; None = never
    commit: int


@dataclasses.dataclass(frozen=True)
class Status:
    """What one node says of the client's group."""
    node: int
    role: Role
    is_ready: bool  # leader: takes commands
    leader: int  # 0 = unknown
    ballot: int
    chosen: int
    applied: int
    digest: str  # of the state after `applied`
    applied_count: int  # commands executed
    log_mode: LogMode
    has_auth: bool
    idle: Idle
    is_log_full: bool
    log_bytes_used: int
    log_bytes: int
    boot_count: int
    uptime: float
    memory_bytes: int
    snapshot: int  # slot of the snapshot that counts, 0 = none
    session_count: int
    members: tuple[int, ...]  # of the newest configuration decided
    peers: tuple[Peer, ...]


class Command:
    """A command on its way, as `Client.send()` gives it."""

    def __init__(self, client: Client):
        self._client = client
        self._outcome: int | None = None
        self._result = Result(0, 0)

    @property
    def is_done(self) -> bool:
        return self._outcome is not None

    def wait(self, timeout: float | None = None) -> Result:
        """Its answer. Raises Timeout, Refused, Unknown or Evicted."""
        return self._client.wait(self, timeout)


# ---- the structures of <decree/client.h>; slots, ballots and sessions are one number each

class _Options(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("config_path", ctypes.c_char_p), ("settings", ctypes.POINTER(ctypes.c_char_p)),
                ("setting_count", ctypes.c_uint32), ("group", ctypes.c_uint16), ("in_flight_max", ctypes.c_uint32)]


class _Completion(ctypes.Structure):
    _fields_ = [("cookie", ctypes.c_void_p), ("seq", ctypes.c_uint64), ("outcome", ctypes.c_int), ("status", ctypes.c_uint16),
                ("result", ctypes.c_uint64), ("answer", ctypes.c_void_p), ("answer_bytes", ctypes.c_uint32)]


class _Digest(ctypes.Structure):
    _fields_ = [("lo", ctypes.c_uint64), ("hi", ctypes.c_uint64)]


class _PeerRow(ctypes.Structure):
    _fields_ = [("node_id", ctypes.c_uint16), ("session_up", ctypes.c_bool), ("echo_age_ns", ctypes.c_uint64),
                ("commit", ctypes.c_uint64)]


class _MemberRow(ctypes.Structure):
    _fields_ = [("node_id", ctypes.c_uint16), ("kind", ctypes.c_int)]


class _Status(ctypes.Structure):
    _fields_ = [
        ("node_id", ctypes.c_uint16), ("group", ctypes.c_uint16), ("role", ctypes.c_int), ("ready", ctypes.c_bool),
        ("leader", ctypes.c_uint16), ("ballot", ctypes.c_uint64), ("chosen", ctypes.c_uint64), ("applied", ctypes.c_uint64),
        ("digest", _Digest), ("applied_count", ctypes.c_uint64), ("log_mode", ctypes.c_int), ("auth", ctypes.c_bool),
        ("idle", ctypes.c_int), ("log_full", ctypes.c_bool), ("log_bytes_used", ctypes.c_uint64), ("log_bytes", ctypes.c_uint64),
        ("boot_count", ctypes.c_uint64), ("uptime_ns", ctypes.c_uint64), ("start_to_ready_ns", ctypes.c_uint64),
        ("memory_bytes", ctypes.c_uint64), ("frames_received", ctypes.c_uint64), ("frames_sent", ctypes.c_uint64),
        ("frames_dropped", ctypes.c_uint64), ("messages_dropped", ctypes.c_uint64), ("elections", ctypes.c_uint64),
        ("has_lease", ctypes.c_bool), ("lease_ns", ctypes.c_uint64), ("reads", ctypes.c_uint64), ("lease_reads", ctypes.c_uint64),
        ("read_rounds", ctypes.c_uint64), ("low", ctypes.c_uint64), ("snapshot", ctypes.c_uint64),
        ("snapshot_bytes", ctypes.c_uint64), ("snapshot_unix_s", ctypes.c_uint64), ("snapshot_space_low", ctypes.c_bool),
        ("snapshot_damaged", ctypes.c_bool), ("log_damaged", ctypes.c_uint64), ("log_doubtful", ctypes.c_bool),
        ("log_rewritten", ctypes.c_uint64), ("log_scrub_count", ctypes.c_uint64), ("agreed", ctypes.c_uint64),
        ("session_evicted_count", ctypes.c_uint64), ("session_count", ctypes.c_uint32), ("epoch", ctypes.c_uint32),
        ("is_changing", ctypes.c_bool), ("version", ctypes.c_uint8), ("version_min", ctypes.c_uint8),
        ("version_max", ctypes.c_uint8), ("q1", ctypes.c_uint32), ("q2", ctypes.c_uint32), ("kind", ctypes.c_int),
        ("member_count", ctypes.c_uint32), ("members", _MemberRow * (_NODE_COUNT_MAX + 1)), ("peer_count", ctypes.c_uint32),
        ("peers", _PeerRow * _NODE_COUNT_MAX)]


_STRUCTURES = {"decree_client_options": _Options, "decree_completion": _Completion, "decree_digest": _Digest,
              "decree_peer_row": _PeerRow, "decree_member_row": _MemberRow, "decree_status": _Status}

_library: ctypes.CDLL | None = None


def _load() -> ctypes.CDLL:
    global _library
    if _library is None:
        name = os.environ.get("DECREE_LIBRARY", "libdecree.so.0")
        try:
            library = ctypes.CDLL(name)
        except OSError as failure:
            raise Error(errno.ENOENT, f"libdecree cannot be loaded: {failure}. Install it, or let DECREE_LIBRARY name its file") from None
        pointer, u16, u32, u64, text = ctypes.c_void_p, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p
        for function, result, arguments in [
                ("open", ctypes.c_int, [ctypes.POINTER(_Options), ctypes.POINTER(pointer), text]), ("close", None, [pointer]),
                ("submit", ctypes.c_int, [pointer, text, u32, pointer]),
                ("poll", u32, [pointer, ctypes.POINTER(_Completion), u32, u64]),
                ("read", ctypes.c_int32, [pointer, u16, text, u32, ctypes.c_int, text, u32, u64]), ("fd", ctypes.c_int, [pointer]),
                ("status", ctypes.c_int, [pointer, u16, u64, ctypes.POINTER(_Status)])]:
            entry = getattr(library, "decree_client_" + function)
            entry.restype, entry.argtypes = result, arguments
        library.decree_version.restype, library.decree_version.argtypes = text, []
        _library = library
    return _library


def version() -> str:
    """Of the library."""
    text: bytes = _load().decree_version()
    return text.decode()


def _ns(seconds: float) -> int:
    return max(0, min(int(seconds * 1e9), 2**63))


class _Deadline:
    """A time-out as the time that is left. None: there is none."""

    def __init__(self, timeout: float | None):
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self, slice_s: float = _SLICE_S) -> float:
        return slice_s if self._end is None else max(0.0, min(slice_s, self._end - time.monotonic()))

    def is_over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end


class Client:
    """A session with one group of a cluster. Use it in a `with`, or `close()` it.

    config_path  the cluster's file
    settings     "section.key=value", which override it
    group        of the cluster, from 0
    in_flight    most commands without an answer; 0 = as many as the cluster lets a session have
    """

    _client: ctypes.c_void_p | None = None

    def __init__(self, config_path: str | os.PathLike[str], settings: Iterable[str] = (), *, group: int = 0, in_flight: int = 0):
        self._library = _load()
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._commands: dict[int, Command] = {}
        self._next_cookie = 1
        texts = [setting.encode() for setting in settings]
        array = (ctypes.c_char_p * len(texts))(*texts)
        options = _Options(ctypes.sizeof(_Options), os.fsencode(config_path), array, len(texts), group, in_flight)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        client = ctypes.c_void_p()
        rc = self._library.decree_client_open(options, client, error)
        if rc != 0:
            raise Error(-rc, error.value.decode(errors="replace"))
        self._client = client

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Forget the client. Commands that are not done may still be executed, or not. It may be called again."""
        client, self._client = self._client, None
        # After a fork the socket is the parent's, too, and so is the session.
        if client is not None and self._process == os.getpid():
            self._library.decree_client_close(client)

    def _mine(self) -> ctypes.c_void_p:
        """The client, if this is a caller that may use it."""
        if self._client is None:
            raise Error(errno.EBADF, "the client is closed")
        if self._process != os.getpid():
            raise Error(errno.EPERM, "the client belongs to the process that opened it, which this one was forked from: open another one")
        if self._thread != threading.get_ident():
            raise Error(errno.EPERM, "the client belongs to the thread that opened it: open one in each thread")
        return self._client

    # ---- commands

    def send(self, body: bytes, timeout: float | None = None) -> Command:
        """Submit a command without waiting for its answer. Waits while the session is being opened, or has as many commands in flight as it
        may have. Raises Timeout: it was not accepted."""
        client, deadline, body = self._mine(), _Deadline(timeout), bytes(memoryview(body))
        cookie = self._next_cookie
        while True:
            rc = self._library.decree_client_submit(client, body, len(body), cookie)
            if rc != -errno.EAGAIN:
                break
            if deadline.is_over():
                raise Timeout(f"the command was not accepted within {timeout} s: no majority, or too much is in flight")
            self._poll(deadline.left())
        if rc == -errno.EMSGSIZE:
            raise Error(errno.EMSGSIZE, f"a command of {len(body)} bytes is larger than the cluster's command_bytes_max")
        if rc != 0:
            raise Error(-rc, f"the command was not accepted: {os.strerror(-rc)}")
        self._next_cookie += 1
        self._commands[cookie] = command = Command(self)
        return command

    def submit(self, body: bytes, timeout: float | None = None) -> Result:
        """Submit a command and wait for its answer. Raises Timeout, whose `command` tells whether it is in flight, Refused, Unknown or
        Evicted."""
        deadline = _Deadline(timeout)
        command = self.send(body, timeout)
        return self.wait(command, None if timeout is None else deadline.left(timeout))

    def wait(self, command: Command, timeout: float | None = None) -> Result:
        """The answer to a command of this client."""
        deadline = _Deadline(timeout)
        self._mine()
        if command._client is not self:
            raise Error(errno.EINVAL, "the command is another client's")
        while not command.is_done:
            self._poll(deadline.left())
            if not command.is_done and deadline.is_over():
                raise Timeout(f"no answer within {timeout} s: no majority? The command stays in flight", command)
        if command._outcome == 1:
            raise Refused("the command was never executed, and never will be")
        if command._outcome == 3:
            raise Evicted("the session gave way to another one before the answer came: the command may have been executed, once")
        if command._outcome != 0:
            raise Unknown("the command may have been executed, once, or not")
        return command._result

    def poll(self, timeout: float = 0.0) -> list[Command]:
        """Send what waits, repeat what was lost, and return the commands that have been answered since; after `timeout` perhaps none. For
        event loops: whenever `fileno()` is readable, and every 5 ms while commands are in flight."""
        deadline = _Deadline(timeout)
        while True:
            done = self._poll(deadline.left())
            if done or deadline.is_over():
                return done

    def _poll(self, timeout: float) -> list[Command]:
        completions = (_Completion * _POLL_COUNT)()
        count = self._library.decree_client_poll(self._mine(), completions, _POLL_COUNT, _ns(timeout))
        done = []
        for completion in completions[:count]:
            command = self._commands.pop(completion.cookie)
            command._outcome, command._result = completion.outcome, Result(completion.status, completion.result)
            done.append(command)
        return done

    @property
    def in_flight(self) -> int:
        """Commands without an answer."""
        return len(self._commands)

    def fileno(self) -> int:
        """Readable when `poll()` has something to do."""
        return int(self._library.decree_client_fd(self._mine()))

    # ---- questions

    def read(self, query: bytes, consistency: Consistency = Consistency.LINEARIZABLE, *, node: int = 0,
             timeout: float | None = 5.0) -> bytes:
        """Ask the state machine. `node` 0: whoever answers. Raises Timeout, or Error with what the machine said."""
        client, deadline, query = self._mine(), _Deadline(timeout), bytes(memoryview(query))
        answer = ctypes.create_string_buffer(_ANSWER_BYTES_MAX)
        while True:
            rc = self._library.decree_client_read(client, node, query, len(query), consistency, answer, _ANSWER_BYTES_MAX,
                                                  _ns(deadline.left(_READ_SLICE_S)))
            if rc != -errno.ETIMEDOUT:
                break
            if deadline.is_over():
                raise Timeout(f"no answer within {timeout} s: nobody there, nobody leads, or too busy")
        if rc < 0:
            raise Error(-rc, {errno.ENOTSUP: "the state machine answers no reads", errno.ENOENT: f"there is no node {node}"}.get(
                -rc, f"the question was refused: {os.strerror(-rc)}"))
        return answer.raw[:rc]

    def status(self, node: int, timeout: float = 1.0) -> Status:
        """Ask one node how it is."""
        client, deadline, s = self._mine(), _Deadline(timeout), _Status()
        while True:
            rc = self._library.decree_client_status(client, node, _ns(deadline.left()), s)
            if rc != -errno.ETIMEDOUT or deadline.is_over():
                break
        if rc == -errno.ETIMEDOUT:
            raise Timeout(f"node {node} did not answer within {timeout} s: not running, not reachable, or another key")
        if rc != 0:
            raise Error(-rc, f"there is no node {node}" if rc == -errno.ENOENT else os.strerror(-rc))
        return _read_status(s)


def _read_peers(rows: Sequence[_PeerRow]) -> tuple[Peer, ...]:
    return tuple(Peer(row.node_id, row.session_up, None if row.echo_age_ns == 2**64 - 1 else row.echo_age_ns / 1e9, row.commit)
                 for row in rows)


def _read_status(s: _Status) -> Status:
    return Status(
        node=s.node_id, role=Role(s.role), is_ready=s.ready, leader=s.leader, ballot=s.ballot, chosen=s.chosen, applied=s.applied,
        digest=f"{s.digest.hi:016x}{s.digest.lo:016x}", applied_count=s.applied_count, log_mode=LogMode(s.log_mode), has_auth=s.auth,
        idle=Idle(s.idle), is_log_full=s.log_full, log_bytes_used=s.log_bytes_used, log_bytes=s.log_bytes, boot_count=s.boot_count,
        uptime=s.uptime_ns / 1e9, memory_bytes=s.memory_bytes, snapshot=s.snapshot, session_count=s.session_count,
        members=tuple(row.node_id for row in s.members[:s.member_count]), peers=_read_peers(s.peers[:s.peer_count]))
