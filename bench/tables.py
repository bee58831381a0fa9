# SPDX-License-Identifier: Apache-2.0
"""Of what bench/all has measured: Markdown tables, one for each question, and what was aimed at beside what was reached.

A figure is the median of the rounds; in brackets the lowest and the highest of them. A percentile of which single rounds have too few samples is of
all rounds together, if these have ten above it; else there is a dash.
"""
import json
import re
import statistics

# ------------------------------------------------------------------------------ what was measured


def document(folder, name):
    """The whole file of a step, {} if it was not measured."""
    try:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def points(folder, name, **setting):
    """The points of a step that have these settings; none if it was not measured."""
    return [p for p in document(folder, name).get("points", [])
            if all(p["setting"].get(key, value) == value for key, value in setting.items())]


def medians(folder, name, **setting):
    """Of the first such point, {} if it was not measured."""
    return next((p["median"] for p in points(folder, name, **setting)), {})


def text_of(folder, name):
    try:
        return (folder / f"{name}.txt").read_text(encoding="utf-8")
    except OSError:
        return ""


def command_of(folder, name):
    """How the step was run, as somebody else would type it."""
    found = re.match(r"\$ (.*)", text_of(folder, name))
    if not found:
        return None
    words = [re.sub(r"^/\S*/bench/decree-bench$", "decree bench", word) for word in found[1].split()]
    words = [re.sub(r"^/\S*?/((?:build/)?(?:bench|tests)/\S+)$", r"\1", word) for word in words if word != "--no-install"]
    for option in ("--json", "--plot"):
        if option in words:
            at = words.index(option)
            del words[at:at + 2]
    return " ".join(words)


# ------------------------------------------------------------------------------ aims


def most(rows, p99_us=None):
    """The highest rate of these, of those whose p99 is low enough."""
    fast = [p["median"] for p in rows if p99_us is None or (p["median"].get("p99_us") or p99_us + 1) <= p99_us]
    return max((m["commits_per_s"] for m in fast if m.get("commits_per_s")), default=None)


def rate_of(rows, least, p99_us=None):
    rate = most([p for p in rows if p["setting"]["in_flight"] >= least], p99_us)
    return None if rate is None else rate / 1e6


def ratios(over, under, key="p50_us"):
    """Of two lists of rounds, one over the other, round by round; [] if one has none."""
    pairs = [(a.get(key), b.get(key)) for a, b in zip(over, under)]
    return [] if any(None in pair for pair in pairs) else [a / b for a, b in pairs]


def median(values):
    return statistics.median(values) if values else None


def peer_rounds(folder, in_flight=1):
    return {p["system"]: p["rounds"] for p in points(folder, "peers", in_flight=in_flight)}


def rounds_of(folder, name, key, **setting):
    """What each round of the first such point had; [] if it was not measured."""
    rounds = next((p["rounds"] for p in points(folder, name, **setting)), [])
    return [r[key] for r in rounds if r.get(key) is not None]


def ratios_of(folder, system, beside):
    """p50 with one in flight, system over decree, of each round."""
    alone = peer_rounds(folder)
    return ratios(alone.get(system, []), alone.get(beside, []))


def best_rounds(rows):
    """The rounds of the load with which these did the most; [] if none was measured."""
    return max(rows, key=lambda p: p["median"].get("commits_per_s") or 0, default={"rounds": []})["rounds"]


def throughput_ratios(folder, system, beside):
    """Of the most that each does, of each round."""
    theirs, ours = (best_rounds([p for p in points(folder, "peers") if p["system"] == s]) for s in (system, beside))
    return ratios(ours, theirs, "commits_per_s")


def over_bare(folder, name, kind, **setting):
    """One in flight: each round's p50 over that of a floor or an echo that nobody asks for."""
    rounds = next((p["rounds"] for p in points(folder, name, in_flight=1, **setting)), [])
    bare = next((f["rounds"] for f in document(folder, name).get("floors", []) if f["kind"] == kind), [])
    return ratios(rounds, bare)


def instructions_of(folder, mtu, role):
    found = re.search(rf"^ *[1-9]\d\d\d in flight, MTU {mtu}, {role} +([0-9.]+)", text_of(folder, "budget"), re.MULTILINE)
    return float(found[1]) if found else None


