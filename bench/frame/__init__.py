"""What every benchmark shares: servers and their cost as the kernel counts it, interleaved rounds, medians, the report.

See ../README.md for how a benchmark is written with it.
"""
from frame.bench import Bench, median, run_main
from frame.client import Child, LoadClient
from frame.nginx import Nchan, Nginx
from frame.parlance import Parlance
from frame.server import BenchError, Server, free_port, temporary_directory, wait_until

__all__ = ["Bench", "BenchError", "Child", "LoadClient", "Nchan", "Nginx", "Parlance", "Server", "free_port", "median", "run_main",
           "temporary_directory", "wait_until"]
