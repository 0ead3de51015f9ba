"""The clients of bench-im: starts im_load and reads what it says."""
import json
import os
import subprocess
import time

from frame import BenchError
from frame.parlance import BUILD


class Load:
    """A running im_load. Its clients are ready when the constructor returns, and stay until the end of the `with`.

    lines: the fields of each client, as load.h says.
    """

    def __init__(self, server, mode, protocol, lines, seconds, size=100, concurrency=64):
        command = [os.path.join(BUILD, "bench/im/im_load"), mode, protocol, str(server.http_port), str(seconds), str(size),
                   str(concurrency), f"r{time.time_ns():x}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("".join(line + "\n" for line in lines) + "\n")
        self.process.stdin.flush()
        self._read("ready")

    def _read(self, event):
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"im_load ended early (status {self.process.wait()})")
        message = json.loads(line)
        if message["event"] != event:
            raise BenchError(f"im_load: {line}")
        return message

    def run(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._read("done")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(server, load):
    """What it did, with the server's CPU beside it."""
    cpu_ns = server.cpu_ns()
    counted = load.run()
    counted["cpu_ns"] = server.cpu_ns() - cpu_ns
    if counted["refused"] or counted["gone"]:
        raise BenchError(f"{server.name}: {counted}")
    return counted