def steady_of(folder, in_flight, column):
    """The highest of the three nodes; None if it was not counted."""
    found = re.search(rf"^{in_flight} in flight: .*\n(.*)\n((?:(?:leader|follower) .*\n?)+)", text_of(folder, "steady"), re.MULTILINE)
    if not found or column not in ("allocations", "locks", "system calls"):
        return None
    place = ("allocations", "locks", "system calls").index(column) + 1
    values = [line.replace("|", " ").split() for line in found[2].splitlines()]
    if any(len(row) <= place for row in values):
        return None
    return max(float(row[place]) for row in values)


def queue_ratio(folder, load, key):
    """Three nodes over beanstalkd -f0, the median of the rounds' ratios."""
    rows = document(folder, "queue").get("rows", [])
    return next((row[key] or None for row in rows if (row["load"], row["server"]) == (load, "decreed-3")), None)


def kill_gaps(folder):
    """ms, the shortest first"""
    return sorted(kill["gap_us"] / 1000 for p in points(folder, "kill") for kill in p.get("kills", []))


def aims(folder):
    """(step, what, unit, aim, True if more is better, what was reached: None, a number, or that of each round)"""
    one, two = (best_rounds(points(folder, "shards", shards=count)) for count in (1, 2))
    in_memory = points(folder, "modes", mode="memory")
    memory = {"mode": "memory", "in_flight": 1}
    return [
        ("latency", "durable, one in flight: p50 over the floor's", "x", 1.15, False, rounds_of(folder, "latency", "p50_over_floor", load="inside")),
        ("latency", "the same: p99 over the floor's", "x", 1.5, False, rounds_of(folder, "latency", "p99_over_floor", load="inside")),
        ("latency", "durable, one in flight, by a thread: p50 over the floor's to a client", "x", 1.15, False, rounds_of(folder, "latency", "p50_over_floor", load="thread")),
        ("latency", "the same, over the floor that nobody asks for", "x", None, False, over_bare(folder, "latency", "floor", load="thread")),
        ("peers", "durable, one in flight: p50 of libraft over decree's, embedded", "x", 1.3, True, ratios_of(folder, "libraft", "decree")),
        ("peers", "durable, one in flight: p50 of etcd over decree's, by a client", "x", 4, True, ratios_of(folder, "etcd", "decree, by a client")),
        ("peers", "durable, one in flight: p50 of ZooKeeper over decree's, by a client", "x", 3.5, True, ratios_of(folder, "ZooKeeper", "decree, by a client")),
        ("throughput", "durable, 1,000 to 3,000 in flight, p99 up to 2 ms", "M/s", 3, True, rate_of(points(folder, "throughput"), 1000, 2000)),
        ("peers", "the most: decree over libraft, embedded", "x", 30, True, throughput_ratios(folder, "libraft", "decree")),
        ("peers", "the most: decree over etcd, by a client", "x", 150, True, throughput_ratios(folder, "etcd", "decree, by a client")),
        ("peers", "the most: decree over ZooKeeper, by a client", "x", None, True, throughput_ratios(folder, "ZooKeeper", "decree, by a client")),
        ("modes", "in memory (NOT DURABLE), one in flight: p50 over the echo's to a client", "x", 2, False, rounds_of(folder, "modes", "p50_over_floor", **memory)),
        ("modes", "the same, over the echo that nobody asks for", "x", None, False, over_bare(folder, "modes", "majority echo", mode="memory")),
        ("modes", "in memory (NOT DURABLE), 64 or more in flight", "M/s", 3, True, rate_of(in_memory, 64)),
        ("shards", "in memory (NOT DURABLE), one node: two shards over one", "x", None, True, ratios(two, one, "commits_per_s")),
        ("budget", "instructions of a command at full batches, an MTU of 9,000, leader", "", 250, False, instructions_of(folder, 9000, "leader")),
        ("budget", "the same, follower", "", 150, False, instructions_of(folder, 9000, "follower")),
        ("budget", "the same at an MTU of 1,500, leader", "", 250, False, instructions_of(folder, 1500, "leader")),
        ("budget", "the same, follower", "", 150, False, instructions_of(folder, 1500, "follower")),
        ("steady", "allocations for each commit, of any node", "#", 0, False, steady_of(folder, 1000, "allocations")),
        ("steady", "locks", "#", 0, False, steady_of(folder, 1000, "locks")),
        ("steady", "system calls, one in flight", "#", 1, False, steady_of(folder, 1, "system calls")),
        ("steady", "system calls, 1,000 in flight", "#", 0.01, False, steady_of(folder, 1000, "system calls")),
        ("queue", "one put to three nodes: p50 over beanstalkd's that syncs each", "x", 1.5, False, queue_ratio(folder, "put:1", "p50_ratio")),
        ("queue", "put, reserve, delete, ten under way on each of 100: over its rate", "x", 10, True, queue_ratio(folder, "cycle:100:10", "rate_ratio")),
    ]


