"""Messaging: durable sends, delivery to many, coming back, idle users; beside ejabberd, nchan, SQLite alone and send() alone."""
import os
import time

from frame import Bench, BenchError, Nchan, temporary_directory, run_main
from im.load import Load, measure
from im.peers import PASSWORD, Ejabberd, SendLoop, sqlite_loop
from im.seed import Seed

BYTES = 100
SETTLE_S = 1
WARM_S = 2
FRAME_BYTES = 760  # what such a message is as an event, so that everybody delivers as much
PEOPLE, SENDERS, FEW, MANY = 5000, 1000, 1000, 1000000
SENDS = {"1": 1, "100": 100, "1000": 1000, "1000-million": 1000, "100-group": 100}
CASES = [*SENDS, "5000", "5000-million", "resume", "resume-million", "idle", "idle-million"]
PEERS = ["ejabberd", "sqlite-loop", "nchan", "send-loop"]
BATCH = {"1": 1, "100": 100, "1000": 512}

ABOUT = f"""
One process and one thread (`bench/im/load.c`) plays all clients over `/ws/im` in JSON, as the pages do. The store has {PEOPLE:,}
people, each in 50 groups of 20, and {FEW:,} messages; in the cases `-million` {MANY:,}, indexed for search. Texts have {BYTES} bytes.

*Sends* (`1`, `100`, `1000` senders): by twos they write to each other, both connected; each sends the next message when the last is
acknowledged, which is after its commit is synced to disk. `100-group`: all write into one group and hear each other. *ack_ms* is from
the send call to the acknowledgement. *Delivery* (`5000`): one writes to a group of {PEOPLE:,} connected members who all look at it; the next when all
have it; *delivery_ms_p99* from that send call over all deliveries. *Resume*: handshake with the token, `ready`, `sync` with the
cursor of before and one open conversation, answer; 64 at a time, {PEOPLE:,} people in turn. *Idle*: private memory of the process with {PEOPLE:,}
connected people, less what it was when everybody had been there, 64 at a time, and had gone; each; no TLS.

Peers. `ejabberd` is Debian's, one-to-one with its archive in SQLite; acknowledged by stream management, after the archive's insert. It
keeps a copy for each side and commits each by itself, synchronous=FULL, so it is as durable (its database was put into WAL mode,
several times faster than as it comes).
In `100-group` it is a room with archive, a member's own line coming back the acknowledgement. `sqlite-loop` is the insert of such a row with its
indexes and nothing else, in transactions of 1, 100 and 512 rows, WAL with synchronous=FULL. `nchan` and `send-loop` (one `send()` a
socket, framed once) deliver {FRAME_BYTES} bytes, about as many as our event has; they keep nothing and ask nobody.

Aims: 0.3 of `sqlite-loop`'s and 10 times ejabberd's sends for the CPU; nchan's deliveries; 4 kB for an idle user; `-million`
within 1.3 times.
"""


class Scene:
    """The directories that several measurements share, made when first needed."""

    def __init__(self, directory):
        self.directory, self.seeds, self.is_ejabberd_made = directory, {}, False

    def seed(self, case):
        count = MANY if case.endswith("-million") else FEW
        if count not in self.seeds:
            directory = os.path.join(self.directory, str(count))
            os.mkdir(directory)
            print(f"im: writing {count:,} messages", flush=True)
            self.seeds[count] = Seed(directory, PEOPLE, SENDERS, count)
        return self.seeds[count]

    def ejabberd(self):
        directory = os.path.join(self.directory, "ejabberd")
        if not self.is_ejabberd_made:
            os.mkdir(directory)
            with Ejabberd(directory) as server:
                server.register(SENDERS)
            self.is_ejabberd_made = True
        return Ejabberd(directory)


def record_sends(bench, case, peer, counted):
    sends = counted.get("acked", counted.get("rows"))
    bench.record("durable_sends_per_s", case, "1/s", peer, sends / counted["seconds"], is_less_better=False)
    bench.record("sends_per_cpu_s", case, "1/s", peer, sends * 1e9 / counted["cpu_ns"], is_less_better=False)
    if "ms_p50" in counted:
        bench.record("ack_ms_p50", case, "ms", peer, counted["ms_p50"], is_less_better=True)
        bench.record("ack_ms_p99", case, "ms", peer, counted["ms_p99"], is_less_better=True)


def send_lines(seed, case):
    return [f"{seed.token(n)} {seed.small_group if case == '100-group' else seed.pairs[n]}" for n in range(max(2, SENDS[case]))]


def everybody(seed):
    return [f"{seed.token(n)} {seed.group}" for n in range(seed.people)]


