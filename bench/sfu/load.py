"""The media clients: one sfu_load process, spoken to by lines of JSON (load/control.c)."""
import json
import os
import selectors
import time

from frame import BenchError, Child
from frame.parlance import BUILD


class Load(Child):
    """Endpoints by number; open() gives what their SDP has to say."""

    def __init__(self):
        super().__init__([os.path.join(BUILD, "bench/sfu/sfu_load")], is_text=False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.text = b""
        self.events = []
        self.connected = {}  # id -> SRTP profile
        self.count = 0

    def tell(self, do, **fields):
        self.process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
        self.process.stdin.flush()

    def _read(self, seconds):
        """Takes in what the process says within so many seconds; True if anything came."""
        if not self.selector.select(seconds):
            return False
        chunk = os.read(self.process.stdout.fileno(), 65536)
        if not chunk:
            raise BenchError("the load client died")
        *lines, self.text = (self.text + chunk).split(b"\n")
        for event in map(json.loads, lines):
            if event["event"] == "connected":
                self.connected[event["id"]] = event["detail"]
            elif event["event"] in ("failed", "error"):
                raise BenchError(f"load client: {event}")
            else:
                self.events.append(event)
        return True

    def ask(self, do, answer, seconds=10, **fields):
        """Sends a command and returns the event that answers it."""
        self.tell(do, **fields)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in self.events:
                if event["event"] == answer:
                    self.events.remove(event)
                    return event
            self._read(end - time.monotonic())
        raise BenchError(f"load client: no {answer} after {do}")

    def open(self, **fields):
        """A new endpoint's {id, ufrag, pwd, fingerprint, host, port}."""
        self.count += 1
        return self.ask("open", "opened", id=self.count - 1, **fields)

    def wait_connected(self, count, seconds=30):
        end = time.monotonic() + seconds
        while len(self.connected) < count:
            if time.monotonic() > end:
                raise BenchError(f"only {len(self.connected)} of {count} connections came about")
            self._read(0.1)

    def wait_flowing(self, seconds=15):
        """Until every expected stream is there, video with a keyframe; the number still missing."""
        end = time.monotonic() + seconds
        while (missing := self.ask("missing", "missing")["count"]) and time.monotonic() < end:
            time.sleep(0.05)
        return missing
