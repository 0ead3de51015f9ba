"""Calls between services: CPU of both ends for one unary call, beside gRPC's C core and grpc-js."""
import os
import time

from frame import Bench, BenchError, LoadClient, Server, free_port, temporary_directory, run_main
from frame.parlance import BUILD, ROOT

CASES = ["1", "1-together", "1-apart", "16", "64"]
PEERS = ["parlance-shared", "libgrpc", "grpc-js", "bare"]

ABOUT = """
One client process calls one server process over one plain connection, `User.GetUser` of our own contract (30 bytes there, 240
back, a secret and a deadline in the headers), with 1, 16 or 64 calls in flight; every answer is unpacked and looked at.
*cpu_us_per_call*: CPU time of both processes by calls answered; *server_cpu_us_per_call*: of the server alone.

`parlance`: room `rpc` over `grpc`, as services apart call each other; the handler answers on the loop, which is what the others do
here. `parlance-shared`: with the hand-over to the service's share of threads and back besides, as `parlance serve` has it.
`libgrpc`: Debian's C core with registered methods and one completion queue an end, no C++ above it, messages by protobuf-c as
ours. `grpc-js`: Node's, messages by protobufjs. `bare`: as many bytes there and back by epoll, recv and send alone: what the
kernel takes. Aim: at most a third of `libgrpc`.

At 1 in flight each end of ours and of `libgrpc`, like those of `bare`, makes three system calls and sleeps once a call (`strace -f
-c`). What the kernel takes for that depends on where the scheduler puts the ends: `1` leaves it to it; `1-together` binds both to one
core, where it keeps them on a machine with other work; `1-apart` binds each to a core of its own, as on an idle machine. There,
cores that sleep are to be woken, which more than doubles `bare`: a third of `libgrpc` is hardly more than that, and would leave both
ends together less than a call costs at 64 in flight, where nobody sleeps. The aim is out of reach there.
"""

NATIVE = {"parlance": ("rpc_parlance", ["inline"]), "parlance-shared": ("rpc_parlance", ["shared"]), "libgrpc": ("rpc_libgrpc", []),
          "bare": ("rpc_bare", [])}
BOUND = ["parlance", "libgrpc", "bare"]  # in the cases that are about the kernel's part


def command(peer):
    if peer == "grpc-js":
        return ["node", os.path.join(ROOT, "bench/rpc/grpc_js.mjs")], []
    program, words = NATIVE[peer]
    path = os.path.join(BUILD, "bench/rpc", program)
    if not os.path.exists(path):
        raise BenchError(f"{path} is not built: `tools/deps.sh bench`, then configure the build anew")
    return [path], words


def cpu_ns(pid):
    return time.clock_gettime_ns((~pid << 3) | 2)


def is_measured(case, peer):
    in_flight, _, where = case.partition("-")
    if peer == "bare" and in_flight != "1":
        return False
    return not where or (peer in BOUND and (where == "together" or len(os.sched_getaffinity(0)) > 1))


def bound(where):
    """What both ends are started with: which cores they may use."""
    cores = sorted(os.sched_getaffinity(0))
    return [["taskset", "-c", str(core)] if where else [] for core in (cores[0], cores[-1 if where == "apart" else 0])]


def measure(bench, case, peer, directory):
    start, words = command(peer)
    port = free_port()
    in_flight, _, where = case.partition("-")
    there, here = bound(where)
    with Server(peer, there + start + ["server", str(port)] + words, directory, port) as server, \
         LoadClient(here + start + ["client", str(port), in_flight, str(bench.seconds)]) as client:
        pid = client.process.pid
        before, served = cpu_ns(pid), server.cpu_ns()
        done = client.run()
        served = server.cpu_ns() - served
        called = cpu_ns(pid) - before
    if done["wrong"] or not done["calls"]:
        raise BenchError(f"{peer}: {done}")
    bench.record("cpu_us_per_call", case, "us", peer, (served + called) / 1e3 / done["calls"], is_less_better=True)
    bench.record("server_cpu_us_per_call", case, "us", peer, served / 1e3 / done["calls"], is_less_better=True)
    bench.record("calls_per_s", case, "1/s", peer, done["calls"] / done["seconds"], is_less_better=False)


def main():
    bench = Bench("rpc", title="Calls between services", about=ABOUT, cases=CASES, peers=PEERS, seconds=3)
    for _, case, peer in bench.plan(is_measured):
        with temporary_directory(peer) as directory:
            measure(bench, case, peer, directory)
    bench.finish()


if __name__ == "__main__":
    run_main("rpc", main)
