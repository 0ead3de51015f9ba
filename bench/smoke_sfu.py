#!/usr/bin/env python3
"""The load clients of bench-sfu against the server just built: one publisher, two subscribers, a second of media; then two
more under 100,000 datagrams a second from strangers. Run by `make test` (Meson, suite flow), so that neither rots. Says in a
line each what came; exits 1 if anything was wrong, lost in peace, or if the strangers took more than a tenth of the meeting (on
two busy cores some of everybody's datagrams never reach the server).

usage: smoke_sfu.py   with PARLANCE_BUILD naming the build directory
"""
import json
import os
import subprocess
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


def window(load, seconds, wait_s=15):
    load.ask("begin", "began")
    time.sleep(seconds)
    load.ask("end", "ended")
    report = wait_delivered(load, wait_s)
    print(report)
    return report


def wrongs(report):
    return [key for key in ("forged", "corrupt", "unmarked", "duplicates") if report[key]]


def main():
    with temporary_directory("smoke") as directory, Load() as load, ParlanceMeeting(load, directory) as meeting:
        meeting.publish(0, MEDIA)
        meeting.subscribe([0], True)
        meeting.subscribe([0], True)
        load.wait_connected(3)
        load.tell("start")
        missing = load.wait_flowing()
        calm = window(load, 1)
        flood = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "flood.py"),
                                  str(meeting.media_port), "100000", "3"], stdout=subprocess.PIPE)
        time.sleep(0.5)
        stormy = window(load, 2, 3)
        strangers = json.loads(flood.communicate()[0])
        print(strangers)
    wrong = wrongs(calm) + wrongs(stormy)
    if missing or wrong or not calm["verified"] or calm["received"] != calm["expected"] or calm["sent"] < 100:
        sys.exit(f"smoke: not everything was delivered as sent ({missing} streams missing, {' '.join(wrong)})")
    if strangers["answers"]:
        sys.exit(f"smoke: {strangers['answers']} strangers were answered")
    if stormy["received"] < 0.9 * stormy["expected"] or stormy["sent"] < 100:
        sys.exit("smoke: strangers kept the meeting from its media")


if __name__ == "__main__":
    main()