# What is counted in a second has a few calls in it that belong to the moments before and after, a hundred at most (tests/steady).
SLACK = {"system calls, one in flight": 0.01, "system calls, 1,000 in flight": 0.0001}


def verdict_of(values, aim, is_more_better, slack):
    """Of the median; and if the rounds do not agree, in how many of them the aim was reached."""
    reached = [value >= aim if is_more_better else value <= aim + slack for value in [median(values), *values]]
    said, many = "yes" if reached[0] else "MISSED", sum(reached[1:])
    return said if many in (0, len(values)) else f"{said} ({many} of {len(values)} rounds)"


def aim_words(row):
    """(what, aim, reached, "yes", "MISSED", one of them with how many rounds, "not measured" or "")"""
    _, what, unit, aim, is_more_better, reached = row
    sign = "" if aim is None else f"{'>=' if is_more_better else '<='} {aim:g} {unit}".replace("#", "").strip()
    values = reached if isinstance(reached, list) else [] if reached is None else [reached]
    if not values:
        return what, sign, "-", "not measured"
    middle = median(values)
    said = f"{middle:.4f}" if unit == "#" else f"{middle:.2f} {unit}" if unit else f"{middle:.0f}"
    return what, sign, said, "" if aim is None else verdict_of(values, aim, is_more_better, SLACK.get(what, 0))