def sends_of_parlance(bench, case, scene):
    seed = scene.seed(case)
    lines = send_lines(seed, case)
    with seed.server() as server, Load(server, "send", "parlance", lines, bench.seconds, BYTES, SENDS[case]) as load:
        record_sends(bench, case, "parlance", measure(server, load))


def sends_of_ejabberd(bench, case, scene):
    is_group = case == "100-group"
    protocol = "muc" if is_group else "xmpp"
    lines = [f"user{n} {PASSWORD} " + ("room@conference.localhost" if is_group else f"user{n ^ 1}@localhost")
             for n in range(max(2, SENDS[case]))]
    with scene.ejabberd() as server, Load(server, "send", protocol, lines, bench.seconds, BYTES, SENDS[case]) as load:
        before = server.archived()
        counted = measure(server, load)
        if server.archived() - before < counted["acked"]:
            raise BenchError(f"ejabberd acknowledged what it did not archive: {counted}")
    record_sends(bench, case, "ejabberd", counted)


def record_deliveries(bench, case, peer, counted):
    missing = counted["published"] * PEOPLE - counted["delivered"]
    if missing > 0:
        bench.note(f"{peer}: {missing} of {counted['published'] * PEOPLE} deliveries did not come in time")
    bench.record("deliveries_per_cpu_s", case, "1/s", peer, counted["delivered"] * 1e9 / counted["cpu_ns"], is_less_better=False)
    bench.record("delivery_ms_p99", case, "ms", peer, counted["ms_p99"], is_less_better=True)


def deliveries_of_parlance(bench, case, scene):
    seed = scene.seed(case)
    with seed.server() as server, Load(server, "fanout", "parlance", everybody(seed), bench.seconds, BYTES) as load:
        counted = measure(server, load)
    if abs(counted["bytes_each"] - FRAME_BYTES) > FRAME_BYTES / 20:
        bench.note(f"Our event has {counted['bytes_each']} bytes, not {FRAME_BYTES}.")
    record_deliveries(bench, case, "parlance", counted)


def deliveries_of(peer, bench, case, directory):
    kind = {"nchan": Nchan, "send-loop": SendLoop}[peer]
    with kind(directory) as server, Load(server, "fanout", "plain", ["-"] * PEOPLE, bench.seconds, FRAME_BYTES) as load:
        record_deliveries(bench, case, peer, measure(server, load))


def resumes(bench, case, scene):
    seed = scene.seed(case)
    with seed.server() as server, Load(server, "resume", "parlance", everybody(seed), bench.seconds) as load:
        counted = measure(server, load)
    bench.record("resumes_per_s", case, "1/s", "parlance", counted["acked"] / counted["seconds"], is_less_better=False)
    bench.record("resumes_per_cpu_s", case, "1/s", "parlance", counted["acked"] * 1e9 / counted["cpu_ns"], is_less_better=False)
    bench.record("resume_ms_p99", case, "ms", "parlance", counted["ms_p99"], is_less_better=True)


def idle(bench, case, scene):
    seed = scene.seed(case)
    lines = everybody(seed)
    with seed.server() as server:
        with Load(server, "resume", "parlance", lines, WARM_S) as load:
            load.run()  # everybody was here, few at a time: caches are full, and not counted
        time.sleep(SETTLE_S)
        before = server.memory_kb()["private"]
        with Load(server, "idle", "parlance", lines, 1) as load:
            load.run()
            time.sleep(SETTLE_S)
            after = server.memory_kb()["private"]
    bench.record("rss_bytes_per_user", case, "bytes", "parlance", (after - before) * 1024 / len(lines), is_less_better=True)


def run(bench, case, peer, scene, directory):
    if peer == "parlance":
        if case in SENDS:
            sends_of_parlance(bench, case, scene)
        elif case.startswith("5000"):
            deliveries_of_parlance(bench, case, scene)
        else:
            (resumes if case.startswith("resume") else idle)(bench, case, scene)
    elif peer == "ejabberd":
        sends_of_ejabberd(bench, case, scene)
    elif peer == "sqlite-loop":
        record_sends(bench, case, peer, sqlite_loop(directory, bench.seconds, BYTES, BATCH[case]))
    else:
        deliveries_of(peer, bench, case, directory)


def is_measured(case, peer):
    return peer == "parlance" or case in {"ejabberd": ["1", "100", "1000", "100-group"], "sqlite-loop": BATCH}.get(peer, ["5000"])


def main():
    bench = Bench("im", title="Messages", about=ABOUT, cases=CASES, peers=PEERS, seconds=3)
    with temporary_directory("im") as shared:
        scene = Scene(shared)
        for _, case, peer in bench.plan(is_measured):
            with temporary_directory(peer) as directory:
                run(bench, case, peer, scene, directory)
    bench.finish()


if __name__ == "__main__":
    run_main("im", main)
