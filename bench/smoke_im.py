#!/usr/bin/env python3
"""The clients of bench-im against the server just built, a second each: sends, delivery, coming back, idle; and the two limits.
Run by `make test` (Meson, suite flow), so that they do not rot. Exits 1 if anything was refused, lost or twice.

usage: smoke_im.py   with PARLANCE_BUILD naming the build directory
"""
import sys

from frame import temporary_directory
from im.load import Load, measure
from im.peers import SendLoop, sqlite_loop
from im.seed import Seed

PEOPLE, SENDERS, MESSAGES = 60, 20, 200


def expect(is_so, what, counted):
    print(what, counted, flush=True)
    if not is_so:
        sys.exit(f"smoke: {what}: {counted}")


def sends(seed, server):
    lines = [f"{seed.token(n)} {seed.pairs[n]}" for n in range(SENDERS)]
    with Load(server, "send", "parlance", lines, 1, concurrency=SENDERS) as load:
        counted = measure(server, load)
    last = [server.request("GET", f"/api/v1/conversations/{pair}/messages?limit=1", token=seed.token(2 * n))["messages"][0]["seq"]
            for n, pair in enumerate(seed.pairs[::2])]
    stored = sum(last) - MESSAGES
    expect(counted["acked"] > 0 and stored == counted["acked"], f"sends, {stored} stored", counted)


def with_everybody(seed, server, mode):
    lines = [f"{seed.token(n)} {seed.group}" for n in range(PEOPLE)]
    with Load(server, mode, "parlance", lines, 1, concurrency=8) as load:
        return measure(server, load)


def main():
    with temporary_directory("smoke-im") as directory:
        seed = Seed(directory, PEOPLE, SENDERS, MESSAGES)
        with seed.server() as server:
            sends(seed, server)
            counted = with_everybody(seed, server, "fanout")
            expect(counted["published"] and counted["delivered"] == counted["published"] * PEOPLE, "delivery", counted)
            counted = with_everybody(seed, server, "resume")
            expect(counted["acked"] > 0, "resume", counted)
            counted = with_everybody(seed, server, "idle")
            expect(counted["open"] == PEOPLE, "idle", counted)
        counted = sqlite_loop(directory, 1, 100, 10)
        expect(counted["rows"] > 0, "sqlite-loop", counted)
        with SendLoop(directory) as server, Load(server, "fanout", "plain", ["-"] * PEOPLE, 1) as load:
            counted = measure(server, load)
        expect(counted["published"] and counted["delivered"] == counted["published"] * PEOPLE, "send-loop", counted)


if __name__ == "__main__":
    main()
