# SPDX-License-Identifier: Apache-2.0
"""What a node serves at /metrics, held against the text format 0.0.4 to the letter, by several clients at once.

    metrics.py ADDRESS:PORT once [STATUS.json]   one scrape; with the rows of `decree status --json`, of the same values
    metrics.py ADDRESS:PORT crowd SECONDS        many scrapers, slow readers and garbage at the same time
"""
import json
import re
import socket
import sys
import threading
import time

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
VALUE = re.compile(r"(\d+(\.\d+)?|\+Inf)\Z")
KINDS = ("counter", "gauge", "histogram")


class Wrong(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Wrong(what)


def ask(address, request, chunk=65536, pause=0.0):
    """Everything that comes back for these bytes; nothing if the other side would not listen."""
    received = b""
    with socket.create_connection(address, timeout=20) as connection:
        try:
            connection.sendall(request)
            while True:
                part = connection.recv(chunk)
                if not part:
                    break
                received += part
                time.sleep(pause)
        except ConnectionError:
            pass
    return received


def body_of(answer, status=b"200 OK"):
    head, found, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    check(found and lines[0] == b"HTTP/1.1 " + status, f"not {status}: {lines[0]}")
    fields = dict(line.split(b": ", 1) for line in lines[1:])
    check(int(fields[b"Content-Length"]) == len(body), "Content-Length")
    check(fields[b"Content-Type"] == b"text/plain; version=0.0.4; charset=utf-8", "Content-Type")
    return body.decode("utf-8")


def labels_of(text):
    labels, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        check(match and match[1] not in labels, f"labels {text}")
        labels[match[1]] = match[2]
        at = match.end()
        check(match[3] != "," or at < len(text), f"labels {text}")
    return labels


def base_of(name, kinds):
    """The family that a sample belongs to."""
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and kinds.get(name[: -len(suffix)]) == "histogram":
            return name[: -len(suffix)]
    return name


def parse(text):
    """{(name, labels): value}, {name: kind}; Wrong if it is anything but the format."""
    kinds, helps, samples, family = {}, set(), {}, None
    check(text.endswith("\n") and "\n\n" not in text, "lines")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            check(NAME.match(name) and name not in helps and words, f"HELP: {line}")
            helps.add(name)
            family = name
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            check(name == family and name not in kinds and kind in KINDS, f"TYPE: {line}")
            kinds[name] = kind
        else:
            match = SAMPLE.match(line)
            check(match and VALUE.match(match[3]), f"sample: {line}")
            labels = labels_of(match[2] or "")
            check(base_of(match[1], kinds) == family and family in kinds, f"not of its family: {line}")
            check((match[1] != family) == (kinds[family] == "histogram"), f"suffix: {line}")
            key = (match[1], tuple(sorted(labels.items())))
            check(key not in samples, f"twice: {line}")
            samples[key] = float(match[3])
    for name, kind in kinds.items():
        check((kind == "counter") == name.endswith("_total"), f"a {kind} is called {name}")
        if kind == "histogram":
            check_histogram(name, samples)
    return samples, kinds


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        if sample == name + "_bucket":
            bound = float(dict(labels)["le"])
            series.setdefault(tuple(l for l in labels if l[0] != "le"), []).append((bound, value))
    for labels, buckets in series.items():
        check(buckets == sorted(buckets) and buckets[-1][0] == float("inf"), f"{name}: bounds")
        check([v for _, v in buckets] == sorted(v for _, v in buckets), f"{name}: not cumulative")
        check(samples[(name + "_count", labels)] == buckets[-1][1], f"{name}: count")
        check((name + "_sum", labels) in samples, f"{name}: no sum")


def scrape(address, **how):
    return parse(body_of(ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", **how)))


# What `decree status --json` calls them.
SAME = {
    "decree_boot_number": "boot_count", "decree_commands_total": "applied_count",
    "decree_applied_slot": "applied", "decree_chosen_slot": "chosen", "decree_leader_node": "leader",
    "decree_elections_total": "elections", "decree_sessions": "sessions", "decree_low_slot": "low",
    "decree_snapshot_slot": "snapshot", "decree_snapshot_size_bytes": "snapshot_bytes",
    "decree_log_used_bytes": "log_bytes_used", "decree_log_size_bytes": "log_bytes",
    "decree_config_epoch": "epoch", "decree_agreed_slot": "agreed", "decree_ready": "ready",
    "decree_log_full": "log_full", "decree_memory_bytes": None,
}


def agree(samples, row):
    """@return what differs"""
    values = {}
    for (name, labels), value in samples.items():
        labels = dict(labels)
        check(labels.get("node") == str(row["node"]), f"{name}: node")
        if labels.get("group", "0") == str(row["group"]):
            values[name] = value
    differ = [f"{metric} {values[metric]} != {row[field]}" for metric, field in SAME.items()
              if field and values[metric] != float(row[field])]
    role = ["follower", "candidate", "leader"][int(values["decree_role"])]
    if role != row["role"]:
        differ.append(f"role {role}")
    check(values["decree_shard_silent_seconds"] < 30, "the shard is silent")
    return differ


def once(address, status_path):
    samples, kinds = scrape(address)
    if status_path:
        with open(status_path, encoding="utf-8") as file:
            differ = agree(samples, json.load(file))
        check(not differ, "; ".join(differ))
    print(len(samples), "samples of", len(kinds), "metrics")


# ------------------------------------------------------------------------------------------- crowd

GARBAGE = [
    (b"\x00\x01\x02\r\n\r\n", b"400 Bad Request"),
    (b"GET\r\n\r\n", b"400 Bad Request"),
    (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
    (b"GET /metrics HTTP/2.0\r\n\r\n", b"400 Bad Request"),
    (b"GET metrics HTTP/1.1\r\n\r\n", b"400 Bad Request"),
    (b"GET /metrics HTTP/1.1 more\r\n\r\n", b"400 Bad Request"),
    (b"\r\n\r\n", b"400 Bad Request"),
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
    (b"GET /metricsx HTTP/1.1\r\n\r\n", b"404 Not Found"),
    (b"GET / HTTP/1.0\n\n", b"404 Not Found"),
    (b"GET /" + b"a" * 5000, b"431 Request Header Fields Too Large"),
    (b"\x16\x03\x01\x02\x00" + b"\xff" * 600, b"400 Bad Request"),
]


def watch_counters(address, until, wrongs, how):
    before, count = {}, 0
    while time.monotonic() < until or count == 0:
        samples, kinds = scrape(address, **how)
        for key, value in samples.items():
            counts = kinds[base_of(key[0], kinds)] != "gauge"
            check(not counts or value >= before.get(key, 0), f"{key} fell from {before.get(key)} to {value}")
        before, count = samples, count + 1
    wrongs.append(None)


def talk_garbage(address, until, wrongs, _):
    while True:
        for request, status in GARBAGE:
            body_of(ask(address, request), status)
        head = ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n")
        check(head.startswith(b"HTTP/1.1 200") and head.endswith(b"\r\n\r\n"), "HEAD")
        if time.monotonic() >= until:
            break
    wrongs.append(None)


def hold_places(address, until, wrongs, _):
    """More connections than there are places, which say nothing, or half a request."""
    held = []
    while time.monotonic() < until:
        held.append(socket.create_connection(address, timeout=20))
        if len(held) % 2:
            held[-1].sendall(b"GET /metr")
        if len(held) > 50:
            held.pop(0).close()
        time.sleep(0.02)
    wrongs.append(None)


def guarded(work, address, until, wrongs, how):
    try:
        work(address, until, wrongs, how)
    except (Wrong, OSError, ValueError, KeyError, IndexError) as error:
        wrongs.append(f"{work.__name__}: {type(error).__name__}: {error}")


def crowd(address, seconds):
    until, wrongs = time.monotonic() + seconds, []
    slow = {"chunk": 4096, "pause": 0.02}
    work = [(watch_counters, {}), (watch_counters, {}), (watch_counters, slow), (talk_garbage, {}),
            (hold_places, {})]
    threads = [threading.Thread(target=guarded, args=(w, address, until, wrongs, how)) for w, how in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [w for w in wrongs if w]
    check(not wrong and len(wrongs) == len(work), "; ".join(wrong))


def main():
    host, _, port = sys.argv[1].rpartition(":")
    try:
        if sys.argv[2] == "once":
            once((host, int(port)), sys.argv[3] if len(sys.argv) > 3 else None)
        else:
            crowd((host, int(port)), float(sys.argv[3]))
    except Wrong as wrong:
        sys.exit(f"metrics.py: {wrong}")


if __name__ == "__main__":
    main()
