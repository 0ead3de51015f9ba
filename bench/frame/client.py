"""Load clients: a process that is told by lines on stdin and says by lines of JSON on stdout what it did."""
import json
import subprocess

from frame.server import BenchError, end_with_us


class Child:
    """A process whose stdin is held open for the length of the `with`; the end of it ends the process."""

    def __init__(self, command, env=None, is_text=True):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=is_text,
                                        preexec_fn=end_with_us)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class LoadClient(Child):
    """Opens its sockets, says `ready` (the constructor returns then), waits for "go", works, says `done`, holds the sockets.

    lines: written to it before that, and a blank line after them; None: it is told nothing.
    """

    def __init__(self, command, lines=None, env=None):
        super().__init__(command, env)
        self.name = command[0].rpartition("/")[2]
        if lines is not None:
            self._tell("".join(line + "\n" for line in lines))
        self.ready = self._read("ready")

    def _tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def _read(self, event):
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"{self.name} ended early (status {self.process.wait()})")
        message = json.loads(line)
        if message["event"] != event:
            raise BenchError(f"{self.name}: {line}")
        return message

    def run(self):
        """What it says of its work."""
        self._tell("go")
        return self._read("done")