def summary(folder, steps=None):
    """@param steps  which there is something to tell of; none: all"""
    latency, gaps = medians(folder, "latency", load="inside"), kill_gaps(folder)
    lines = [f"{'':74}{'aim':>12}{'reached':>12}"]
    for row in aims(folder):
        if steps and row[0] not in steps:
            continue
        what, wanted, said, verdict = aim_words(row)
        lines.append(f"{what:74}{wanted:>12}{said:>12}   {verdict}".rstrip())
    if latency.get("p50_us") and (not steps or "latency" in steps):
        lines.append("")
        lines.append(f"durable, one in flight: p50 {us(latency['p50_us'])} us, p99 {us(latency.get('p99_us'))} us; "
                     f"the floor {us(latency.get('floor_p50_us'))} and {us(latency.get('floor_p99_us'))}")
    if gaps and (not steps or "kill" in steps):
        lines.append(f"leader killed {len(gaps)} times: {median(gaps):.0f} ms without an answer, {gaps[-1]:.0f} at most")
    if of_other_commits(folder):
        lines += ["", of_other_commits(folder)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------ words of a table


def us(value):
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def count(value):
    return "-" if value is None else f"{value:,.0f}"


def factor(value):
    return "-" if value is None else f"{value:.2f}"


def spread(point, key, words):
    """12.3 (11 to 14)"""
    value = point["median"].get(key)
    if value is None:
        return words(point.get("all", {}).get(key))
    every = [r[key] for r in point["rounds"] if r.get(key) is not None]
    return f"{words(value)} ({words(min(every))} to {words(max(every))})" if len(every) > 1 else words(value)


def percentile(point, key):
    value = point["median"].get(key)
    return us(point["all"].get(key) if value is None else value)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def size(bytes_):
    return f"{bytes_ // 1024} KiB" if bytes_ >= 1024 and bytes_ % 1024 == 0 else f"{bytes_} B"


# ------------------------------------------------------------------------------ tables of decree bench

HEAD = ["commits/s", "p50 us (rounds)", "p99", "p99.9", "floor's p50", "p50 : floor", "p99 : floor"]


def row_of(point):
    m = point["median"]
    return [count(m.get("commits_per_s")), spread(point, "p50_us", us), percentile(point, "p99_us"), percentile(point, "p999_us"),
            us(m.get("floor_p50_us")) if m.get("p50_over_floor") is not None else "-", spread(point, "p50_over_floor", factor),
            factor(m.get("p99_over_floor"))]


def sweep(folder, name, head, words, **setting):
    """A row for each point, which begins with these words of its setting."""
    found = points(folder, name, **setting)
    columns = len(HEAD) if any(p["median"].get("p50_over_floor") is not None for p in found) else 4
    rows = [[*words(p["setting"]), *row_of(p)[:columns]] for p in found]
    return table([*head, *HEAD[:columns]], rows) if rows else []


def durability(setting):
    return setting["mode"] if setting["durable"] else f"{setting['mode']}: NOT DURABLE"


def latency_table(folder):
    rows = [["decree, in the shard's turns" if p["setting"]["load"] == "inside" else "decree, by a thread", *row_of(p)] for p in points(folder, "latency")]
    for f in document(folder, "latency").get("floors", []):
        name = f["kind"] + (f", blocks of {size(f['block_bytes'])}" if f["block_bytes"] else "") + f", {f['nodes']} processes"
        rows.append([name, "", spread(f, "p50_us", us), percentile(f, "p99_us"), percentile(f, "p999_us"), "", "", ""])
    return table(["one in flight, durable", *HEAD], rows) if rows else []


def rates_table(folder):
    rows = [[count(p["setting"]["rate"]), *row_of(p)[:4], us(p["median"].get("lag_p99_us")), count(p["median"].get("unsent"))] for p in points(folder, "rates")]
    return table(["due per second", *HEAD[:4], "sent late by, p99", "never sent"], rows) if rows else []


def kill_table(folder):
    gaps, found = kill_gaps(folder), points(folder, "kill")
    if not gaps:
        return []
    worst = [r["max_us"] / 1000 for r in found[0]["rounds"] if r.get("max_us") is not None]
    shown = ", ".join(f"{gap:.0f}" for gap in gaps)
    quarter = statistics.quantiles(gaps, n=4, method="inclusive") if len(gaps) > 1 else [gaps[0]] * 3
    return table(["kills", "ms without an answer: shortest", "a quarter below", "median", "a quarter above", "longest", "slowest command, ms: median", "longest"],
                 [[len(gaps), *(f"{ms:.0f}" for ms in (gaps[0], quarter[0], median(gaps), quarter[2], gaps[-1])),
                   f"{median(worst):.0f}" if worst else "-", f"{max(worst):.0f}" if worst else "-"]]) + ["", f"Every gap, ms: {shown}."]


def stages_table(folder):
    stages = next((p.get("stages") for p in points(folder, "latency", load="inside")), None)
    if not stages:
        return []
    names = [name for name in stages if not name.startswith("follower_")]
    return table(["mean us, one in flight", *names],
                 [[role, *(us((stages.get(prefix + name) or {}).get("mean_us")) for name in names)]
                  for role, prefix in (("leader", ""), ("followers", "follower_"))])


# ------------------------------------------------------------------------------ tables of others


def peer_row(folder, point, is_alone):
    base = "decree" if point["system"] in ("decree", "libraft", "decree, by a thread") else "decree, by a client"
    m = point["median"]
    if is_alone:
        alone = peer_rounds(folder)
        every = ratios(alone[point["system"]], alone.get(base, []))
        ratio = "1" if point["system"] == base else f"{median(every):.2f} ({min(every):.2f} to {max(every):.2f})" if every else "-"
    else:
        every = throughput_ratios(folder, point["system"], base)
        ratio = "1" if point["system"] == base else f"{median(every):.1f} ({min(every):.1f} to {max(every):.1f})" if every else "-"
    cpu, servers = m.get("cpu_us_per_commit"), m.get("server_cpu_us_per_commit")
    small = (lambda value: "-" if value is None else f"{value:.3f}") if not is_alone else factor
    at_most = "" if point.get("device_writes_exact", True) else "<= "  # without the kernel's tracepoints a flush counts, too
    return [point["system"], point["setting"].get("version", "-"), *([] if is_alone else [count(point["setting"]["in_flight"])]), count(m.get("commits_per_s")),
            spread(point, "p50_us", us), percentile(point, "p99_us"), percentile(point, "p999_us"), ratio, us(cpu if servers is None else servers),
            us(cpu - servers) if servers is not None and cpu is not None else "", at_most + small(m.get("device_writes_per_commit")), small(m.get("device_flushes_per_commit"))]


def peers_table(folder):
    every = points(folder, "peers")
    systems = list(dict.fromkeys(p["system"] for p in every))
    alone = [p for p in every if p["setting"]["in_flight"] == 1]
    best = [max((p for p in every if p["system"] == s), key=lambda p: p["median"].get("commits_per_s") or 0) for s in systems]
    if not alone:
        return []
    tail = ["CPU us", "client's", "writes", "flushes"]
    return (table(["one in flight", "version", *HEAD[:4], "p50 : decree's", *tail], [peer_row(folder, p, True) for p in alone]) + [""] +
            table(["the most", "version", "in flight", *HEAD[:4], "decree : its", *tail], [peer_row(folder, p, False) for p in best]))


def budget_table(folder):
    text = text_of(folder, "budget")
    head = re.search(r"^for each command(?: \(.*\))? +(.*)$", text, re.MULTILINE)
    rows = [[f"{int(r[1]):,} in flight, MTU {int(r[2]):,}, {r[3]}" if r[1] != "0" else f"a turn without work, {r[3]}", *r[4].split()]
            for r in re.finditer(r"^ *(\d+) in flight, MTU (\d+), (leader|follower) +(.*)$", text, re.MULTILINE)]
    return table(["for each command", *(name.replace("_", " ") for name in head[1].split())], rows) if head and rows else []


def steady_table(folder):
    rows = []
    columns = ["allocations", "locks", "system calls", "of these io_uring_enter", "to collect", "futex", "others", "apart: yields", "sleeps", "kicks"]
    for block in re.finditer(r"^(\d+) in flight: (\d+) commits/s.*\n.*\n((?:(?:leader|follower) .*\n?)+)", text_of(folder, "steady"), re.MULTILINE):
        for line in block[3].splitlines():
            words = line.replace("|", " ").split()
            rows.append([f"{int(block[1]):,} in flight, {int(block[2]):,}/s, {words[0]}", *words[1:1 + len(columns)]])
    return table(["for each commit", *columns], rows) if rows and all(len(r) == 1 + len(columns) for r in rows) else []


def queue_table(folder):
    rows = document(folder, "queue").get("rows", [])
    servers = list(dict.fromkeys(r["server"] for r in rows))
    cells = {(r["load"], r["server"]): f"{count(r['per_s'])} / {us(r['p50_us'] or None)} / {us(r.get('p99_us') or None)}" for r in rows}
    ratio = {(r["load"], r["server"]): (r["rate_ratio"], r["p50_ratio"]) for r in rows}
    loads = list(dict.fromkeys(r["load"] for r in rows))
    ours = "decreed-3"
    if ours not in servers:
        return []
    return table(["per s / p50 / p99 us", *servers, f"{ours} : f0, rate", "p50"],
                 [[f"`{load}`", *(cells.get((load, s), "-") for s in servers), *(factor(v or None) for v in ratio[load, ours])] for load in loads])


def aims_table(folder):
    return table(["", "aim", "reached", ""], [[what, aim, said, verdict.replace("MISSED", "**MISSED**")]
                                              for what, aim, said, verdict in map(aim_words, aims(folder))])


# ------------------------------------------------------------------------------ all of them


def header(folder):
    """Where it was measured, once."""
    h = next((d["header"] for d in (document(folder, name) for name in TABLES) if "header" in d), None)
    if h is None:
        return []
    cache = {"write back": "a volatile cache", "write through": "no volatile cache"}.get(h["write_cache"], "a cache that the kernel does not know")
    return [f"{h['cpu'] or 'unknown CPU'}, {h['cpu_count']} CPUs{', virtual' if h['virtual'] else ''}; {h['kernel']}; governor {h['governor']}, "
            f"isolated CPUs {h['isolated_cpus'] or 'none'}, {h['huge_pages']} huge pages; disk {h['device'] or 'unknown'} with {cache} "
            f"and {'FUA' if h['fua'] else 'no FUA'}, {h['filesystem']}; commit {h['commit']}, {h['build']}; {h['time'][:10]}. "
            f"{of_other_commits(folder)}".rstrip()]


TABLES = {
    "aims": ("What was aimed at", aims_table),
    "latency": ("One command in flight, durable", latency_table),
    "stages": ("Where its time goes", stages_table),
    "throughput": ("More in flight, durable", lambda f: sweep(f, "throughput", ["in flight"], lambda s: [count(s["in_flight"])])),
    "rates": ("An open loop, durable: from when a command was due", rates_table),
    "sizes": ("Sizes, one in flight, durable", lambda f: sweep(f, "sizes", ["bytes"], lambda s: [size(s["bytes"])])),
    "nodes": ("Nodes, one in flight, durable", lambda f: sweep(f, "nodes", ["nodes"], lambda s: [s["nodes"]])),
    "modes": ("Modes of the log", lambda f: sweep(f, "modes", ["log", "in flight"], lambda s: [durability(s), count(s["in_flight"])])),
    "transports": ("Networks, memory: NOT DURABLE", lambda f: sweep(f, "transports", ["transport", "in flight"],
                                                                     lambda s: [s["transport"], count(s["in_flight"])])),
    "jumbo": ("Packets of 1,500 and 9,000 bytes, memory: NOT DURABLE", lambda f: sweep(f, "jumbo", ["transport", "MTU", "in flight"],
                                                                                      lambda s: [s["transport"], count(s.get("mtu", 1500)), count(s["in_flight"])])),
    "auth": ("Authentication of frames, memory: NOT DURABLE", lambda f: sweep(f, "auth", ["auth", "in flight"], lambda s: [s["auth"], count(s["in_flight"])])),
    "shards": ("Shards of one node, loaded from inside, memory: NOT DURABLE",
               lambda f: sweep(f, "shards", ["shards", "in flight"], lambda s: [s["shards"], count(s["in_flight"])])),
    "kill": ("The leader is killed", kill_table),
    "peers": ("decree beside libraft, etcd and ZooKeeper", peers_table),
    "budget": ("What a command costs, counted", budget_table),
    "steady": ("The steady state, counted", steady_table),
    "queue": ("The queue beside beanstalkd and RabbitMQ", queue_table),
}
STEP_OF = {"stages": "latency"}  # a table that is of another one's step, behind which it stands
DISTURBED_PERCENT = 5  # bench/host.h


def of_other_commits(folder):
    """A line about steps that another build measured than the first one, if there are any."""
    commits = {name: document(folder, name).get("header", {}).get("commit") for name in TABLES}
    commits = {name: commit for name, commit in commits.items() if commit}
    first = next(iter(commits.values()), None)
    others = [f"{name} ({commit})" for name, commit in commits.items() if commit != first]
    return f"Of other commits than {first}: {', '.join(others)}." if others else ""


def disturbed(folder, name):
    """A line about rounds of which others took a part, if there are any."""
    found = document(folder, name)
    rounds = [r for p in found.get("points", []) + found.get("floors", []) for r in p["rounds"]]
    shares = [(r.get("others_cpu_percent") or 0) + (r.get("stolen_cpu_percent") or 0) for r in rounds]
    many = sum(share > DISTURBED_PERCENT for share in shares)
    return ["", f"Others took more than {DISTURBED_PERCENT} % of the CPUs in {many} of {len(rounds)} measurements."] if many else []


def block(folder, name):
    """A table with the command that made it, [] if that was not measured."""
    lines, step = TABLES[name][1](folder), STEP_OF.get(name, name)
    command = command_of(folder, step)
    return [*([f"`{command}`", ""] if command and name not in STEP_OF else []), *lines, *(disturbed(folder, step) if name == step else [])] if lines else []


def all_tables(folder):
    text = ["# What bench/all has measured", "", *header(folder), "",
            "Medians of the rounds, in brackets the lowest and the highest of them; a ratio is the median of the rounds' ratios. A percentile has ten samples above it, or is a dash.", ""]
    for name, (title, _) in TABLES.items():
        lines = block(folder, name)
        if lines:
            text += [f"## {title}", "", *lines, ""]
    return "\n".join(text)


def fill(page, folder):
    """The page with new tables between `<!-- bench/all NAME -->` and `<!-- end -->`; what was not measured stays. @return (text, names that were filled)"""
    filled = []
    # Some steps alone say nothing of all aims, nor where the other tables are from.
    is_whole = all((folder / f"{STEP_OF.get(name, name)}.txt").exists() for name in TABLES if name != "aims")

    def replace(found):
        name = found[1]
        lines = [] if name in ("host", "aims") and not is_whole else header(folder) if name == "host" else block(folder, name) if name in TABLES else None
        if lines is None:
            raise ValueError(f"{name}: there is no such table")
        if not lines:
            return found[0]
        filled.append(name)
        return "\n".join([f"<!-- bench/all {name} -->", *lines, "<!-- end -->"])

    return re.sub(r"<!-- bench/all (\w+) -->\n.*?<!-- end -->", replace, page, flags=re.DOTALL), filled
