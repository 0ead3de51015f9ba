"""The message log on each engine: durable sends, and what they cost our process and the engine's."""
import contextlib
import os
import subprocess

from frame import Bench, BenchError, Parlance, temporary_directory, run_main
from frame.parlance import BUILD
from im.load import Load, measure
from im.seed import OPTIONS, Seed
from store.engines import Mariadb, Postgres

BYTES = 100
PEOPLE = 1000
SENDS = {"1": 1, "100": 100, "1000": 1000}
ENGINES = {"postgres": Postgres, "mariadb": Mariadb}
DRIVERS = {"postgres": "postgres", "mariadb": "mysql"}

ABOUT = f"""
The same load as in *Messages* (`1`, `100`, `1000` senders, by twos to each other, texts of {BYTES} bytes, the next when the last is
acknowledged, which is after its commit is synced to disk), over one Parlance each: `parlance` keeps its tables in the embedded
SQLite, `postgres` and `mariadb` are Parlance over Debian's servers on the same machine, as they come but for
`max_connections`. The data of all three are one seed ({PEOPLE:,} people in 50 groups of 20 each), brought there by `parlance copy-store`.
*cpu_us_per_send*: of our process; *engine_cpu_us_per_send*: of the database server's processes. *ack_ms* is from the send call to
the acknowledgement. All share the machine's cores: a server on a machine of its own takes its share away, and adds the network's way.
"""


class Scene:
    """One seed, and engines that run while they are measured, each with a copy of it."""

    def __init__(self, directory):
        self.directory, self.urls = directory, {}
        own = os.path.join(directory, "seed")
        os.mkdir(own)
        self.seed = Seed(own, PEOPLE, PEOPLE, 0)

    def start(self, stack, peer):
        path = os.path.join(self.directory, peer)
        os.mkdir(path)
        engine = stack.enter_context(ENGINES[peer](path))
        url = engine.database("bench")
        database = os.path.join(self.seed.directory, "data/store/parlance.db")
        done = subprocess.run([os.path.join(BUILD, "src/parlance"), "copy-store", "--from", f"sqlite:{database}", "--to", url],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"copy-store: {done.stdout}{done.stderr}")
        self.urls[peer] = url
        return engine


def run(bench, case, peer, scene, engines):
    seed, engine = scene.seed, engines.get(peer)
    options = {**OPTIONS, **({"store.driver": DRIVERS[peer], "store.url": scene.urls[peer]} if engine else {})}
    lines = [f"{seed.token(n)} {seed.pairs[n]}" for n in range(max(2, SENDS[case]))]
    with Parlance(seed.directory, options) as server, Load(server, "send", "parlance", lines, bench.seconds, BYTES, SENDS[case]) as load:
        before = engine.cpu_ns() if engine else 0
        counted = measure(server, load)
        spent = engine.cpu_ns() - before if engine else 0
    sends = counted["acked"]
    bench.record("durable_sends_per_s", case, "1/s", peer, sends / counted["seconds"], is_less_better=False)
    bench.record("cpu_us_per_send", case, "us", peer, counted["cpu_ns"] / 1e3 / sends, is_less_better=True)
    if engine:
        bench.record("engine_cpu_us_per_send", case, "us", peer, spent / 1e3 / sends, is_less_better=True)
    bench.record("ack_ms_p50", case, "ms", peer, counted["ms_p50"], is_less_better=True)
    bench.record("ack_ms_p99", case, "ms", peer, counted["ms_p99"], is_less_better=True)


def main():
    bench = Bench("store", title="The message log on each engine", about=ABOUT, cases=list(SENDS), peers=list(ENGINES), seconds=3)
    with temporary_directory("store") as shared, contextlib.ExitStack() as stack:
        os.chmod(shared, 0o755)
        scene = Scene(shared)
        engines = {peer: scene.start(stack, peer) for peer in ENGINES if peer in bench.peers}
        for _, case, peer in bench.plan():
            run(bench, case, peer, scene, engines)
    bench.finish()


if __name__ == "__main__":
    run_main("store", main)
