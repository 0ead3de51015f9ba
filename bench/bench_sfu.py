#!/usr/bin/env python3
"""make bench-sfu: what a forwarded packet, a subscriber and a join cost, beside Janus and the bare minimum."""
import functools
import math
import os
import sys
import time

from frame import Bench, BenchError, temporary_directory
from sfu import janus_meeting
from sfu.floor_meeting import FloorMeeting
from sfu.janus_meeting import JanusMeeting
from sfu.load import Load
from sfu.parlance_meeting import ParlanceMeeting

MEETINGS = {
    "parlance": ParlanceMeeting,
    "janus": JanusMeeting,
    "janus-event-loops": functools.partial(JanusMeeting, name="janus-event-loops", event_loops=os.cpu_count()),
    "floor": FloorMeeting,
}
CASES = ["1x1", "1x50", "1x100", "1x200", "1x100-paced", "10x10"]
MEDIA = {"bitrate_bps": 1500000, "fps": 30}
WARM_S, DRAIN_S = 1.0, 0.4
TIMED = 10  # endpoints whose packets the kernel stamps for the delay, spread evenly

ABOUT = """One client process (C, one thread) plays everybody: ICE, DTLS-SRTP, Opus (50 packets a second) and VP8 of 1.5 Mbit/s (30
frames a second, about 5 packets each, sent at once; in `-paced` two every 5 ms, as a browser's pacer does). `1x100` is one publisher and
a hundred subscribers, `10x10` ten people with each other. Every packet carries a mark, so what is counted is what arrived, was
authentic and was not counted before; every 16th is compared byte by byte. Nothing is asked for again, so loss shows. Subscribers send
receiver reports, and no transport-cc feedback, to anybody.

*cpu_us_per_packet*: the server's CPU time, whole process, by packets that arrived at subscribers. *delay*: from the publisher's send
call to the kernel's receive stamp at the subscriber. *cpu_ms_per_join*: from the API's first request to keys for SRTP, no media flowing
(Parlance: guest account, HTTP, WebSocket, admission written to the store; Janus: its API over one WebSocket). *rss_kb_per_subscriber*:
growth of resident memory from before the joins to the end of the window.

Peers: `janus` as Debian packages it (a thread per handle), `janus-event-loops` with `event_loops` at the number of cores; both with the
VideoRoom; each chooses its own cipher for subscribers (Janus AES-256-GCM, Parlance and `floor` AES-128-GCM). `floor` is a bare loop
of receive, decrypt once, encrypt and send (sendmmsg, UDP GSO) to each: no server can be below it by much.

Aims: at `1x100` at most a third of `janus-event-loops`, everything delivered."""


def parse_case(case):
    """(publishers, subscribers, media) of 1x100, 10x10, 1x100-paced."""
    size, _, how = case.partition("-")
    publishers, subscribers = map(int, size.split("x"))
    return publishers, subscribers, {**MEDIA, "paced_packets": 2} if how == "paced" else MEDIA


def costs(meeting):
    """(CPU in ms, resident memory in kB) so far; zeros while there is no server."""
    return (meeting.server.cpu_ns() / 1e6, meeting.server.memory_kb()["rss"]) if meeting.server else (0, 0)


def fill(meeting, load, case):
    """Brings everybody in. What was spent before the joins, and by them: (memory in kB, CPU in ms)."""
    publishers, subscribers, media = parse_case(case)
    every = max(1, math.ceil(subscribers / TIMED))
    if publishers > 1:
        before = costs(meeting)
        load.wait_connected(meeting.join_all(publishers, media, lambda i: True))
    else:
        meeting.publish(0, media)
        load.wait_connected(1)
        load.tell("start")  # what a publisher costs is not the subscribers'
        time.sleep(0.5)
        load.tell("stop")
        time.sleep(0.1)
        before = costs(meeting)
        for i in range(subscribers):
            meeting.subscribe([0], i % every == 0)
        load.wait_connected(1 + subscribers)
    join_ms = costs(meeting)[0] - before[0]
    meeting.settle()
    return before[1], join_ms


def measure(meeting, load, seconds):
    """The window: (the load client's report, the server's CPU in ms, its memory in kB at the end)."""
    load.tell("start")
    missing = load.wait_flowing()
    time.sleep(WARM_S)
    meeting.drain()
    load.ask("begin", "began")
    before_ms = costs(meeting)[0]
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1))
        meeting.drain()
    spent_ms, memory_kb = costs(meeting)
    load.ask("end", "ended")
    time.sleep(DRAIN_S)
    report = load.ask("report", "report")
    report["missing"] = missing
    return report, spent_ms - before_ms, memory_kb


def say(report, cpu_ms, seconds):
    print(f"    received {report['received']} of {report['expected']}, server {cpu_ms / seconds / 10:.1f} % of a core, "
          f"{report['srtp']}, keyframes {report['keyframes_sent']}, "
          + ", ".join(f"{key} {report[key]}" for key in ("missing", "forged", "corrupt", "unmarked", "duplicates", "retransmitted")
                      if report[key]), flush=True)


def record(bench, case, peer, report, cpu_ms):
    bench.record("cpu_us_per_packet", case, "us", peer, cpu_ms * 1e3 / max(report["received"], 1), is_less_better=True)
    bench.record("delivered_percent", case, "%", peer, 100 * report["received"] / max(report["expected"], 1),
                 is_less_better=False)
    bench.record("delay_ms_p50", case, "ms", peer, report["delay_ms_p50"], is_less_better=True)
    bench.record("delay_ms_p99", case, "ms", peer, report["delay_ms_p99"], is_less_better=True)
    wrong = {key: report[key] for key in ("forged", "corrupt", "unmarked", "missing") if report[key]}
    if wrong:
        bench.note(f"{peer}, {case}: " + ", ".join(f"{key} {count}" for key, count in wrong.items()) + ".")


def run(bench, case, peer):
    with temporary_directory(peer) as directory, Load() as load, MEETINGS[peer](load, directory) as meeting:
        before_kb, join_ms = fill(meeting, load, case)
        report, cpu_ms, after_kb = measure(meeting, load, bench.seconds)
        report["srtp"] = " ".join(sorted(set(load.connected.values())))
    say(report, cpu_ms, bench.seconds)
    record(bench, case, peer, report, cpu_ms)
    joined = parse_case(case)[1]
    if peer != "floor" and joined > 1:
        bench.record("cpu_ms_per_join", case, "ms", peer, join_ms / joined, is_less_better=True)
        bench.record("rss_kb_per_subscriber", case, "kB", peer, (after_kb - before_kb) / joined, is_less_better=True)


def main():
    bench = Bench("sfu", title="Media forwarding", about=ABOUT, cases=CASES,
                  peers=[peer for peer in MEETINGS if peer != "parlance"], seconds=3)
    if not janus_meeting.is_installed() and any("janus" in peer for peer in bench.peers):
        sys.exit("sfu: there is no janus here (tools/deps.sh bench installs it)")
    for _, case, peer in bench.plan():
        try:
            run(bench, case, peer)
        except BenchError as e:  # a machine under load: once more, then for good
            print(f"    {e}; again", flush=True)
            run(bench, case, peer)
    bench.finish()


if __name__ == "__main__":
    main()
