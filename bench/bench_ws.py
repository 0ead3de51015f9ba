"""WebSockets: echo, broadcast to 5,000 and the memory of 10,000 idle sockets, beside nchan."""
import os

from frame import Bench, BenchError, LoadClient, Nchan, Parlance, Server, free_port, temporary_directory, run_main
from frame.parlance import BUILD

ECHO_CONNECTIONS = 64
BYTES = 200
BURST = 8
CASES = ["echo", "5000", "5000-burst", "10000"]
LISTENERS, IDLE = 5000, 10000

ABOUT = f"""
`bench/ws/load.c`, one thread, counts whole messages of {BYTES} bytes that came back. *Echo*: {ECHO_CONNECTIONS} sockets, one message
each under way. *Broadcast*: 5,000 sockets, the next message is published when all have the last; deliveries per second of server
CPU. `5000-burst` publishes {BURST} messages at a time, as in a busy room. *Idle*: 10,000 open sockets that say nothing; private memory of the server's processes (`smaps_rollup`) with them less before
them, each; the kernel's own is not in it. Parlance has no public path that only echoes or broadcasts, so these two are measured
with `bench/ws/server.c`: the same net library, and the same `ws_multicast` that a meeting's rooms send by, nothing cut away. Idle
sockets are the whole program's: 10,000 signed-in `/ws/signaling` of `parlance serve`, state of edge and signaling included. nchan is
Debian's, in nginx, with `worker_processes auto`; its echo is a `nchan_pubsub` with a channel for each socket, so it does more there.
Aims: 1.5 times nchan's deliveries, 2 kB for an idle socket.
"""

ECHO = "location = /echo { nchan_pubsub websocket; nchan_channel_id socket-$arg_number; nchan_subscriber_first_message newest; }"


class Sockets(Server):
    """bench/ws/server.c on a free port, a loop for each core."""

    def __init__(self, directory):
        self.http_port = free_port()
        command = [os.path.join(BUILD, "bench/ws/ws_bench_server"), str(self.http_port), str(os.cpu_count())]
        super().__init__("sockets", command, directory, self.http_port)


class Load(LoadClient):
    """A running ws_load. Its sockets are open when the constructor returns, and until the end of the `with`."""

    def __init__(self, server, mode, path, connections, seconds, publish_path="/", burst=1, headers=None):
        command = [os.path.join(BUILD, "bench/ws/ws_load"), mode, str(server.http_port), path, str(connections), str(BYTES),
                   str(seconds), publish_path, str(burst)]
        super().__init__(command, env=dict(os.environ, **({"WS_LOAD_HEADERS": headers} if headers else {})))
        if self.ready["open"] != connections:
            raise BenchError(f"{server.name}: only {self.ready['open']} of {connections} sockets opened")


def check(server, counted, connections):
    if counted["wrong"] or counted["open"] != connections:
        raise BenchError(f"{server.name}: {counted}")


def measure_echo(bench, peer, server, path):
    with Load(server, "echo", path, ECHO_CONNECTIONS, bench.seconds) as load:
        cpu_ns = server.cpu_ns()
        counted = load.run()
        cpu_ns = server.cpu_ns() - cpu_ns
    check(server, counted, ECHO_CONNECTIONS)
    bench.record("echoes_per_cpu_s", "echo", "1/s", peer, counted["received"] * 1e9 / cpu_ns, is_less_better=False)


def measure_broadcast(bench, case, peer, server):
    burst = BURST if case == "5000-burst" else 1
    with Load(server, "broadcast", "/sub", LISTENERS, bench.seconds, "/pub", burst) as load:
        cpu_ns = server.cpu_ns()
        counted = load.run()
        cpu_ns = server.cpu_ns() - cpu_ns
    check(server, counted, LISTENERS)
    lost = counted["published"] * burst * LISTENERS - counted["received"]
    if lost:
        bench.note(f"{peer}: {lost} of {counted['received'] + lost} deliveries did not come within 10 s")
    bench.record("broadcast_deliveries_per_cpu_s", case, "1/s", peer, counted["received"] * 1e9 / cpu_ns,
                 is_less_better=False)
    bench.record("broadcast_all_have_it_ms_p50", case, "ms", peer, counted["all_have_it_ms_p50"], is_less_better=True)


def measure_idle(bench, peer, server, path, headers=None):
    with Load(server, "idle", path, 100, 1, headers=headers) as load:
        load.run()  # what is made with the first sockets is not theirs
    before = server.memory_kb()["private"]
    with Load(server, "idle", path, IDLE, 1, headers=headers) as load:
        counted = load.run()
        after = server.memory_kb()["private"]
    check(server, counted, IDLE)
    bench.record("rss_bytes_per_idle", "10000", "bytes", peer, (after - before) * 1024 / IDLE, is_less_better=True)


def measure_parlance(bench, case, directory):
    if case == "10000":
        with Parlance(directory) as server:
            token = server.register("ada")
            measure_idle(bench, "parlance", server, "/ws/signaling", f"Authorization: Bearer {token}")
        return
    with Sockets(directory) as server:
        if case == "echo":
            measure_echo(bench, "parlance", server, "/echo")
        else:
            measure_broadcast(bench, case, "parlance", server)


def measure_nchan(bench, case, directory):
    with Nchan(directory, ECHO) as server:
        if case == "echo":
            measure_echo(bench, "nchan", server, "/echo?number=%d")
        elif case.startswith("5000"):
            measure_broadcast(bench, case, "nchan", server)
        else:
            measure_idle(bench, "nchan", server, "/sub")


def main():
    bench = Bench("ws", title="WebSockets", about=ABOUT, cases=CASES, peers=["nchan"], seconds=5)
    for _, case, peer in bench.plan():
        with temporary_directory(peer) as directory:
            (measure_parlance if peer == "parlance" else measure_nchan)(bench, case, directory)
    bench.finish()


if __name__ == "__main__":
    run_main("ws", main)
