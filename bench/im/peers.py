"""The servers that bench-im compares with, each in a directory of its own on free ports of the loopback."""
import json
import os
import sqlite3
import subprocess
import urllib.request

from frame import BenchError, Server, free_port
from frame.parlance import BUILD

EJABBERD_SCHEMA = "/usr/share/ejabberd/sql/lite.sql"
PASSWORD = "correct-horse"

EJABBERD = """
loglevel: error
hosts: [localhost]
auth_password_format: plain
sql_type: sqlite
sql_database: {directory}/archive.db
listen:
  - {{port: {port}, ip: 127.0.0.1, module: ejabberd_c2s, shaper: none, access: all, max_stanza_size: 262144, backlog: 4096}}
  - {{port: {api_port}, ip: 127.0.0.1, module: ejabberd_http, request_handlers: {{/api: mod_http_api}}}}
access_rules: {{everybody: {{allow: all}}}}
api_permissions:
  everything: {{who: {{ip: 127.0.0.1/8}}, what: "*"}}
modules:
  mod_admin_extra: {{}}
  mod_disco: {{}}
  mod_http_api: {{}}
  mod_mam: {{db_type: sql, default: always, assume_mam_usage: true}}
  mod_muc: {{default_room_options: {{mam: true, persistent: true, anonymous: false}}, history_size: 0}}
  mod_muc_admin: {{}}
  mod_stream_mgmt: {{resume_timeout: 0, ack_timeout: 600}}
"""


class Ejabberd(Server):
    """Debian's ejabberd without its control script: one Erlang machine, nothing of /etc or /var."""

    def __init__(self, directory):
        self.http_port, self.api_port = free_port(), free_port()
        path = os.path.join(directory, "ejabberd.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(EJABBERD.format(directory=directory, port=self.http_port, api_port=self.api_port))
        archive = os.path.join(directory, "archive.db")
        if not os.path.exists(archive):
            with open(EJABBERD_SCHEMA, encoding="utf-8") as f, sqlite3.connect(archive) as db:
                db.executescript(f.read())
                db.execute("PRAGMA journal_mode=WAL")  # it stays so; several times faster than the default
        # Schedulers that spin while they wait would be charged for it.
        command = ["erl", "-noinput", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                   "-mnesia", "dir", f'"{directory}/mnesia"', "-s", "ejabberd"]
        env = {"EJABBERD_CONFIG_PATH": path, "EJABBERD_LOG_PATH": os.path.join(directory, "ejabberd-own.log"),
               "ERL_LIBS": "/usr/lib/x86_64-linux-gnu" if os.path.isdir("/usr/lib/x86_64-linux-gnu") else "/usr/lib",
               "HOME": directory, "ERL_CRASH_DUMP_BYTES": "0", "EJABBERD_PID_PATH": os.path.join(directory, "pid")}
        super().__init__("ejabberd", command, directory, self.http_port, self._is_ready, env)

    def _is_ready(self):
        try:
            return self.ask("status", {}) is not None
        except (OSError, BenchError):
            return False

    def ask(self, command, arguments):
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}/api/{command}", json.dumps(arguments).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def archived(self):
        """Rows of the archive so far: a crashed archive would make a fast server."""
        with sqlite3.connect(os.path.join(self.directory, "archive.db")) as db:
            return db.execute("SELECT COUNT(*) FROM archive").fetchone()[0]

    def register(self, count):
        """user0 ... and a room that takes them all."""
        for n in range(count):
            self.ask("register", {"user": f"user{n}", "host": "localhost", "password": PASSWORD})
        self.ask("create_room", {"name": "room", "service": "conference.localhost", "host": "localhost"})


class SendLoop(Server):
    """bench/im/send_loop.c"""

    def __init__(self, directory):
        self.http_port = free_port()
        super().__init__("send-loop", [os.path.join(BUILD, "bench/im/im_send_loop"), str(self.http_port)], directory,
                         self.http_port)


def sqlite_loop(directory, seconds, size, batch):
    """{"rows", "seconds", "cpu_ns"} of bench/im/sqlite_loop.c on a new database."""
    command = [os.path.join(BUILD, "bench/im/im_sqlite_loop"), os.path.join(directory, "loop.db"), str(seconds), str(size),
               str(batch)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
