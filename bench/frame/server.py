"""A server under measurement: started in a directory of its own, asked for what it cost, stopped without a trace.

CPU is the kernel's own count of scheduled time in ns: the process CPU clock of another pid, which holds user and system
time of all threads, ended ones too. (utime and stime of /proc/PID/stat are the same figures rounded to 10 ms.)
Memory is /proc/PID/smaps_rollup. Both are summed over the process and its children, for servers with worker processes.
"""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time


START_S = 60  # for a server to come up, on a machine that others use too


class BenchError(Exception):
    """The measurement cannot be made; the message says why."""


def free_port(kind=socket.SOCK_STREAM):
    """A port of the loopback that nobody holds now."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def temporary_directory(prefix):
    path = tempfile.mkdtemp(prefix=f"bench-{prefix}-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def wait_until(is_so, what, seconds=10.0, step=0.02):
    """Calls is_so() until it is true; BenchError after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return
        time.sleep(step)
    raise BenchError(f"{what}: not within {seconds:g} s")


def children_of(pid):
    """The pid and all below it."""
    found, at = [pid], 0
    while at < len(found):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{found[at]}/task"):
                with open(f"/proc/{found[at]}/task/{task}/children", encoding="ascii") as f:
                    found += [int(n) for n in f.read().split()]
        at += 1
    return found


def keep_priority(pid):
    """Linux weighs whole sessions against each other (autogroups): a nice below 0 has to be told to each of them too."""
    if os.nice(0) < 0:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as f:
            f.write(str(os.nice(0)))


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)  # loaded here: nothing may be between fork and exec but the call itself


def end_with_us():
    """In a child, before it becomes the program: whoever kills the bench, even by SIGKILL, leaves no server behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_in_order(signal_number, _frame):
    """SIGTERM and SIGHUP leave by every `with` on the way, as Ctrl+C does."""
    raise SystemExit(128 + signal_number)


class Server:
    """One running server. A context manager: leaving it stops the processes and shows the log if it had died by itself.

    command   argv; the process is started in a group of its own
    directory for its log (and its working directory)
    port      TCP port that must accept before it counts as up; None: is_ready decides
    is_ready  asked until true, after the port accepts
    """

    def __init__(self, name, command, directory, port=None, is_ready=None, env=None):
        self.name, self.directory, self.port = name, directory, port
        self.log_path = os.path.join(directory, f"{name}.log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, **(env or {})), start_new_session=True, preexec_fn=end_with_us)
        keep_priority(self.process.pid)
        try:
            if port:
                wait_until(self._accepts, f"{name} listening on {port}", START_S)
            if is_ready:
                wait_until(is_ready, f"{name} ready", START_S)
        except BenchError as e:
            self.stop()
            raise BenchError(f"{e}\n{self.log_tail()}") from None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        died = self.process.poll()
        self.stop()
        if died is not None and kind is None:
            raise BenchError(f"{self.name} died under the load (status {died})\n{self.log_tail()}")

    def _accepts(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended at once")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-20:])

    def pids(self):
        return children_of(self.process.pid)

    def cpu_ns(self):
        """User and system time spent so far. Take it before and after; processes must not end between."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += time.clock_gettime_ns((~pid << 3) | 2)  # CPUCLOCK_SCHED of the process, see clock_getcpuclockid
        return total

    def memory_kb(self):
        """{'rss', 'pss', 'private'} in kB: resident, shared pages by share, this process's alone."""
        sums = {"rss": 0, "pss": 0, "private": 0}
        for pid in self.pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    key, _, rest = line.partition(":")
                    name = {"Rss": "rss", "Pss": "pss", "Private_Clean": "private", "Private_Dirty": "private"}.get(key)
                    if name:
                        sums[name] += int(rest.split()[0])
        return sums

    def stop(self):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
