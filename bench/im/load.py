"""The clients of bench-im: starts im_load and reads what it says."""
import os
import time

from frame import BenchError, LoadClient
from frame.parlance import BUILD


class Load(LoadClient):
    """A running im_load. Its clients are ready when the constructor returns, and stay until the end of the `with`.

    lines: the fields of each client, as load.h says.
    """

    def __init__(self, server, mode, protocol, lines, seconds, size=100, concurrency=64):
        super().__init__([os.path.join(BUILD, "bench/im/im_load"), mode, protocol, str(server.http_port), str(seconds), str(size),
                          str(concurrency), f"r{time.time_ns():x}"], lines)


def measure(server, load):
    """What it did, with the server's CPU beside it."""
    cpu_ns = server.cpu_ns()
    counted = load.run()
    counted["cpu_ns"] = server.cpu_ns() - cpu_ns
    if counted["refused"] or counted["gone"]:
        raise BenchError(f"{server.name}: {counted}")
    return counted
