#!/usr/bin/env python3
"""Messaging in one process and in pieces: how long a message takes to the other people's sockets, how many sends a second."""
import os
import sys
import time

from frame import Bench, temporary_directory, run_main
from im.load import Load, measure
from split.cluster import SHARDS, Split, whole

PEOPLE = 64
GROUP = 4
BYTES = 100
SPREAD_S = 4  # shards find their owners
CASES = {"1": 2, "64": PEOPLE}
PEERS = ["postgres", "split-1", "split-2"]

ABOUT = f"""
`parlance` is one process on its embedded store, `postgres` one process on PostgreSQL, `split-1` and `split-2` two gateways, one or two message
services ({SHARDS} shards) and a process with all other services, over PostgreSQL, with events and cache over Redis: what stands between two sockets there is
gateway, gRPC, message service, commit, Redis, the other gateway. The clients (`bench/im/load.c`) are spread over both gateways.

*Delivery* (`group`): one writes to a group of {GROUP}, all connected; the next when all have it; *delivery_ms* is from the send call to each of their sockets.
*Sends* (`1`, `64` senders): by twos they write to each other; each sends the next message when the last is acknowledged, after its commit is synced. CPU is
that of our processes together, without PostgreSQL's and Redis'. Everything shares one machine: on one of few cores two message services cannot show what they do on two machines, only
what it costs to have them.
"""


def people(server):
    return [server.register(f"person{n}") for n in range(PEOPLE)]


def user_of(server, token):
    return server.request("GET", "/api/v1/users/me", token=token)["id"]


def pairs(server, tokens):
    ids = []
    for n in range(0, len(tokens), 2):
        said = server.request("POST", "/api/v1/messages", {"to_user_id": user_of(server, tokens[n + 1]), "client_msg_id": "first",
                                                            "content": {"text": "hello"}}, tokens[n])
        ids += [said["conversation_id"]] * 2
    return [f"{token} {conversation}" for token, conversation in zip(tokens, ids)]


def record_delivery(bench, server, peer, tokens):
    made = server.request("POST", "/api/v1/groups", {"kind": "group", "title": "Group",
                                                      "user_ids": [user_of(server, t) for t in tokens[1:GROUP]]}, tokens[0])
    lines = [f"{token} {made['id']}" for token in tokens[:GROUP]]
    with Load(server, "deliver", "parlance", lines, bench.seconds, BYTES) as load:
        counted = measure(server, load)
    bench.record("delivery_ms_p50", "group", "ms", peer, counted["ms_p50"], is_less_better=True)
    bench.record("delivery_ms_p99", "group", "ms", peer, counted["ms_p99"], is_less_better=True)


def record_sends(bench, server, peer, case, lines):
    count = CASES[case]
    with Load(server, "send", "parlance", lines[:count], bench.seconds, BYTES, int(case)) as load:
        counted = measure(server, load)
    bench.record("durable_sends_per_s", case, "1/s", peer, counted["acked"] / counted["seconds"], is_less_better=False)
    bench.record("sends_per_cpu_s", case, "1/s", peer, counted["acked"] * 1e9 / counted["cpu_ns"], is_less_better=False)
    bench.record("ack_ms_p50", case, "ms", peer, counted["ms_p50"], is_less_better=True)
    bench.record("ack_ms_p99", case, "ms", peer, counted["ms_p99"], is_less_better=True)


def server_of(peer, directory):
    name = f"split_{os.getpid()}_{time.time_ns():x}"
    if peer.startswith("split"):
        return Split(directory, name, int(peer[-1]))
    return whole(directory, name if peer == "postgres" else None)


def run(bench, peer, directory):
    with server_of(peer, directory) as server:
        tokens = people(server)
        lines = pairs(server, tokens)
        if peer == "split-2":
            time.sleep(SPREAD_S)
        if "group" in bench.cases:
            record_delivery(bench, server, peer, tokens)
        for case in CASES:
            if case in bench.cases:
                record_sends(bench, server, peer, case, lines)


def main():
    if not os.environ.get("PARLANCE_TEST_POSTGRES_URL"):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        os.execvp("node", ["node", os.path.join(root, "tests/services/run.mjs"), "postgres,redis", sys.executable, os.path.abspath(__file__)])
    bench = Bench("split", title="Messages in pieces", about=ABOUT, cases=["group", *CASES], peers=PEERS, seconds=3)
    for _, case, peer in bench.plan(lambda case, peer: case == bench.cases[0]):  # one life of a server has all its cases
        with temporary_directory(peer) as directory:
            run(bench, peer, directory)
    bench.finish()


if __name__ == "__main__":
    run_main("split", main)
