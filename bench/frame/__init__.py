"""What every benchmark shares: servers and their cost as the kernel counts it, interleaved rounds, medians, the report.

See ../README.md for how a benchmark is written with it.
"""
from frame.bench import Bench, median
from frame.parlance import Parlance
from frame.server import BenchError, Server, free_port, temporary_directory, wait_until

__all__ = ["Bench", "BenchError", "Parlance", "Server", "free_port", "median", "temporary_directory", "wait_until"]
