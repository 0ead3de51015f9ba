#!/usr/bin/env python3
"""The load clients of bench-sfu against the server just built: one publisher, two subscribers, a second of media. Run by
`make test` (Meson, suite flow), so that neither rots. Says in one line what came; exits 1 if anything was lost or wrong.

usage: smoke_sfu.py   with PARLANCE_BUILD naming the build directory
"""
import sys
import time

from bench_sfu import MEDIA
from frame import temporary_directory
from sfu.load import Load
from sfu.parlance_meeting import ParlanceMeeting


def wait_delivered(load, seconds=15):
    """The report, once all is there; the last one if something stays away. A sanitised server on a busy machine lags."""
    end = time.monotonic() + seconds
    while (report := load.ask("report", "report"))["received"] < report["expected"] and time.monotonic() < end:
        time.sleep(0.1)
    return report


def main():
    with temporary_directory("smoke") as directory, Load() as load, ParlanceMeeting(load, directory) as meeting:
        meeting.publish(0, MEDIA)
        meeting.subscribe([0], True)
        meeting.subscribe([0], True)
        load.wait_connected(3)
        load.tell("start")
        missing = load.wait_flowing()
        load.ask("begin", "began")
        time.sleep(1)
        load.ask("end", "ended")
        report = wait_delivered(load)
    print(report)
    wrong = [key for key in ("forged", "corrupt", "unmarked", "duplicates") if report[key]]
    if missing or wrong or not report["verified"] or report["received"] != report["expected"] or report["sent"] < 100:
        sys.exit(f"smoke: not everything was delivered as sent ({missing} streams missing, {' '.join(wrong)})")


if __name__ == "__main__":
    main()
