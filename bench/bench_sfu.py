#!/usr/bin/env python3
"""make bench-sfu: what a forwarded packet, a subscriber and a join cost, beside Janus and the bare minimum."""
import math
import time

from frame import Bench, temporary_directory
from sfu.load import Load
from sfu.parlance_meeting import ParlanceMeeting

MEETINGS = {"parlance": ParlanceMeeting}
MEDIA = {"bitrate_bps": 1500000, "fps": 30}
WARM_S, DRAIN_S = 1.0, 0.4
TIMED = 10  # endpoints whose packets the kernel stamps for the delay, spread evenly


def parse_case(case):
    """(publishers, subscribers, media): 1x100 is one to a hundred, 10x10 ten with each other, -paced with a browser's pacing."""
    size, _, how = case.partition("-")
    publishers, subscribers = map(int, size.split("x"))
    return publishers, subscribers, {**MEDIA, "paced_packets": 2} if how == "paced" else MEDIA


def fill(meeting, load, case):
    """Everybody in; the server's CPU of the joins in ms, and how many joined. Memory before them is noted."""
    publishers, subscribers, media = parse_case(case)
    every = max(1, math.ceil(subscribers / TIMED))
    if publishers > 1:
        before, cpu_ns = meeting.server.memory_kb(), meeting.server.cpu_ns()
        connections = meeting.join_all(publishers, media, lambda i: True)
        load.wait_connected(connections)
    else:
        meeting.publish(0, media)
        load.wait_connected(1)
        load.tell("start")  # what a publisher costs is not the subscribers'
        time.sleep(0.5)
        load.tell("stop")
        time.sleep(0.1)
        before, cpu_ns = meeting.server.memory_kb(), meeting.server.cpu_ns()
        for i in range(subscribers):
            meeting.subscribe([0], i % every == 0)
        load.wait_connected(1 + subscribers)
    return (meeting.server.cpu_ns() - cpu_ns) / 1e6, subscribers, before


def measure(meeting, load, seconds):
    """The window: (the load client's report, the server's CPU in ns, its memory at the end)."""
    load.tell("start")
    missing = load.wait_flowing()
    time.sleep(WARM_S)
    meeting.drain()
    load.ask("begin", "began")
    cpu_ns = meeting.server.cpu_ns()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1))
        meeting.drain()
    cpu_ns = meeting.server.cpu_ns() - cpu_ns
    load.ask("end", "ended")
    memory = meeting.server.memory_kb()
    time.sleep(DRAIN_S)
    report = load.ask("report", "report")
    report["missing"] = missing
    return report, cpu_ns, memory


def run(bench, case, peer):
    with temporary_directory(peer) as directory, Load() as load, MEETINGS[peer](load, directory) as meeting:
        join_ms, joined, before = fill(meeting, load, case)
        report, cpu_ns, after = measure(meeting, load, bench.seconds)
        profiles = sorted(set(load.connected.values()))
    print("  ", {k: round(v, 3) if isinstance(v, float) else v for k, v in report.items() if k != "event"}, profiles,
          f"server {cpu_ns / bench.seconds / 1e7:.1f} %", flush=True)
    bench.record("cpu_us_per_packet", case, "us", peer, cpu_ns / 1e3 / max(report["received"], 1), is_less_better=True)
    bench.record("delivered_percent", case, "%", peer, 100 * report["received"] / report["expected"], is_less_better=False)
    bench.record("delay_ms_p50", case, "ms", peer, report["delay_ms_p50"], is_less_better=True)
    bench.record("delay_ms_p99", case, "ms", peer, report["delay_ms_p99"], is_less_better=True)
    bench.record("cpu_ms_per_join", case, "ms", peer, join_ms / joined, is_less_better=True)
    bench.record("rss_kb_per_subscriber", case, "kB", peer, (after["rss"] - before["rss"]) / joined, is_less_better=True)


def main():
    bench = Bench("sfu", title="Media forwarding", about="", cases=["1x1", "1x50", "1x100", "1x200", "1x100-paced", "10x10"],
                  peers=[], seconds=3)
    for _, case, peer in bench.plan():
        run(bench, case, peer)
    bench.finish()


if __name__ == "__main__":
    main()
